//! Output as bytes, both streams in the order in which they were written.

use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt};
use jobwright_model::LogStreamRequest;

use super::{Chunks, end, until_closing, window};
use crate::api::Api;
use crate::places::Place;
use crate::range::Range;
use crate::refusal::Refusal;

pub(super) async fn answer(
    api: &Api,
    request: LogStreamRequest,
    headers: &HeaderMap,
    place: Option<Place>,
) -> Result<Response, Refusal> {
    let Some(range) = Range::of(headers)? else {
        return Ok((head(), body(open(api, request, place).await?)).into_response());
    };
    if request.follow || request.tail {
        let message = "a range is of what there is, and goes with neither follow nor tail; \
                       an event stream can be followed from any place by last-event-id";
        return Err(Refusal::bad("invalid_range", message));
    }
    part(api, request, range).await
}

/// The answer to a range. What is at its end is found by looking first: the header with it comes before the bytes.
async fn part(api: &Api, request: LogStreamRequest, range: Range) -> Result<Response, Refusal> {
    let seen = length(open(api, request.clone(), None).await?, range.until()).await?;
    let Some((from, to)) = range.within(seen) else {
        let message = format!("there is no byte of that range: the output has {seen} so far");
        let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "no_such_range", message);
        return Err(refusal.with_header(CONTENT_RANGE, value(format!("bytes */{seen}"))));
    };
    let whole = if seen < range.until() { seen.to_string() } else { "*".to_owned() };
    let place = [
        (CONTENT_RANGE, value(format!("bytes {from}-{}/{whole}", to - 1))),
        (CONTENT_LENGTH, HeaderValue::from(to - from)),
    ];
    let chunks = window(open(api, request, None).await?, from, to);
    Ok((StatusCode::PARTIAL_CONTENT, head(), place, body(chunks)).into_response())
}

/// How long the output is; when it reaches `until`, no more than that.
async fn length(mut chunks: Chunks, until: u64) -> Result<u64, Refusal> {
    let mut length = 0;
    while length < until
        && let Some(chunk) = chunks.next().await
    {
        length = end(&chunk?);
    }
    Ok(length.min(until))
}

async fn open(api: &Api, request: LogStreamRequest, place: Option<Place>) -> Result<Chunks, Refusal> {
    Ok(until_closing(api.executor.get_log_stream(request).await?, api.closing.clone(), place))
}

fn head() -> [(axum::http::HeaderName, HeaderValue); 2] {
    [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
    ]
}

/// An error on the way breaks the answer off, which a client sees.
fn body(chunks: Chunks) -> Body {
    Body::from_stream(chunks.map_ok(|chunk| chunk.bytes))
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("bytes */*"))
}
