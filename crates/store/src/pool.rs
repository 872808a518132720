//! A few connections for many who read. Not for how one is made or what is done with it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many read at the same time.
const MOST: usize = 4;

/// Connections of kind `S`.
pub(crate) struct Pool<S> {
    idle: Arc<Mutex<Vec<S>>>,
    places: Arc<Semaphore>,
}

/// Leave to use one connection, for as long as this is kept.
pub(crate) struct Place<S> {
    idle: Arc<Mutex<Vec<S>>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<S> Pool<S> {
    pub(crate) fn new() -> Self {
        Self { idle: Arc::default(), places: Arc::new(Semaphore::new(MOST)) }
    }

    /// Waits until one more may be used.
    pub(crate) async fn place(&self) -> Place<S> {
        // It is never closed.
        let permit = Arc::clone(&self.places).acquire_owned().await.ok();
        Place { idle: Arc::clone(&self.idle), _permit: permit }
    }
}

impl<S> Place<S> {
    /// One that is there and idle.
    pub(crate) fn idle(&self) -> Option<S> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps one for whoever comes next.
    pub(crate) fn keep(&self, connection: S) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
