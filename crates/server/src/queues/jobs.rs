//! The routes of a queue's jobs but for taking them in (`push`) and their logs (`logs`). No answer has what is to be run: it may hold secrets.

use axum::Json;
use axum::http::StatusCode;
use jiff::Timestamp;
use jobwright_model::{AttemptInfo, QueuedJobDetails, QueuedJobList, QueuedState, QueuedStateAnswer};
use jobwright_store::KeptAttempt;

use super::{OfJob, OfQueue, Queues, listing};
use crate::extract::{Asked, Nothing};
use crate::refusal::Refusal;
use crate::schema;

/// A page of a queue's jobs, the latest first.
#[utoipa::path(get, path = "/api/v1/queues/{queue}/jobs", tag = "queues", params(schema::PathQueue, schema::JobsQuery), responses(
    (status = 200, description = "A page of them.", body = schema::QueuedJobList),
    (status = "default", description = "An error: `no_queues`, `no_queue`, `invalid_query`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn list_jobs(
    queues: Queues,
    OfQueue(queue): OfQueue,
    Asked(query): Asked<Vec<(String, String)>>,
) -> Result<Json<QueuedJobList>, Refusal> {
    queues.has(&queue).await?;
    let filter = listing::filter(queue, query)?;
    let jobs = queues.store().jobs(&filter).await?;
    let next = jobs.last().filter(|_| jobs.len() >= filter.limit).map(|job| job.job.id);
    Ok(Json(QueuedJobList { jobs: jobs.into_iter().map(Into::into).collect(), next }))
}

/// A job and the attempts at it.
#[utoipa::path(get, path = "/api/v1/queues/{queue}/jobs/{id}", tag = "queues", params(schema::PathJob), responses(
    (status = 200, description = "What is known of it.", body = schema::QueuedJobDetails),
    (status = "default", description = "An error: `no_queues`, `no_queue`, `no_job`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn get_job(
    queues: Queues,
    OfJob(job): OfJob,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<QueuedJobDetails>, Refusal> {
    let Some(kept) = queues.store().job(&job).await? else { return Err(queues.lacks(&job).await) };
    let attempts = queues.store().attempts(&job).await?;
    Ok(Json(QueuedJobDetails { job: kept.into(), attempts: attempts.into_iter().map(attempt).collect() }))
}

fn attempt(kept: KeptAttempt) -> AttemptInfo {
    AttemptInfo {
        attempt: kept.attempt,
        holder: kept.holder,
        state: kept.state,
        started_at: kept.started_at,
        finished_at: kept.finished_at,
        failure_message: kept.failure_message,
    }
}

/// Wants the end of a job: one that waits is canceled at once, of one that runs the agent is told. One that was canceled before stays so.
#[utoipa::path(post, path = "/api/v1/queues/{queue}/jobs/{id}/cancel", tag = "queues", params(schema::PathJob), responses(
    (status = 200, description = "`canceled`, or `processing` until its agent has ended it.", body = schema::QueuedStateAnswer),
    (status = "default", description = "An error: `no_queues`, `no_queue`, `no_job`, `has_ended`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn cancel_job(
    queues: Queues,
    OfJob(job): OfJob,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<QueuedStateAnswer>, Refusal> {
    let wanted = job.clone();
    let stands = queues.carry(|store| async move { store.cancel(&wanted, Timestamp::now()).await }).await?;
    match stands {
        None => Err(queues.lacks(&job).await),
        Some(state @ (QueuedState::Completed | QueuedState::Failed)) => {
            let message = format!("{job} has ended: {state}; nothing was changed");
            Err(Refusal::new(StatusCode::CONFLICT, "has_ended", message))
        }
        Some(state) => Ok(Json(QueuedStateAnswer::new(&job, state))),
    }
}

/// Queues a job again that failed or was canceled.
#[utoipa::path(post, path = "/api/v1/queues/{queue}/jobs/{id}/retry", tag = "queues", params(schema::PathJob), responses(
    (status = 200, description = "It is `queued` again.", body = schema::QueuedStateAnswer),
    (status = "default", description = "An error: `no_queues`, `no_queue`, `no_job`, `wrong_state`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn retry_job(
    queues: Queues,
    OfJob(job): OfJob,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<QueuedStateAnswer>, Refusal> {
    let wanted = job.clone();
    let stood = queues.carry(|store| async move { store.retry(&wanted, Timestamp::now()).await }).await?;
    match stood {
        None => Err(queues.lacks(&job).await),
        Some(QueuedState::Failed | QueuedState::Canceled) => {
            Ok(Json(QueuedStateAnswer::new(&job, QueuedState::Queued)))
        }
        Some(state) => {
            let message = format!("{job} is {state}; only what failed or was canceled is queued again");
            Err(Refusal::new(StatusCode::CONFLICT, "wrong_state", message))
        }
    }
}
