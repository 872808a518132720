//! The bodies of requests, read within their bounds. Not for what is in them.

use axum::body::Body;
use jobwright_queue::wire::Malformed;
use tokio::sync::OwnedSemaphorePermit;

use super::failure::Failure;
use super::shared::Shared;
use crate::body::{LARGEST, Whole, read};

/// The most bytes of a sign of life: its metrics may be large, and one that is refused would cost its executor all of its jobs.
const HEARTBEAT: usize = 4 << 20;
/// The longest name of an executor in bytes.
const NAME: usize = 255;

/// A small body.
pub(crate) async fn small<T>(
    body: Body,
    decode: impl FnOnce(&[u8]) -> Result<T, Malformed>,
) -> Result<T, Failure> {
    Ok(decode(&read(body, LARGEST, None).await?.bytes)?)
}

/// A sign of life.
pub(crate) async fn heartbeat<T>(
    body: Body,
    decode: impl FnOnce(&[u8]) -> Result<T, Malformed>,
) -> Result<T, Failure> {
    Ok(decode(&read(body, HEARTBEAT, None).await?.bytes)?)
}

/// What was in a large body, and the place that it has until it was kept.
pub(crate) struct Large<T> {
    pub(crate) said: T,
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// An entry of a log.
pub(crate) async fn log<T: Send + 'static>(
    shared: &Shared,
    body: Body,
    decode: impl FnOnce(&[u8]) -> Result<T, Malformed> + Send + 'static,
) -> Result<Large<T>, Failure> {
    let Whole { bytes, place } = read(body, shared.log_body, Some(&shared.large)).await?;
    if bytes.len() <= LARGEST {
        return Ok(Large { said: decode(&bytes)?, place });
    }
    // A long one is read where it keeps nobody else waiting.
    let decoded = tokio::task::spawn_blocking(move || decode(&bytes)).await;
    let failed = |_| Failure::error("the body could not be read, in a way that nobody foresaw");
    Ok(Large { said: decoded.map_err(failed)??, place })
}

/// That the name of an executor is one, where it asks for jobs or says that it lives. Without a name, whose a job is could not be told.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    if name.is_empty() {
        return Err(Failure::error("worker hostname cannot be empty"));
    }
    if name.len() > NAME || name.chars().any(char::is_control) {
        let message = "executorName has to have at most 255 bytes and no control characters";
        return Err(Failure::bad(message));
    }
    Ok(())
}
