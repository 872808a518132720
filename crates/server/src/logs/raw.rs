//! Output as bytes, both streams in the order in which they were written.

use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use jobwright_model::LogStreamRequest;

use super::{Chunks, before, until_closing};
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
        let output = api.executor.get_log_stream(request).await?;
        let chunks = until_closing(output, api.closing.clone(), place);
        return Ok((head(), body(chunks)).into_response());
    };
    if request.follow || request.tail {
        let message = "a range is of what there is, and goes with neither follow nor tail; \
                       an event stream can be followed from any place by last-event-id";
        return Err(Refusal::bad("invalid_range", message));
    }
    part(api, request, range).await
}

/// The answer to a range of what there is now.
async fn part(api: &Api, request: LogStreamRequest, range: Range) -> Result<Response, Refusal> {
    let length = api.executor.get_log_length(request.clone()).await?;
    let Some((from, to)) = range.within(length) else {
        let message = format!("there is no byte of that range: the output has {length} so far");
        let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "no_such_range", message);
        return Err(refusal.with_header(CONTENT_RANGE, value(format!("bytes */{length}"))));
    };
    let place = [
        (CONTENT_RANGE, value(format!("bytes {from}-{}/{length}", to - 1))),
        (CONTENT_LENGTH, HeaderValue::from(to - from)),
    ];
    let output = api.executor.get_log_stream_from(request, from).await?;
    let chunks = before(until_closing(output, api.closing.clone(), None), to);
    Ok((StatusCode::PARTIAL_CONTENT, head(), place, body(chunks)).into_response())
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
