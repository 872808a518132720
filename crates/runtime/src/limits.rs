//! How long things may take: the bounds that keep a job from hanging on its surroundings, and the moment at which its own time is
//! over. What the author of a job sets are its `Timeouts`; those are plain data of the model.

use std::time::Duration;

use jobwright_backend::{Backend, Error};
use jobwright_model::Cause;
use tokio::time::{Instant, sleep_until};

use crate::scope::Scope;

/// In place of an instant that no clock reaches.
const FAR_FUTURE: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Bounds that keep a job from hanging on its surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a cleanup may take: one step's, the workflow's, or a phase that always runs once its job was ended. At least as
    /// long as the backend's own grace (DESIGN rule 2).
    pub cleanup: Duration,
    /// How long a log may be waited for after its process ended, while now and then output comes.
    pub drain: Duration,
    /// How long a log may stay open and silent after its process ended.
    pub drain_silence: Duration,
    /// How long reading may take that never has to wait: what a process printed faster than it could be read.
    pub backlog: Duration,
    /// How long an engine may not answer before what runs on it is lost.
    pub patience: Duration,
}

impl Default for Limits {
    /// Two minutes for cleanup, 30 s, 1 s and 10 minutes for a log, 30 s for an engine.
    fn default() -> Self {
        Self {
            cleanup: Duration::from_secs(120),
            drain: Duration::from_secs(30),
            drain_silence: Duration::from_secs(1),
            backlog: Duration::from_secs(600),
            patience: Duration::from_secs(30),
        }
    }
}

impl Limits {
    pub(crate) fn cleanup_overdue(&self, backend: &dyn Backend) -> Error {
        Error::EngineGone {
            engine: backend.name(),
            reason: format!("cleaning up took longer than {:?}", self.cleanup),
        }
    }
}

/// `time` after `instant`, however long that is.
pub(crate) fn after(instant: Instant, time: Duration) -> Instant {
    instant.checked_add(time).unwrap_or_else(|| instant + FAR_FUTURE)
}

/// When the time of a job is over, and how long that time was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    limit: Duration,
    at: Instant,
}

impl Deadline {
    /// So long from when it began, which was `before` now.
    pub(crate) fn since(limit: Option<Duration>, before: Duration) -> Option<Self> {
        limit.map(|limit| Self { limit, at: after(Instant::now(), limit.saturating_sub(before)) })
    }

    /// The moment.
    pub(crate) fn at(self) -> Instant {
        self.at
    }

    /// Whether it strikes before `time` from now has passed.
    pub(crate) fn strikes_within(self, time: Duration) -> bool {
        self.at < after(Instant::now(), time)
    }

    /// Ends `scope` when it strikes.
    pub(crate) async fn strike(self, scope: Scope) {
        sleep_until(self.at).await;
        scope.cancel(Cause::Timeout);
    }

    /// What to say of something that it ended.
    pub(crate) fn evidence(self) -> String {
        format!("the job ran longer than {:?}", self.limit)
    }
}
