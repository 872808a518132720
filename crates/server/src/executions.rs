//! The routes of executions but for their output: each asks the executor one thing. Not for what an answer means.

use std::pin::pin;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use jobwright_executor::Error as ExecutorError;
use jobwright_model::{
    ExecutionInfo, ExecutionList, ExecutionRequest, ExecutionStats, ExecutionStatus, ExecutorAnswer, NetInfo,
    Started, StatusAnswer, Waited,
};
use serde::Deserialize;
use tokio::time::timeout;

use crate::api::Api;
use crate::body::JsonBody;
use crate::extract::{Asked, Id, Nothing, seconds};
use crate::places::Place;
use crate::refusal::Refusal;
use crate::schema;

/// How long a wait lasts when nobody says.
const WAIT: Duration = Duration::from_secs(30);
/// How long an execution has to end before it is removed, when nobody says.
const REMOVAL: Duration = Duration::from_secs(30);

type Answer<T> = Result<Json<T>, Refusal>;
type Done = Result<StatusCode, Refusal>;

/// A query that may say how long.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Within {
    #[serde(default, deserialize_with = "seconds")]
    timeout: Option<Duration>,
}

/// A query that may say which status to wait for, and how long.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Until {
    until: Option<ExecutionStatus>,
    #[serde(default, deserialize_with = "seconds")]
    timeout: Option<Duration>,
}

/// The executor's id, the same after a restart.
#[utoipa::path(get, path = "/api/v1/executor", tag = "executions", responses(
    (status = 200, description = "The executor.", body = schema::ExecutorAnswer),
    (status = "default", description = "An error.", body = schema::ErrorAnswer),
))]
pub(crate) async fn get_executor(
    State(api): State<Api>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Json<ExecutorAnswer> {
    Json(ExecutorAnswer { id: api.executor.get_id() })
}

/// Takes an execution in and begins with it. It goes on when the one who asked hangs up.
#[utoipa::path(post, path = "/api/v1/executions", tag = "executions", request_body = schema::ExecutionRequest, responses(
    (status = 201, description = "It was taken in.", body = schema::Started, headers(("location" = String, description = "Its path."))),
    (status = "default", description = "An error: `already_started`, `already_completed`, `other_job`, `invalid`, `unknown_engine`, `unsupported`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn start(
    State(api): State<Api>,
    Asked(Nothing {}): Asked<Nothing>,
    JsonBody(request): JsonBody<ExecutionRequest>,
) -> Result<Response, Refusal> {
    let started = Started { execution_id: request.execution_id.clone(), job_id: request.job_id.clone() };
    api.carry(|executor| async move { executor.start(request).await }).await?;
    let location = format!("/api/v1/executions/{}", started.execution_id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(started)).into_response())
}

/// All executions, in the order of their ids.
#[utoipa::path(get, path = "/api/v1/executions", tag = "executions", responses(
    (status = 200, description = "All of them.", body = schema::ExecutionList),
    (status = "default", description = "An error.", body = schema::ErrorAnswer),
))]
pub(crate) async fn list(State(api): State<Api>, Asked(Nothing {}): Asked<Nothing>) -> Answer<ExecutionList> {
    Ok(Json(ExecutionList { executions: api.executor.list().await? }))
}

