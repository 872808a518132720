//! An executor asks for a job.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jobwright_model::{AttemptEnd, QueueName, Speaker};
use jobwright_queue::Payload;
use jobwright_queue::wire::{DequeueRequest, Job, JobForm};
use jobwright_store::{Ask, Lease};
use tokio::time::sleep;

use super::Desk;
use super::access::{Caller, new_job_token};
use super::bodies;
use super::failure::Failure;
use super::shared::Shared;

/// The longest that anybody is kept waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often is looked while somebody waits.
const LOOK: Duration = Duration::from_secs(2);

/// From the queue that the path names.
pub(crate) async fn of_one(
    State(desk): State<Desk>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let caller = desk.executor(&headers)?;
    let queue = desk.queue(&queue).await?;
    let request = bodies::small(body, DequeueRequest::decode).await?;
    let form = form(&caller, &request)?;
    let asked = Asked { holder: request.executor_name, queues: vec![queue], form, names_queue: false };
    wait_for_one(desk, asked, patience(&headers)).await
}

/// From one of those that the body names.
pub(crate) async fn of_several(
    State(desk): State<Desk>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let caller = desk.executor(&headers)?;
    let request = bodies::small(body, DequeueRequest::decode).await?;
    let form = form(&caller, &request)?;
    let queues = known(&desk.shared, &request.queues).await?;
    if queues.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let queues = {
        let turns = desk.shared.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.order(&queues, Instant::now(), fastrand::f64)
    };
    let asked = Asked { holder: request.executor_name, queues, form, names_queue: true };
    wait_for_one(desk, asked, patience(&headers)).await
}

/// What is asked for.
#[derive(Clone)]
struct Asked {
    holder: String,
    queues: Vec<QueueName>,
    form: JobForm,
    names_queue: bool,
}

/// How long an agent of ours lets us wait for a job: `Prefer: wait=SECONDS` (RFC 7240). Executors of Sourcegraph do not know that.
fn patience(headers: &HeaderMap) -> Duration {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences = values.flat_map(|value| value.split(',')).map(str::trim);
    let seconds = preferences.find_map(|preference| preference.strip_prefix("wait=")?.parse().ok());
    Duration::from_secs(seconds.unwrap_or_default()).min(LONGEST_WAIT)
}

/// Answers with a job as soon as there is one, within the agent's patience. Nothing is taken for who has hung up meanwhile.
async fn wait_for_one(desk: Desk, asked: Asked, patience: Duration) -> Result<Response, Failure> {
    let until = Instant::now() + patience;
    // Without a place for it nobody waits.
    let place = if patience.is_zero() { None } else { desk.waits.take().ok() };
    loop {
        let mut changes = desk.shared.store.changes();
        changes.mark_unchanged();
        let given = dequeue(&desk, asked.clone()).await?;
        let rest = until.saturating_duration_since(Instant::now());
        if given.is_some() || place.is_none() || rest.is_zero() || desk.closing.is_cancelled() {
            return Ok(given.unwrap_or_else(|| StatusCode::NO_CONTENT.into_response()));
        }
        tokio::select! {
            () = desk.closing.cancelled() => {}
            _ = changes.changed() => {}
            // A job's time comes without a change.
            () = sleep(rest.min(LOOK)) => {}
        }
    }
}

/// The form of a job for whoever asks, found before a job is taken for them.
fn form(caller: &Caller, request: &DequeueRequest) -> Result<JobForm, Failure> {
    bodies::check_name(&request.executor_name)?;
    match caller {
        Caller::Executor { early: true } if request.version.is_empty() => Ok(JobForm::Early),
        _ => JobForm::for_executor(&request.version).map_err(|error| Failure::error(error.to_string())),
    }
}

/// The queues of these names; none of another name may be among them.
async fn known(shared: &Shared, names: &[String]) -> Result<Vec<QueueName>, Failure> {
    let (mut queues, mut unknown) = (Vec::new(), Vec::new());
    for name in names {
        match QueueName::new(name.as_str()) {
            Ok(queue) if shared.names.has(&queue).await? => queues.push(queue),
            _ => unknown.push(name.as_str()),
        }
        if unknown.len() > 10 {
            break;
        }
    }
    if unknown.is_empty() {
        return Ok(queues);
    }
    let supported: Vec<String> = shared.names.all().await?.into_iter().map(Into::into).collect();
    Err(Failure::error(format!(
        "Invalid queue name(s) '{}' found. Supported queue names are '{}'.",
        unknown.join(", "),
        supported.join(", ")
    )))
}

/// A job, if there is one now.
async fn dequeue(desk: &Desk, asked: Asked) -> Result<Option<Response>, Failure> {
    let Asked { holder, queues, form, names_queue } = asked;
    let shared = desk.shared.clone();
    // Somebody who hangs up half-way must not leave a job that was taken and has no attempt.
    desk.carry(async move {
        let (token, hash) = new_job_token()?;
        let ask = Ask { queues, holder, token: Some(hash) };
        let Some(lease) = shared.store.dequeue(&ask, Timestamp::now()).await? else {
            return Ok(None);
        };
        if names_queue {
            let mut turns = shared.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.gave(&lease.job.job.queue, Instant::now());
        }
        match written(&lease, token, form, names_queue) {
            Ok(job) => Ok(Some(([(CONTENT_TYPE, "application/json")], job).into_response())),
            Err(reason) => Err(fail(&shared, lease, &reason).await),
        }
    })
    .await
}

/// The job as its executor gets it, or why it cannot be said.
fn written(lease: &Lease, token: String, form: JobForm, names_queue: bool) -> Result<Vec<u8>, String> {
    let payload = Payload::from_stored(lease.job.payload.clone()).map_err(|error| error.to_string())?;
    let queue = if names_queue { lease.job.job.queue.to_string() } else { String::new() };
    let job = Job { id: lease.job.job.id, token, queue, payload };
    job.encode(form).map_err(|error| error.to_string())
}

/// A job that cannot be said to its executor has failed, as it would again.
async fn fail(shared: &Shared, lease: Lease, reason: &str) -> Failure {
    let message = format!("failed to transform record: {reason}");
    tracing::warn!(job = %lease.job.job, "{message}");
    let end = AttemptEnd::Failed(message.clone());
    match shared.store.finish(&Speaker::Attempt(lease.token), &end, Timestamp::now()).await {
        Ok(_) => Failure::error(message),
        Err(error) => Failure::error(format!("{message}; and that could not be kept: {error}")),
    }
}
