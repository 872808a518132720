//! An executor says how its job ended; and, until December 2022, asks whose end is wanted.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jobwright_model::{AttemptEnd, QueueName, QueuedState, Speaker};
use jobwright_queue::wire::{CanceledRequest, MarkCompleteRequest, MarkErroredRequest};
use jobwright_store::{Filter, Finished};

use super::Desk;
use super::bodies;
use super::failure::Failure;
use super::shared::Shared;

/// It succeeded.
pub(crate) async fn complete(
    State(desk): State<Desk>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    let (caller, queue) = desk.job(&headers, &queue).await?;
    let request = bodies::small(body, MarkCompleteRequest::decode).await?;
    let speaker = caller.speaker(queue, request.job_id, request.executor_name)?;
    finish(&desk, speaker, AttemptEnd::Completed).await
}

/// It failed, and another attempt may not.
pub(crate) async fn errored(
    State(desk): State<Desk>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    let (speaker, message) = not_well(&desk, &queue, &headers, body).await?;
    finish(&desk, speaker, AttemptEnd::Errored(message)).await
}

/// It failed, as any other attempt would.
pub(crate) async fn failed(
    State(desk): State<Desk>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    let (speaker, message) = not_well(&desk, &queue, &headers, body).await?;
    finish(&desk, speaker, AttemptEnd::Failed(message)).await
}

async fn not_well(
    desk: &Desk,
    queue: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Option<Speaker>, String), Failure> {
    let (caller, queue) = desk.job(headers, queue).await?;
    let request = bodies::small(body, MarkErroredRequest::decode).await?;
    let speaker = caller.speaker(queue, request.job_id, request.executor_name)?;
    Ok((speaker, request.error_message))
}

async fn finish(desk: &Desk, speaker: Option<Speaker>, end: AttemptEnd) -> Result<StatusCode, Failure> {
    let (speaker, shared) = (speaker.ok_or_else(Failure::not_held)?, desk.shared.clone());
    desk.carry(async move {
        match shared.store.finish(&speaker, &end, Timestamp::now()).await? {
            Finished::Now(_) => Ok(StatusCode::NO_CONTENT),
            Finished::Stale => Err(Failure::not_held()),
        }
    })
    .await
}

/// Whose end is wanted, of what the executor runs. It is no sign of life.
pub(crate) async fn canceled(
    State(desk): State<Desk>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Vec<i64>>, Failure> {
    desk.executor(&headers)?;
    let queue = desk.queue(&queue).await?;
    let request = bodies::small(body, CanceledRequest::decode).await?;
    bodies::check_name(&request.executor_name)?;
    let mut ids = to_end(&desk.shared, queue, &request.executor_name).await?;
    if let Some(known) = request.known_job_ids {
        ids.retain(|id| known.contains(id));
    }
    Ok(Json(ids))
}

async fn to_end(shared: &Shared, queue: QueueName, holder: &str) -> Result<Vec<i64>, Failure> {
    let mut filter =
        Filter { queue: Some(queue), states: vec![QueuedState::Processing], ..Filter::default() };
    let mut ids = Vec::new();
    loop {
        let jobs = shared.store.jobs(&filter).await?;
        let Some(last) = jobs.last() else { break };
        filter.after = Some(last.job.clone());
        let held = jobs.iter().filter(|job| job.cancel && job.holder.as_deref() == Some(holder));
        ids.extend(held.map(|job| job.job.id));
    }
    ids.sort_unstable();
    Ok(ids)
}