/// Ends and removes all executions.
#[utoipa::path(delete, path = "/api/v1/executions", tag = "executions", responses(
    (status = 204, description = "None is left."),
    (status = "default", description = "An error; `several`, when some could not be removed. The others were.", body = schema::ErrorAnswer),
))]
pub(crate) async fn cleanup(State(api): State<Api>, Asked(Nothing {}): Asked<Nothing>) -> Done {
    api.carry(|executor| async move { executor.cleanup().await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is known of an execution.
#[utoipa::path(get, path = "/api/v1/executions/{id}", tag = "executions", params(schema::PathId), responses(
    (status = 200, description = "What is known of it.", body = schema::ExecutionInfo),
    (status = "default", description = "An error: `not_found`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn get_info(
    State(api): State<Api>,
    Id(id): Id,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer<ExecutionInfo> {
    Ok(Json(api.executor.get_info(&id).await?))
}

/// Ends an execution, if it has not ended, and forgets it: its output, its result, its id.
#[utoipa::path(delete, path = "/api/v1/executions/{id}", tag = "executions", params(schema::PathId, schema::RemovalQuery), responses(
    (status = 204, description = "It is gone."),
    (status = "default", description = "An error: `not_found`, `did_not_reach`, when it did not end in time; it stays then.", body = schema::ErrorAnswer),
))]
pub(crate) async fn remove(State(api): State<Api>, Id(id): Id, Asked(within): Asked<Within>) -> Done {
    let limit = within.timeout.unwrap_or(REMOVAL);
    api.carry(|executor| async move { executor.remove(&id, limit).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How an execution stands; with `until`, as soon as it stands so.
#[utoipa::path(get, path = "/api/v1/executions/{id}/status", tag = "executions", params(schema::PathId, schema::StatusQuery), responses(
    (status = 200, description = "How it stands.", body = schema::StatusAnswer),
    (status = "default", description = "An error: `not_found`, `too_many_waiting`, `did_not_reach`, when it did not come to `until` in time.", body = schema::ErrorAnswer),
))]
pub(crate) async fn get_status(
    State(api): State<Api>,
    Id(id): Id,
    Asked(query): Asked<Until>,
) -> Answer<StatusAnswer> {
    let status = match query.until {
        None if query.timeout.is_some() => {
            let message = "the query is wrong: timeout says how long to wait for a status, but until, which names it, is missing";
            return Err(Refusal::bad("invalid_query", message));
        }
        None => api.executor.get_status(&id).await?,
        Some(status) => {
            let _place = place(&api, query.timeout)?;
            api.unless_closing(api.executor.wait_for_status(&id, status, query.timeout)).await??;
            status
        }
    };
    Ok(Json(StatusAnswer { execution_id: id, status }))
}

/// The place of a request that waits; one that may wait for no time needs none.
fn place(api: &Api, time: Option<Duration>) -> Result<Option<Place>, Refusal> {
    if time == Some(Duration::ZERO) { Ok(None) } else { api.waits.take().map(Some) }
}

/// Waits until an execution has ended, for some time.
#[utoipa::path(get, path = "/api/v1/executions/{id}/wait", tag = "executions", params(schema::PathId, schema::WaitQuery), responses(
    (status = 200, description = "It has ended; `concluded_before` says whether it had when this was asked.", body = schema::Waited),
    (status = 204, description = "The time is over and it has not ended: ask again."),
    (status = "default", description = "An error: `not_found`, `too_many_waiting`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn wait(
    State(api): State<Api>,
    Id(id): Id,
    Asked(within): Asked<Within>,
) -> Result<Response, Refusal> {
    let _place = place(&api, within.timeout)?;
    let limit = within.timeout.unwrap_or(WAIT);
    let mut waiting = pin!(api.unless_closing(api.executor.wait(&id)));
    let outcome = match timeout(limit, waiting.as_mut()).await {
        Ok(outcome) => outcome,
        // However short the time was: what has ended is told, and what is not known too.
        Err(_) if api.executor.get_status(&id).await?.is_terminal() => waiting.await,
        Err(_) => return Ok(StatusCode::NO_CONTENT.into_response()),
    };
    let waited = match outcome? {
        Ok(result) => Waited { concluded_before: false, result },
        Err(ExecutorError::AlreadyConcluded { result, .. }) => {
            Waited { concluded_before: true, result: *result }
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Json(waited).into_response())
}

/// Ends an execution: SIGTERM, the grace, then SIGKILL. Answers when it has ended.
#[utoipa::path(post, path = "/api/v1/executions/{id}/cancel", tag = "executions", params(schema::PathId), responses(
    (status = 204, description = "It has ended."),
    (status = "default", description = "An error: `not_found`, `already_concluded` (with `result`).", body = schema::ErrorAnswer),
))]
pub(crate) async fn cancel(State(api): State<Api>, Id(id): Id, Asked(Nothing {}): Asked<Nothing>) -> Done {
    api.carry(|executor| async move { executor.cancel(&id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes an execution stand still.
#[utoipa::path(post, path = "/api/v1/executions/{id}/pause", tag = "executions", params(schema::PathId), responses(
    (status = 204, description = "It stands still."),
    (status = "default", description = "An error: `not_found`, `already_concluded` (with `result`), `wrong_status`, `unsupported`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn pause(State(api): State<Api>, Id(id): Id, Asked(Nothing {}): Asked<Nothing>) -> Done {
    api.carry(|executor| async move { executor.pause(&id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets an execution that stands still go on.
#[utoipa::path(post, path = "/api/v1/executions/{id}/resume", tag = "executions", params(schema::PathId), responses(
    (status = 204, description = "It goes on."),
    (status = "default", description = "An error: `not_found`, `already_concluded` (with `result`), `wrong_status`, `unsupported`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn resume(State(api): State<Api>, Id(id): Id, Asked(Nothing {}): Asked<Nothing>) -> Done {
    api.carry(|executor| async move { executor.resume(&id).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What an execution uses.
#[utoipa::path(get, path = "/api/v1/executions/{id}/stats", tag = "executions", params(schema::PathId), responses(
    (status = 200, description = "What it uses.", body = schema::ExecutionStats),
    (status = "default", description = "An error: `not_found`, `already_concluded` (with `result`), `wrong_status`, `unsupported`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn stats(
    State(api): State<Api>,
    Id(id): Id,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer<ExecutionStats> {
    Ok(Json(api.executor.stats(&id).await?))
}

/// How an execution is reached.
#[utoipa::path(get, path = "/api/v1/executions/{id}/network", tag = "executions", params(schema::PathId), responses(
    (status = 200, description = "How it is reached.", body = schema::NetInfo),
    (status = "default", description = "An error: `not_found`, `already_concluded` (with `result`), `wrong_status`, `unsupported`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn get_net_info(
    State(api): State<Api>,
    Id(id): Id,
    Asked(Nothing {}): Asked<Nothing>,
) -> Answer<NetInfo> {
    Ok(Json(api.executor.get_net_info(&id).await?))
}
