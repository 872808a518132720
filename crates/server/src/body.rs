//! The body of a request, within bounds of size and time, read as JSON, and what is wrong with one that cannot be taken.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::refusal::Refusal;

/// The largest body in bytes.
pub(crate) const LARGEST: usize = 1 << 20;
/// How much of a larger one is read and thrown away, so that whoever sends it comes to read why it is refused.
const DISCARDED: usize = 16 << 20;
/// How long a body may take to come, or a piece of one that may be larger.
const TIME: Duration = Duration::from_secs(30);
/// How many bytes in a second come at least of one that may be larger.
const SLOWEST: usize = 256 << 10;

/// A body that is a `T`.
pub(crate) struct JsonBody<T>(pub(crate) T);

/// A large body of any JSON, and the place that it has.
pub(crate) async fn large_json(
    headers: &HeaderMap,
    body: Body,
    most: usize,
    large: &Arc<Semaphore>,
) -> Result<(serde_json::Value, Option<OwnedSemaphorePermit>), Refusal> {
    let Whole { bytes, place } = read(body, most, Some(large)).await?;
    said_to_be_json(headers)?;
    let malformed = |error: serde_json::Error| malformed(&error);
    if bytes.len() <= LARGEST {
        return Ok((serde_json::from_slice(&bytes).map_err(malformed)?, place));
    }
    // A long one is read where it keeps nobody else waiting.
    let parsed =
        tokio::task::spawn_blocking(move || serde_json::from_slice::<serde_json::Value>(&bytes)).await;
    Ok((parsed.map_err(|_| Refusal::unforeseen("the server"))?.map_err(malformed)?, place))
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let is_json = said_to_be_json(request.headers());
        let body = read(request.into_body(), LARGEST, None).await?;
        is_json?;
        parse(&body.bytes).map(Self)
    }
}

fn said_to_be_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "the body must be JSON, and say so: content-type: application/json";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message))
}

fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal::bad("malformed_json", format!("the body is no JSON: {error}"))
}

/// Why a body was not read.
pub(crate) enum Unread {
    /// It did not come in time; the most that it may take.
    Slow(Duration),
    /// It broke off.
    Broken(String),
    /// It has more bytes than this.
    TooLarge(usize),
}

/// A body, and the place that a large one has for as long as something of it is in memory.
pub(crate) struct Whole {
    pub(crate) bytes: Vec<u8>,
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// Reads a body of at most so many bytes. One of more than [`LARGEST`] needs one of the places for large ones, and waits for it: who may send much may
/// not fill the memory by sending it many times at once.
pub(crate) async fn read(body: Body, most: usize, large: Option<&Arc<Semaphore>>) -> Result<Whole, Unread> {
    let time = TIME + Duration::from_secs((most.saturating_sub(LARGEST) / SLOWEST) as u64);
    timeout(time, collect(body, most, large)).await.map_err(|_| Unread::Slow(time))?
}

async fn collect(body: Body, most: usize, large: Option<&Arc<Semaphore>>) -> Result<Whole, Unread> {
    let (mut pieces, mut bytes, mut length) = (body.into_data_stream(), Vec::new(), 0_usize);
    let mut place = None;
    while let Some(piece) = timeout(TIME, pieces.next()).await.map_err(|_| Unread::Slow(TIME))? {
        let piece = piece.map_err(|error| Unread::Broken(error.to_string()))?;
        length += piece.len();
        if length > most + DISCARDED {
            break;
        }
        if length > most {
            continue;
        }
        if let (None, Some(large)) = (&place, large.filter(|_| length > LARGEST)) {
            place = Arc::clone(large).acquire_owned().await.ok();
        }
        bytes.extend_from_slice(&piece);
    }
    if length > most { Err(Unread::TooLarge(most)) } else { Ok(Whole { bytes, place }) }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Slow(time) => {
                let message = format!("the body did not come within {} s", time.as_secs());
                Self::new(StatusCode::REQUEST_TIMEOUT, "slow_body", message)
            }
            Unread::Broken(reason) => Self::bad("broken_body", format!("the body broke off: {reason}")),
            Unread::TooLarge(most) => {
                let message = format!("the body is larger than {most} bytes");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
            }
        }
    }
}

/// Reads JSON, and says where it is wrong.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // A list of the right length would pass for an object.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Refusal::invalid("it is a list, where an object is expected"));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if !error.is_data() {
            return malformed(&error);
        }
        let place = if path == "." { String::new() } else { format!("{path}: ") };
        Refusal::invalid(format_args!("{place}{error}"))
    })?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use tokio::time::sleep;

    use super::*;

    /// A body of which a byte comes in each pause, so many times.
    fn trickle(pause: Duration, pieces: usize) -> Body {
        Body::from_stream(stream::unfold(0, move |piece| async move {
            sleep(pause).await;
            (piece < pieces).then_some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), piece + 1))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        for (body, most) in [
            (Body::from_stream(stream::pending::<std::io::Result<Bytes>>()), LARGEST),
            (trickle(TIME / 2, 3), LARGEST),
            (trickle(TIME * 2, 1), 100 << 20),
            (trickle(TIME / 2, 1000), 100 << 20),
        ] {
            assert!(matches!(read(body, most, None).await, Err(Unread::Slow(_))));
        }
        assert_eq!(read(trickle(TIME / 2, 10), 100 << 20, None).await.ok().unwrap().bytes.len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_body_waits_for_a_place_and_keeps_it() {
        let large = Arc::new(Semaphore::new(1));
        let body = || Body::from(vec![0; 2 * LARGEST]);
        let first = read(body(), 4 * LARGEST, Some(&large)).await.ok().unwrap();
        assert!(matches!(read(body(), 4 * LARGEST, Some(&large)).await, Err(Unread::Slow(_))));
        assert!(read(Body::from("x"), 4 * LARGEST, Some(&large)).await.is_ok(), "a small one needs none");
        drop(first);
        assert!(read(body(), 4 * LARGEST, Some(&large)).await.is_ok());
    }
}
