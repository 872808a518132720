//! Jobs of a queue as plain data: what is pushed, how each attempt at it goes, what a queue's rules are. Not for what a job does (its
//! `payload` is its runner's) nor for how it is written on any wire (`queue`). States and transitions are those of `reference/sourcegraph.md`
//! 1.6 and 7.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{InvalidId, QueueName};

/// A job of a queue: its number is unique within its queue only (sourcegraph.md 9, item 7).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobRef {
    /// The queue.
    pub queue: QueueName,
    /// Its number there, from 1.
    pub id: i64,
}

impl JobRef {
    /// Job number `id` of `queue`.
    #[must_use]
    pub fn new(queue: QueueName, id: i64) -> Self {
        Self { queue, id }
    }

    /// Reads `NUMBER-QUEUE`, split at the first hyphen, as the name of a queue may hold more (sourcegraph.md 3).
    ///
    /// # Errors
    /// [`InvalidId`] when the queue's name is none; nothing (`Ok(None)`) when there is no number before a hyphen.
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidId> {
        let Some((id, queue)) = text.split_once('-') else { return Ok(None) };
        let Ok(id) = id.parse() else { return Ok(None) };
        Ok(Some(Self { queue: QueueName::new(queue)?, id }))
    }
}

/// As `NUMBER-QUEUE`.
impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.id, self.queue)
    }
}

/// How a job of a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueuedState {
    /// It waits, perhaps for its time to come.
    Queued,
    /// An attempt at it runs.
    Processing,
    /// An attempt succeeded.
    Completed,
    /// An attempt failed, and another will come.
    Errored,
    /// It failed, and no more attempts come.
    Failed,
    /// Somebody wanted its end.
    Canceled,
}

impl QueuedState {
    /// All states, in the order in which a job comes through them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Processing, Self::Completed, Self::Errored, Self::Failed, Self::Canceled];

    /// The state's word, as everywhere: in databases, on wires, on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Errored => "errored",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled)
    }
}

impl fmt::Display for QueuedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a queue holds its jobs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueRules {
    /// Without a sign of life for so long, an attempt is over and its job is queued again.
    #[serde(with = "crate::duration::text")]
    pub stalled_after: Duration,
    /// So often that happens to one job; then it has failed.
    pub max_resets: u32,
    /// So many attempts of a job may fail and be followed by another one; the next failure is its last.
    pub max_retries: u32,
    /// How long after its first failure a job waits for another attempt. Doubled for each further failure.
    #[serde(with = "crate::duration::text")]
    pub retry_after: Duration,
    /// It never waits longer than that.
    #[serde(with = "crate::duration::text")]
    pub retry_at_most: Duration,
}

impl Default for QueueRules {
    /// 25 s, three resets, no retries; 10 s to 10 minutes between retries where there are any.
    fn default() -> Self {
        Self {
            stalled_after: Duration::from_secs(25),
            max_resets: 3,
            max_retries: 0,
            retry_after: Duration::from_secs(10),
            retry_at_most: Duration::from_secs(600),
        }
    }
}

impl QueueRules {
    /// How long a job waits that has failed so often.
    #[must_use]
    pub fn back_off(&self, failures: u32) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.retry_after.saturating_mul(doubled).min(self.retry_at_most)
    }

    /// Whether a job that has failed so often, this time included, is tried again.
    #[must_use]
    pub fn tries_again(&self, failures: u32) -> bool {
        failures <= self.max_retries
    }

    /// Whether a job that was reset so often before is queued once more when its attempt stalls.
    #[must_use]
    pub fn resets_again(&self, resets: u32) -> bool {
        resets < self.max_resets
    }
}

/// Of what a job failed that stalled too often (sourcegraph.md 7).
pub const DIED_TOO_OFTEN: &str = "job processor died while handling this message too many times";

/// What is pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Where to.
    pub queue: QueueName,
    /// Whose it is: tenants of one queue have their turns by rounds. Empty for nobody's in particular.
    pub tenant: String,
    /// Jobs of a higher one come first, whosever they are.
    pub priority: i32,
    /// It is not begun before.
    pub process_after: Option<Timestamp>,
    /// What is to be run.
    pub payload: Value,
}

impl NewJob {
    /// A job for `queue`, of nobody in particular, as soon as can be.
    #[must_use]
    pub fn new(queue: QueueName, payload: Value) -> Self {
        Self { queue, tenant: String::new(), priority: 0, process_after: None, payload }
    }
}

/// A job as its queue has it.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedJob {
    /// Which.
    pub job: JobRef,
    /// How it stands.
    pub state: QueuedState,
    /// Whose it is.
    pub tenant: String,
    /// How much before others it comes.
    pub priority: i32,
    /// What is to be run.
    pub payload: Value,
    /// When it was pushed.
    pub queued_at: Timestamp,
    /// It is not begun before.
    pub process_after: Option<Timestamp>,
    /// When its latest attempt began; none while it waits for one.
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

/// The fencing token of an attempt: what comes with another one than the job's latest is stale (DESIGN rule 8).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttemptToken {
    /// The job.
    pub job: JobRef,
    /// The number of the attempt at it, from 1.
    pub attempt: u32,
}

/// Who says something of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaker {
    /// Whoever holds the attempt with this token.
    Attempt(AttemptToken),
    /// The agent of this name, of whatever attempt it holds of that job: the compatible wire knows no attempts.
    Holder {
        /// The agent.
        name: String,
        /// The job.
        job: JobRef,
    },
}

impl Speaker {
    /// The job that is spoken of.
    #[must_use]
    pub fn job(&self) -> &JobRef {
        match self {
            Self::Attempt(token) => &token.job,
            Self::Holder { job, .. } => job,
        }
    }
}

/// How an attempt ended, as its agent says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It succeeded.
    Completed,
    /// It failed, and another may not.
    Errored(String),
    /// It failed, as any other would.
    Failed(String),
}

/// One command of an attempt, as its log has it (sourcegraph.md 2).
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// What of the job it was, such as `step.docker.0`.
    pub key: String,
    /// Its arguments, redacted; none for what was no command.
    pub command: Option<Vec<String>>,
    /// When it began.
    pub started_at: Timestamp,
    /// How it ended; none while it runs.
    pub exit_code: Option<i32>,
    /// What it printed so far, redacted.
    pub out: String,
    /// How long it ran, once it has ended.
    pub duration: Option<Duration>,
}

/// More of a command's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOut {
    /// All that it printed so far, in place of what was told before.
    Whole(String),
    /// What it printed from byte `at` on, of what was told before.
    Delta {
        /// How many bytes were told before.
        at: u64,
        /// What came behind them.
        text: String,
    },
}
