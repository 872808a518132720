//! An executor asks for a job.

use std::sync::PoisonError;
use std::time::Instant;

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

use super::Desk;
use super::access::{Caller, new_job_token};
use super::bodies;
use super::failure::Failure;
use super::shared::Shared;

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
    dequeue(desk, request.executor_name, vec![queue], form, false).await
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
    dequeue(desk, request.executor_name, queues, form, true).await
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

async fn dequeue(
    desk: Desk,
    holder: String,
    queues: Vec<QueueName>,
    form: JobForm,
    names_queue: bool,
) -> Result<Response, Failure> {
    let shared = desk.shared.clone();
    // Somebody who hangs up half-way must not leave a job that was taken and has no attempt.
    desk.carry(async move {
        let (token, hash) = new_job_token()?;
        let ask = Ask { queues, holder, token: Some(hash) };
        let Some(lease) = shared.store.dequeue(&ask, Timestamp::now()).await? else {
            return Ok(StatusCode::NO_CONTENT.into_response());
        };
        if names_queue {
            let mut turns = shared.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.gave(&lease.job.job.queue, Instant::now());
        }
        match written(&lease, token, form, names_queue) {
            Ok(job) => Ok(([(CONTENT_TYPE, "application/json")], job).into_response()),
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
