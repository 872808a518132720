//! The routes of queues as wholes: what there is, their rules, pausing one. Not for the jobs in them.

use axum::Json;
use axum::http::StatusCode;
use jiff::Timestamp;
use jobwright_model::{QueueInfo, QueueList, QueueMade, QueueRules};
use jobwright_store::QueueSummary;

use super::{OfQueue, Queues, no_queue};
use crate::body::JsonBody;
use crate::extract::{Asked, Nothing};
use crate::refusal::Refusal;
use crate::schema;

/// All queues, with how much is in them.
#[utoipa::path(get, path = "/api/v1/queues", tag = "queues", responses(
    (status = 200, description = "All of them, by name.", body = schema::QueueList),
    (status = "default", description = "An error: `no_queues`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn list_queues(
    queues: Queues,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<QueueList>, Refusal> {
    let summaries = queues.store().queues(Timestamp::now()).await?;
    Ok(Json(QueueList { queues: summaries.into_iter().map(info).collect() }))
}

fn info(summary: QueueSummary) -> QueueInfo {
    QueueInfo {
        queue: summary.queue,
        paused: summary.paused,
        counts: summary.counts.into_iter().collect(),
        oldest_due: summary.oldest_due,
        stale_writes: summary.stale_writes,
        rules: summary.rules,
    }
}

/// Makes a queue, or gives one other rules. What is not said is as it is by itself.
#[utoipa::path(put, path = "/api/v1/queues/{queue}", tag = "queues", params(schema::PathQueue), request_body = schema::QueueRules, responses(
    (status = 201, description = "It was made.", body = schema::QueueMade),
    (status = 200, description = "It was there, and has these rules now.", body = schema::QueueMade),
    (status = "default", description = "An error: `no_queues`, `invalid`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn put_queue(
    queues: Queues,
    OfQueue(queue): OfQueue,
    Asked(Nothing {}): Asked<Nothing>,
    JsonBody(rules): JsonBody<QueueRules>,
) -> Result<(StatusCode, Json<QueueMade>), Refusal> {
    let made = QueueMade { queue: queue.clone(), rules: rules.clone() };
    let is_new = queues.carry(|store| async move { store.create_queue(&queue, &rules).await }).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(made)))
}

/// Keeps a queue from giving anything out. What runs goes on.
#[utoipa::path(post, path = "/api/v1/queues/{queue}/pause", tag = "queues", params(schema::PathQueue), responses(
    (status = 204, description = "It gives nothing out."),
    (status = "default", description = "An error: `no_queues`, `no_queue`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn pause_queue(
    queues: Queues,
    OfQueue(queue): OfQueue,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<StatusCode, Refusal> {
    set_paused(&queues, OfQueue(queue), true).await
}

/// Lets a queue that is paused go on.
#[utoipa::path(post, path = "/api/v1/queues/{queue}/resume", tag = "queues", params(schema::PathQueue), responses(
    (status = 204, description = "It goes on."),
    (status = "default", description = "An error: `no_queues`, `no_queue`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn resume_queue(
    queues: Queues,
    OfQueue(queue): OfQueue,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<StatusCode, Refusal> {
    set_paused(&queues, OfQueue(queue), false).await
}

async fn set_paused(queues: &Queues, OfQueue(queue): OfQueue, paused: bool) -> Result<StatusCode, Refusal> {
    let name = queue.clone();
    match queues.carry(|store| async move { store.pause_queue(&name, paused).await }).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_queue(&queue)),
    }
}
