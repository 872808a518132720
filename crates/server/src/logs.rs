//! The output of an execution: as bytes, whole or a range of them, or as server-sent events. It is pulled from the executor as fast as it
//! is read and never held: who reads slowly keeps a place in it, and nothing more.

mod events;
mod raw;

use std::pin::Pin;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::Response;
use futures_util::{Stream, StreamExt, stream};
use jobwright_executor::{OutputChunk, OutputStream};
use jobwright_model::{ExecutionId, JobId, LogStreamRequest};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::extract::{Asked, Id, flag};
use crate::places::Place;
use crate::refusal::Refusal;
use crate::schema;

/// Output on its way to a client.
type Chunks = Pin<Box<dyn Stream<Item = Result<OutputChunk, Refusal>> + Send>>;

/// What of the output is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogQuery {
    #[serde(default, deserialize_with = "flag")]
    follow: bool,
    #[serde(default, deserialize_with = "flag")]
    tail: bool,
    job: Option<JobId>,
}

/// The output of an execution: bytes, or events when `Accept` asks for `text/event-stream`.
#[utoipa::path(get, path = "/api/v1/executions/{id}/logs", tag = "executions", params(schema::PathId, schema::LogQuery, schema::LogHeaders), responses(
    (status = 200, description = "The output. As events: `output` (its id says where the output goes on after it), and at last `end` or `error`.", content(
        (schema::Bytes = "application/octet-stream"),
        (schema::LogEvent = "text/event-stream"),
    )),
    (status = 206, description = "The bytes that `Range` asked for.", body = schema::Bytes, content_type = "application/octet-stream"),
    (status = 416, description = "There is no byte of what `Range` asked for: `no_such_range`.", body = schema::ErrorAnswer),
    (status = "default", description = "An error: `not_found`, `other_job`, `logs_expired`, `invalid_range`, `invalid_query`, `too_many_waiting`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn get_logs(
    State(api): State<Api>,
    Id(id): Id,
    Asked(query): Asked<LogQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let events = wants_events(&headers);
    let place = if events || query.follow { Some(api.waits.take()?) } else { None };
    let request = request(&api, id, query).await?;
    if events {
        events::answer(&api, request, &headers, place).await
    } else {
        raw::answer(&api, request, &headers, place).await
    }
}

/// The job is the execution's own, when nobody names one.
async fn request(api: &Api, id: ExecutionId, query: LogQuery) -> Result<LogStreamRequest, Refusal> {
    let job_id = match query.job {
        Some(job) => job,
        None => api.executor.get_info(&id).await?.job_id,
    };
    Ok(LogStreamRequest { job_id, execution_id: id, tail: query.tail, follow: query.follow })
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|value| value.split(','));
    kinds.any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        parts.next().unwrap_or_default().eq_ignore_ascii_case("text/event-stream") && !parts.any(is_never)
    })
}

/// Whether a parameter of a kind says that it is not wanted (RFC 9110, 12.4.2).
fn is_never(parameter: &str) -> bool {
    let quality = parameter.strip_prefix("q=").or(parameter.strip_prefix("Q="));
    quality.is_some_and(|quality| quality.trim().parse() == Ok(0.0))
}

/// Output until its end; broken off when the server is to end, so that nobody takes what they have for all of it. It keeps its place until
/// it is dropped.
fn until_closing(output: OutputStream, closing: CancellationToken, place: Option<Place>) -> Chunks {
    let output = Some((output, place));
    Box::pin(stream::unfold(output, move |output| {
        let closing = closing.clone();
        async move {
            let (mut output, place) = output?;
            tokio::select! {
                biased;
                () = closing.cancelled() => Some((Err(Refusal::shutting_down()), None)),
                next = output.next() => match next? {
                    Ok(chunk) => Some((Ok(chunk), Some((output, place)))),
                    Err(error) => Some((Err(error.into()), None)),
                },
            }
        }
    }))
}

/// What of the output lies before `to`. Nothing behind it is pulled.
fn before(chunks: Chunks, to: u64) -> Chunks {
    Box::pin(stream::unfold(Some(chunks), move |chunks| async move {
        let mut chunks = chunks?;
        match chunks.next().await? {
            Ok(mut chunk) => {
                let room = usize::try_from(to.saturating_sub(chunk.offset)).unwrap_or(usize::MAX);
                chunk.bytes.truncate(room);
                let goes_on = end(&chunk) < to;
                Some((Ok(chunk), goes_on.then_some(chunks)))
            }
            Err(refusal) => Some((Err(refusal), None)),
        }
    }))
}

/// Where the output goes on after a piece.
fn end(chunk: &OutputChunk) -> u64 {
    chunk.offset.saturating_add(chunk.bytes.len() as u64)
}
