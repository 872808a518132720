//! The JSON body of a request, within bounds of size and time, and what is wrong with one that cannot be taken.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::refusal::Refusal;

/// The largest body in bytes.
pub(crate) const LARGEST: usize = 1 << 20;
/// How much of a larger one is read and thrown away, so that whoever sends it comes to read why it is refused.
const DISCARDED: usize = 16 << 20;
/// How long a body may take to come.
const TIME: Duration = Duration::from_secs(30);

/// A body that is a `T`.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let is_json = is_json(request.headers());
        let slow = |_| {
            let message = format!("the body did not come within {} s", TIME.as_secs());
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "slow_body", message)
        };
        let body = timeout(TIME, read(request.into_body())).await.map_err(slow)??;
        if !is_json {
            let message = "the body must be JSON, and say so: content-type: application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message));
        }
        parse(&body).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

async fn read(body: Body) -> Result<Vec<u8>, Refusal> {
    let (mut pieces, mut kept, mut length) = (body.into_data_stream(), Vec::new(), 0_usize);
    while let Some(piece) = pieces.next().await {
        let piece =
            piece.map_err(|error| Refusal::bad("broken_body", format!("the body broke off: {error}")))?;
        length += piece.len();
        if length <= LARGEST {
            kept.extend_from_slice(&piece);
        } else if length > LARGEST + DISCARDED {
            break;
        }
    }
    if length <= LARGEST {
        return Ok(kept);
    }
    let message = format!("the body is larger than {LARGEST} bytes");
    Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message))
}

/// Reads JSON, and says where it is wrong.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let malformed =
        |error: serde_json::Error| Refusal::bad("malformed_json", format!("the body is no JSON: {error}"));
    // A list of the right length would pass for an object.
    if body.trim_ascii_start().starts_with(b"[") {
        let message = "invalid request: it is a list, where an object is expected";
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if !error.is_data() {
            return malformed(error);
        }
        let place = if path == "." { String::new() } else { format!("{path}: ") };
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", format!("invalid request: {place}{error}"))
    })?;
    reader.end().map_err(malformed)?;
    Ok(value)
}
