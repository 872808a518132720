//! What is said over HTTP about queues and their jobs: the server writes it, the client reads it. No payload is in any answer, as it may hold
//! secrets. Not for routes or statuses, which are theirs, nor for what agents say (`queue`).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::QueueName;
use crate::queue::{JobRef, QueueRules, QueuedJob, QueuedState};

/// All queues.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueList {
    /// By name.
    pub queues: Vec<QueueInfo>,
}

/// A queue and how much is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueInfo {
    /// Its name.
    pub queue: QueueName,
    /// Nothing is given out.
    pub paused: bool,
    /// How many jobs are in each state.
    pub counts: QueueCounts,
    /// Since when the job that is due longest has been so; none when none is.
    pub oldest_due: Option<Timestamp>,
    /// How many writes came from those who did not hold what they wrote of, since the queue was made.
    pub stale_writes: u64,
    /// What it holds its jobs to.
    pub rules: QueueRules,
}

/// How many jobs of a queue are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCounts {
    /// They wait.
    pub queued: u64,
    /// An attempt at them runs.
    pub processing: u64,
    /// They succeeded.
    pub completed: u64,
    /// They failed and are tried again.
    pub errored: u64,
    /// They failed.
    pub failed: u64,
    /// Somebody wanted their end.
    pub canceled: u64,
}

impl QueueCounts {
    fn of_mut(&mut self, state: QueuedState) -> &mut u64 {
        match state {
            QueuedState::Queued => &mut self.queued,
            QueuedState::Processing => &mut self.processing,
            QueuedState::Completed => &mut self.completed,
            QueuedState::Errored => &mut self.errored,
            QueuedState::Failed => &mut self.failed,
            QueuedState::Canceled => &mut self.canceled,
        }
    }
}

impl FromIterator<(QueuedState, u64)> for QueueCounts {
    fn from_iter<I: IntoIterator<Item = (QueuedState, u64)>>(counts: I) -> Self {
        let mut all = Self::default();
        for (state, count) in counts {
            *all.of_mut(state) += count;
        }
        all
    }
}

/// A queue has these rules now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueMade {
    /// Its name.
    pub queue: QueueName,
    /// What it holds its jobs to from now on.
    pub rules: QueueRules,
}

/// A job that is to be pushed.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushRequest {
    /// What is to be run.
    pub payload: Value,
    /// Whose it is; empty for nobody's in particular.
    #[serde(default)]
    pub tenant: String,
    /// Jobs of a higher one come first.
    #[serde(default)]
    pub priority: i32,
    /// It is not begun before.
    #[serde(default)]
    pub process_after: Option<Timestamp>,
}

/// Without what is to be run, which may hold secrets.
impl std::fmt::Debug for PushRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushRequest")
            .field("tenant", &self.tenant)
            .field("priority", &self.priority)
            .field("process_after", &self.process_after)
            .finish_non_exhaustive()
    }
}

/// Jobs were taken in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedJobs {
    /// As `NUMBER-QUEUE`, in the order in which they were pushed.
    pub jobs: Vec<String>,
}

/// A page of a queue's jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedJobList {
    /// The latest first.
    pub jobs: Vec<QueuedJobInfo>,
    /// After which number the next page begins; none when this was the last.
    pub next: Option<i64>,
}

/// What is known of a job, without what is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedJobInfo {
    /// As `NUMBER-QUEUE`.
    pub job: String,
    /// Its queue.
    pub queue: QueueName,
    /// Its number there, from 1.
    pub id: i64,
    /// How it stands.
    pub state: QueuedState,
    /// Whose it is; empty for nobody's in particular.
    pub tenant: String,
    /// How much before others it comes.
    pub priority: i32,
    /// When it was pushed.
    pub queued_at: Timestamp,
    /// It is not begun before.
    pub process_after: Option<Timestamp>,
    /// When its latest attempt began.
    pub started_at: Option<Timestamp>,
    /// When that attempt was last heard of.
    pub heartbeat_at: Option<Timestamp>,
    /// When the latest attempt that ended did.
    pub finished_at: Option<Timestamp>,
    /// Why that failed.
    pub failure_message: Option<String>,
    /// How often it was queued again because its attempt had stalled.
    pub resets: u32,
    /// How many of its attempts failed.
    pub failures: u32,
    /// The number of its latest attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// Who runs that attempt, or ran it.
    pub holder: Option<String>,
    /// Somebody wants its end.
    pub cancel: bool,
}

impl From<QueuedJob> for QueuedJobInfo {
    fn from(kept: QueuedJob) -> Self {
        Self {
            job: kept.job.to_string(),
            id: kept.job.id,
            queue: kept.job.queue,
            state: kept.state,
            tenant: kept.tenant,
            priority: kept.priority,
            queued_at: kept.queued_at,
            process_after: kept.process_after,
            started_at: kept.started_at,
            heartbeat_at: kept.heartbeat_at,
            finished_at: kept.finished_at,
            failure_message: kept.failure_message,
            resets: kept.resets,
            failures: kept.failures,
            attempt: kept.attempt,
            holder: kept.holder,
            cancel: kept.cancel,
        }
    }
}

/// A job and the attempts at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedJobDetails {
    /// The job.
    #[serde(flatten)]
    pub job: QueuedJobInfo,
    /// The first first.
    pub attempts: Vec<AttemptInfo>,
}

/// An attempt at a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptInfo {
    /// Its number, from 1.
    pub attempt: u32,
    /// Who held it.
    pub holder: String,
    /// How it ended; `queued` when it stalled, `processing` while it runs.
    pub state: QueuedState,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none while it runs.
    pub finished_at: Option<Timestamp>,
    /// Why it failed.
    pub failure_message: Option<String>,
}

/// How a job stands, after something was wanted of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedStateAnswer {
    /// As `NUMBER-QUEUE`.
    pub job: String,
    /// How it stands now.
    pub state: QueuedState,
}

impl QueuedStateAnswer {
    /// That `job` stands so.
    #[must_use]
    pub fn new(job: &JobRef, state: QueuedState) -> Self {
        Self { job: job.to_string(), state }
    }
}

/// A command of an attempt has begun: the data of an event `entry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntryEvent {
    /// Its number, from 1.
    pub entry: u64,
    /// What of the job it is, such as `step.docker.0`.
    pub key: String,
    /// Its arguments; none for what is no command.
    pub command: Option<Vec<String>>,
    /// When it began.
    pub started_at: Timestamp,
}

/// An entry printed something: the data of an event `output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOutputEvent {
    /// Which entry.
    pub entry: u64,
    /// How many bytes of its output lie before this.
    pub offset: u64,
    /// What it printed.
    pub text: String,
}

/// What was told of an entry's output holds no more, and is told anew from its beginning: the data of an event `rewritten`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRewrittenEvent {
    /// Which entry.
    pub entry: u64,
}

/// An entry has ended, and all of its output was told: the data of an event `ended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEndedEvent {
    /// Which entry.
    pub entry: u64,
    /// Its exit code.
    pub exit_code: i32,
    /// How long it ran, in milliseconds; none when its agent did not say.
    pub duration_ms: Option<u64>,
}

/// There is no more: the data of an event `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEndEvent {
    /// The attempt; 0 when there was none.
    pub attempt: u32,
    /// How it stands; without an attempt, how the job stands.
    pub state: QueuedState,
}
