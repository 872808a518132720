//! How much goes on at one door at a time. Each door has places of its own, so that who fills one (over TCP every user of the machine can,
//! token or not) does not stand before another; and requests that wait may not have all of them, so that a `cancel` is always heard.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// A place that is taken until this is dropped.
pub(crate) type Place = OwnedSemaphorePermit;

/// The places of a door.
#[derive(Clone)]
pub(crate) struct Places {
    /// For connections; more wait to be taken.
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) waits: Waits,
}

/// The places for requests that last as long as something else does; more are refused.
#[derive(Clone)]
pub(crate) struct Waits {
    free: Arc<Semaphore>,
    count: usize,
}

impl Places {
    /// So many connections, two at least; three quarters of them may wait.
    pub(crate) fn new(connections: usize) -> Self {
        let connections = connections.clamp(2, Semaphore::MAX_PERMITS);
        let count = connections - connections.div_ceil(4);
        let waits = Waits { free: Arc::new(Semaphore::new(count)), count };
        Self { connections: Arc::new(Semaphore::new(connections)), waits }
    }
}

impl Waits {
    /// A place, if one is free: whoever waited for one would keep a connection meanwhile.
    pub(crate) fn take(&self) -> Result<Place, Refusal> {
        Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            let message = format!(
                "{} requests that wait, follow output or run a command are being answered, and more are not taken here; \
                 ask again when one of them has ended",
                self.count
            );
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_waiting", message)
                .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_place_for_one_that_does_not_wait() {
        for connections in [0, 1, 2, 3, 4, 5, 1024, usize::MAX] {
            let places = Places::new(connections);
            let waits = places.waits.count;
            assert!(waits >= 1 && waits < places.connections.available_permits(), "{connections}");
        }
    }
}
