//! Output as server-sent events: `output` events whose id says where the output goes on after them, so that a client that comes again with
//! `Last-Event-ID` misses nothing and reads nothing twice; then `end` with the status, or `error`.

use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt, stream};
use jobwright_executor::OutputChunk;
use jobwright_model::{EndEvent, ExecutionId, LogStreamRequest, OutputData, OutputEvent};

use super::{Chunks, end, until_closing};
use crate::api::Api;
use crate::places::Place;
use crate::refusal::Refusal;

const LAST_EVENT_ID: &str = "last-event-id";

pub(super) async fn answer(
    api: &Api,
    mut request: LogStreamRequest,
    headers: &HeaderMap,
    place: Option<Place>,
) -> Result<Response, Refusal> {
    let from = last_event(headers)?;
    // Who comes again has read from there on; what came in the meantime is theirs too.
    request.tail &= from.is_none();
    let id = request.execution_id.clone();
    let output = match from {
        Some(from) => api.executor.get_log_stream_from(request, from).await?,
        None => api.executor.get_log_stream(request).await?,
    };
    let chunks = until_closing(output, api.closing.clone(), place);
    let api = api.clone();
    let keep_alive = KeepAlive::new().interval(api.keep_alive);
    let events = stream::unfold(Some(chunks), move |chunks| next(api.clone(), id.clone(), chunks));
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

fn last_event(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| {
        let message =
            format!("last-event-id is {value:?}, not the id of an event of this stream: a number of bytes");
        Refusal::bad("invalid_event_id", message)
    })
}

/// The next event; after `end` and `error` there is none.
async fn next(
    api: Api,
    id: ExecutionId,
    chunks: Option<Chunks>,
) -> Option<(Result<Event, axum::Error>, Option<Chunks>)> {
    let mut chunks = chunks?;
    match chunks.next().await {
        Some(Ok(chunk)) => Some((output(&chunk), Some(chunks))),
        Some(Err(refusal)) => Some((error(refusal), None)),
        None => match api.executor.get_status(&id).await {
            Ok(status) => Some((Event::default().event("end").json_data(EndEvent { status }), None)),
            Err(failure) => Some((error(failure.into()), None)),
        },
    }
}

fn output(chunk: &OutputChunk) -> Result<Event, axum::Error> {
    let data = match std::str::from_utf8(&chunk.bytes) {
        Ok(text) => OutputData::Text(text.to_owned()),
        Err(_) => OutputData::Base64(STANDARD.encode(&chunk.bytes)),
    };
    let event = OutputEvent { stream: chunk.stream, offset: chunk.offset, data };
    Event::default().event("output").id(end(chunk).to_string()).json_data(event)
}

fn error(refusal: Refusal) -> Result<Event, axum::Error> {
    Event::default().event("error").json_data(refusal.answer())
}
