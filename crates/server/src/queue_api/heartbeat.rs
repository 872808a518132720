//! An executor says that it lives and what it runs, and hears what of that is known and whose end is wanted: in the ways of three ages.

use std::collections::BTreeSet;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jobwright_model::{JobRef, QueueName, Speaker};
use jobwright_queue::wire::{HeartbeatAnswer, HeartbeatRequest};
use jobwright_store::Heard;

use super::Desk;
use super::bodies;
use super::failure::Failure;
use super::shared::Shared;

/// The most jobs that one executor says to run, and the most queues that it names.
const MOST: usize = 4096;
/// The most bytes of what an executor tells of one of its tools.
const ABOUT: usize = 256;

/// Of the queue that the path names.
pub(crate) async fn of_one(
    State(desk): State<Desk>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    desk.executor(&headers)?;
    let queue = desk.queue(&queue).await?;
    let request = read(body).await?;
    let ids = request.job_ids.clone().unwrap_or_default();
    let named = ids.into_iter().map(|id| JobRef::new(queue.clone(), id)).collect();
    let heard = hear(&desk, &request, named, vec![queue]).await?;
    let ids = |heard: &[Heard]| heard.iter().map(|heard| heard.job.id).collect::<Vec<_>>();
    let answer = if request.version != "V2" {
        HeartbeatAnswer::Known(ids(&heard))
    } else if request.reads_text_ids() {
        texts(&heard, |job| job.id.to_string())
    } else {
        HeartbeatAnswer::V2 { known: ids(&heard), cancel: ids(&to_end(&heard)) }
    };
    Ok(answered(&answer))
}

/// Of the queues that the body names; or, of before July 2021, of all.
pub(crate) async fn of_several(
    State(desk): State<Desk>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    desk.executor(&headers)?;
    let request = read(body).await?;
    if request.is_early() {
        return of_all(&desk, &request).await;
    }
    let mut named = Vec::new();
    check_queues(&request)?;
    for jobs in &request.job_ids_by_queue {
        // What is no queue's name has no jobs: none of them is known.
        let Ok(queue) = QueueName::new(jobs.queue_name.as_str()) else { continue };
        named.extend(jobs.job_ids.iter().map(|id| JobRef::new(queue.clone(), *id)));
    }
    let queues = request.queue_names.iter().filter_map(|name| QueueName::new(name.as_str()).ok()).collect();
    let heard = hear(&desk, &request, named, queues).await?;
    Ok(answered(&texts(&heard, ToString::to_string)))
}

fn check_queues(request: &HeartbeatRequest) -> Result<(), Failure> {
    if request.queue_names.is_empty() {
        return Err(Failure::error("queueNames must be set for multi-queue heartbeats"));
    }
    let others: Vec<&str> = request
        .job_ids_by_queue
        .iter()
        .map(|jobs| jobs.queue_name.as_str())
        .filter(|name| !request.queue_names.iter().any(|known| known == name))
        .take(10)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Failure::error(format!(
        "queue name(s) '{}' of jobIdsByQueue are not among queueNames: '{}'",
        others.join(", "),
        request.queue_names.join(", ")
    )))
}

/// The form of before July 2021: the numbers of jobs of all queues, and the answer is which of them are *not* known. Whose end is wanted had no way to
/// be told, so it is told as not known, which ends it too.
async fn of_all(desk: &Desk, request: &HeartbeatRequest) -> Result<Response, Failure> {
    let ids = request.job_ids.clone().unwrap_or_default();
    let queues = if ids.is_empty() { BTreeSet::new() } else { desk.shared.names.all().await? };
    let of_each = |id: &i64| queues.iter().map(|queue| JobRef::new(queue.clone(), *id)).collect::<Vec<_>>();
    let named = ids.iter().flat_map(of_each).collect();
    let heard = hear(desk, request, named, Vec::new()).await?;
    let runs = |id: &i64| heard.iter().any(|heard| heard.job.id == *id && !heard.cancel);
    let unknown = ids.iter().filter(|id| !runs(id)).copied().collect();
    Ok(answered(&HeartbeatAnswer::Unknown(unknown)))
}

async fn read(body: Body) -> Result<HeartbeatRequest, Failure> {
    let request = bodies::heartbeat(body, HeartbeatRequest::decode).await?;
    bodies::check_name(&request.executor_name)?;
    let by_queue: usize = request.job_ids_by_queue.iter().map(|jobs| jobs.job_ids.len()).sum();
    if request.job_ids.as_ref().map_or(0, Vec::len) + by_queue > MOST {
        return Err(Failure::bad(format!(
            "the executor says to run more than {MOST} jobs, which is not taken"
        )));
    }
    if request.queue_names.len() > MOST || request.job_ids_by_queue.len() > MOST {
        return Err(Failure::bad(format!("the executor names more than {MOST} queues, which is not taken")));
    }
    Ok(request)
}

/// Notes the sign of life of each of these jobs, and of the executor.
async fn hear(
    desk: &Desk,
    request: &HeartbeatRequest,
    named: Vec<JobRef>,
    mut queues: Vec<QueueName>,
) -> Result<Vec<Heard>, Failure> {
    let (shared, name) = (desk.shared.clone(), request.executor_name.clone());
    shared.metrics.keep(&name, &request.prometheus_metrics, Instant::now());
    let about =
        request.about.iter().map(|(key, value)| (key.clone(), value.chars().take(ABOUT).collect())).collect();
    desk.carry(async move {
        let by = |job| Speaker::Holder { name: name.clone(), job };
        let speakers: Vec<Speaker> = named.into_iter().map(by).collect();
        let heard = match speakers.is_empty() {
            true => Vec::new(),
            false => shared.store.heartbeat(&speakers, Timestamp::now()).await?,
        };
        if queues.is_empty() {
            queues = heard
                .iter()
                .map(|heard| heard.job.queue.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
        }
        note(&shared, &name, &queues, about).await;
        Ok(heard)
    })
    .await
}

/// That an executor lives is shown to people; when that cannot be kept, its jobs go on all the same.
async fn note(shared: &Shared, name: &str, queues: &[QueueName], about: Vec<(String, String)>) {
    if let Err(error) = shared.store.seen(name, queues, &about, Timestamp::now()).await {
        tracing::warn!(agent = name, "that the agent lives could not be kept: {error}");
    }
}

fn to_end(heard: &[Heard]) -> Vec<Heard> {
    heard.iter().filter(|heard| heard.cancel).cloned().collect()
}

fn texts(heard: &[Heard], text: impl Fn(&JobRef) -> String) -> HeartbeatAnswer {
    let texts = |heard: &[Heard]| heard.iter().map(|heard| text(&heard.job)).collect();
    HeartbeatAnswer::Texts { known: texts(heard), cancel: texts(&to_end(heard)) }
}

fn answered(answer: &HeartbeatAnswer) -> Response {
    ([(CONTENT_TYPE, "application/json")], answer.encode()).into_response()
}
