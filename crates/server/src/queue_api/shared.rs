//! What the queues' handlers share, at every door, those of executors and our own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobwright_queue::Turns;
use jobwright_store::QueueStore;
use tokio::sync::Semaphore;

use super::ROOT;
use super::access::Access;
use super::git::Upstream;
use super::metrics::AgentMetrics;
use super::names::Names;
use crate::ready::Readiness;

/// What the queues' handlers share.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn QueueStore>,
    pub(crate) names: Names,
    pub(crate) access: Access,
    pub(crate) files: Option<PathBuf>,
    pub(crate) git: Option<Upstream>,
    pub(crate) log_body: usize,
    /// Places for large bodies.
    pub(crate) large: Arc<Semaphore>,
    pub(crate) base_path: String,
    pub(crate) turns: Mutex<Turns>,
    pub(crate) stall_check: Duration,
    pub(crate) metrics: AgentMetrics,
    pub(crate) ready: Readiness,
}

impl Shared {
    /// Whether whoever reaches this may ask.
    pub(crate) fn is_open(&self) -> bool {
        self.access.is_open()
    }

    /// The beginnings of all paths that are answered here.
    pub(crate) fn beginnings(&self) -> Vec<String> {
        let mut beginnings = vec![ROOT.to_owned()];
        if !self.base_path.is_empty() {
            beginnings.push(format!("{}{ROOT}", self.base_path));
        }
        beginnings
    }
}
