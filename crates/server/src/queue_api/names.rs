//! Which queues there are. A queue is never removed, so what is known stays known, and only a name that is not costs a question.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jobwright_model::QueueName;
use jobwright_store::{QueueStore, Result};

/// The names of queues.
pub(crate) struct Names {
    store: Arc<dyn QueueStore>,
    known: Mutex<BTreeSet<QueueName>>,
}

impl Names {
    pub(crate) fn new(store: Arc<dyn QueueStore>) -> Self {
        Self { store, known: Mutex::default() }
    }

    /// Whether there is a queue of that name.
    pub(crate) async fn has(&self, queue: &QueueName) -> Result<bool> {
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(queue) {
            return Ok(true);
        }
        Ok(self.all().await?.contains(queue))
    }

    /// All of them.
    pub(crate) async fn all(&self) -> Result<BTreeSet<QueueName>> {
        let queues = self.store.queues(Timestamp::now()).await?;
        let names: BTreeSet<QueueName> = queues.into_iter().map(|summary| summary.queue).collect();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(names.iter().cloned());
        Ok(names)
    }
}
