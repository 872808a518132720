//! The bodies of requests, read within their bounds. Not for what is in them.

use axum::body::Body;
use jobwright_queue::wire::Malformed;

use super::failure::Failure;
use super::shared::Shared;
use crate::body::{LARGEST, read};

/// The most bytes of a sign of life: its metrics may be large, and one that is refused would cost its executor all of its jobs.
const HEARTBEAT: usize = 4 << 20;
/// From so many bytes on a body is read where it keeps nobody else waiting.
const LONG: usize = 1 << 20;
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

/// An entry of a log.
pub(crate) async fn log<T: Send + 'static>(
    shared: &Shared,
    body: Body,
    decode: impl FnOnce(&[u8]) -> Result<T, Malformed> + Send + 'static,
) -> Result<T, Failure> {
    let whole = read(body, shared.log_body, Some(&shared.large)).await?;
    if whole.bytes.len() < LONG {
        return Ok(decode(&whole.bytes)?);
    }
    let decoded = tokio::task::spawn_blocking(move || decode(&whole.bytes)).await;
    Ok(decoded.map_err(|_| Failure::error("the body could not be read, in a way that nobody foresaw"))??)
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
