//! An executor tells what the commands of its job print.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jobwright_model::LogOut;
use jobwright_queue::wire::{AddExecutionLogEntryRequest, UpdateExecutionLogEntryRequest};
use jobwright_store::{AddedLog, LogUpdate};

use super::Desk;
use super::bodies::{self, Large};
use super::failure::Failure;

/// A command has begun, or has ended where its executor is an early one. The answer is the entry's number.
pub(crate) async fn add(
    State(desk): State<Desk>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<u64>, Failure> {
    let (caller, queue) = desk.job(&headers, &queue).await?;
    let Large { said: request, place } =
        bodies::log(&desk.shared, body, AddExecutionLogEntryRequest::decode).await?;
    let speaker = caller.speaker(queue, request.job_id, request.executor_name)?;
    let (speaker, shared) = (speaker.ok_or_else(Failure::unknown_job)?, desk.shared.clone());
    desk.carry(async move {
        let _place = place;
        match shared.store.add_log(&speaker, &request.entry.into(), Timestamp::now()).await? {
            AddedLog::As(entry) => Ok(Json(entry)),
            AddedLog::Stale => Err(Failure::unknown_job()),
        }
    })
    .await
}

/// A command has printed more, or has ended. What it printed comes whole each time.
pub(crate) async fn update(
    State(desk): State<Desk>,
    Path(queue): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    let (caller, queue) = desk.job(&headers, &queue).await?;
    let Large { said: request, place } =
        bodies::log(&desk.shared, body, UpdateExecutionLogEntryRequest::decode).await?;
    let speaker = caller.speaker(queue, request.job_id, request.executor_name)?;
    let (speaker, shared) = (speaker.ok_or_else(Failure::unknown_job)?, desk.shared.clone());
    // The original does not tell an entry that is not there from a job that is not held.
    let entry = u64::try_from(request.entry_id).map_err(|_| Failure::unknown_job())?;
    desk.carry(async move {
        let _place = place;
        let (end, out) = (request.entry.end(), LogOut::Whole(request.entry.out));
        match shared.store.update_log(&speaker, entry, &out, end, Timestamp::now()).await? {
            LogUpdate::Made(_) => Ok(StatusCode::NO_CONTENT),
            LogUpdate::Stale | LogUpdate::NoEntry | LogUpdate::Gap { .. } => Err(Failure::unknown_job()),
        }
    })
    .await
}
