//! The port for queues. Every call is one transaction: done and synced when it returns, or not done. What decides is the queue's rules
//! (`model::QueueRules`); all times that rules go by are the caller's `now`, so that one clock rules and a test can set it.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobwright_model::{
    AttemptEnd, AttemptToken, JobRef, LogEntry, LogOut, NewJob, QueueName, QueueRules, QueuedJob,
    QueuedState, Speaker,
};
use tokio::sync::watch;

use crate::error::Result;

/// SHA-256 of a job's token: the token itself is kept nowhere.
pub type TokenHash = [u8; 32];

/// What is wanted when a job is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The queues, of which the first that has something due gives it.
    pub queues: Vec<QueueName>,
    /// Who asks, and will hold the attempt.
    pub holder: String,
    /// The hash of the token that the attempt is to have, if it is to have one.
    pub token: Option<TokenHash>,
}

/// A job and the attempt at it that has just begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The job, as it stands now.
    pub job: QueuedJob,
    /// The attempt's fencing token.
    pub token: AttemptToken,
}

/// What is known of a job that its holder has just named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Which.
    pub job: JobRef,
    /// Somebody wants its end.
    pub cancel: bool,
}

/// What became of a job whose attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It stands so now.
    Now(QueuedState),
    /// The speaker does not hold it, or it is over: nothing was changed, and it was counted.
    Stale,
}

/// What became of an entry of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddedLog {
    /// It has this number, from 1.
    As(u64),
    /// The speaker does not hold the job: nothing was changed, and it was counted.
    Stale,
}

/// What became of a change of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogUpdate {
    /// It was made; the entry has so many bytes of output now.
    Made(u64),
    /// The speaker does not hold the job: nothing was changed, and it was counted.
    Stale,
    /// There is no entry of that number: nothing was changed.
    NoEntry,
    /// A delta that does not begin where the entry ends, or before between two characters: nothing was changed.
    Gap {
        /// How many bytes it has.
        has: u64,
    },
}

/// A job whose attempt had stalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    /// Which.
    pub job: JobRef,
    /// The attempt that is over.
    pub attempt: u32,
    /// How the job stands now: `queued`, `failed` after too many resets, `canceled` where somebody wanted its end.
    pub state: QueuedState,
}

/// A queue and how much is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSummary {
    /// Its name.
    pub queue: QueueName,
    /// What it holds its jobs to.
    pub rules: QueueRules,
    /// Nothing is given out.
    pub paused: bool,
    /// How many jobs are in each state, for every state.
    pub counts: Vec<(QueuedState, u64)>,
    /// How long the job that is due longest has been so; none when none is.
    pub oldest_due: Option<Timestamp>,
    /// How many writes came from those who did not hold what they wrote of, since the queue was made.
    pub stale_writes: u64,
}

/// Which jobs are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this queue; of all without.
    pub queue: Option<QueueName>,
    /// In one of these states; in any when there are none.
    pub states: Vec<QueuedState>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// With a lower number than this job's, or in a queue whose name comes later: where the page before ended.
    pub after: Option<JobRef>,
    /// So many at most; 0 for as many as the store gives at once (1,000).
    pub limit: usize,
}

/// An attempt at a job.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptAttempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// Who held it.
    pub holder: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended, or was found stalled; none while it runs.
    pub finished_at: Option<Timestamp>,
    /// How it ended: `completed`, `errored`, `failed`, `canceled`, or `queued` when it stalled; `processing` while it runs.
    pub state: QueuedState,
    /// Why it failed.
    pub failure_message: Option<String>,
}

/// An entry of an attempt's log.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptLogEntry {
    /// Its number, from 1.
    pub entry: u64,
    /// What it says; `out` from the byte that was asked for.
    pub log: LogEntry,
    /// How many bytes of output it has.
    pub length: u64,
    /// How often the output was rewritten from somewhere before its end: whoever reads on must begin anew when this has changed.
    pub revision: u64,
}

/// An agent, as it last said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executor {
    /// Its name.
    pub name: String,
    /// The queues that it asks.
    pub queues: Vec<QueueName>,
    /// What it told: operating system, versions; names as on the wire.
    pub about: Vec<(String, String)>,
    /// When it was first heard of.
    pub first_seen: Timestamp,
    /// When it was last heard of.
    pub last_seen: Timestamp,
}

/// That something may have changed; a number that only grows.
pub type Change = u64;

/// Jobs of queues that survive.
#[async_trait]
pub trait QueueStore: Send + Sync {
    /// Makes a queue. False when it is there, whose rules are `rules` from now on.
    async fn create_queue(&self, queue: &QueueName, rules: &QueueRules) -> Result<bool>;

    /// All queues by name, with what is in them. Times are as of `now`.
    async fn queues(&self, now: Timestamp) -> Result<Vec<QueueSummary>>;

    /// Keeps a queue from giving anything out, or lets it go on; what runs goes on anyway. False when there is no such queue.
    async fn pause_queue(&self, queue: &QueueName, paused: bool) -> Result<bool>;

    /// Takes all of these in, or none; their numbers grow in their order.
    ///
    /// # Errors
    /// [`Error::NoQueue`](crate::Error::NoQueue).
    async fn push(&self, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<JobRef>>;

    /// Begins an attempt at the next job that is due: the highest priority first, among equals the tenants by rounds, of a tenant the oldest
    /// first. No two callers get one job. The attempt's log is empty; those of earlier ones stay. A queue that is not there has nothing due.
    async fn dequeue(&self, ask: &Ask, now: Timestamp) -> Result<Option<Lease>>;

    /// Which attempt has this token, while it runs.
    async fn attempt_of_token(&self, token: &TokenHash) -> Result<Option<(AttemptToken, String)>>;

    /// Notes a sign of life of each of these attempts that its speaker holds, and gives them. The others are not given.
    async fn heartbeat(&self, speakers: &[Speaker], now: Timestamp) -> Result<Vec<Heard>>;

    /// Adds an entry to the log of the attempt that the speaker holds.
    async fn add_log(&self, speaker: &Speaker, entry: &LogEntry, now: Timestamp) -> Result<AddedLog>;

    /// Changes entry number `entry`: its output, and its end once it has one. A delta that begins before the entry's end takes the place of what is
    /// behind there. What a whole text has in common with what is kept is not written again.
    async fn update_log(
        &self,
        speaker: &Speaker,
        entry: u64,
        out: &LogOut,
        end: Option<(i32, Duration)>,
        now: Timestamp,
    ) -> Result<LogUpdate>;

    /// Ends the attempt that the speaker holds: completed; errored, which is another attempt after a while, or failed where the rules have no
    /// more; failed. One that was to be cancelled is `canceled` unless it completed, and no failure is counted. Its token is of no more use.
    async fn finish(&self, speaker: &Speaker, end: &AttemptEnd, now: Timestamp) -> Result<Finished>;

    /// Queues every job again of which nothing was heard for as long as its queue's rules say, or fails it when that was too often.
    async fn reset_stalled(&self, now: Timestamp) -> Result<Vec<Reset>>;

    /// Wants the end of a job: one that waits is canceled at once, of one that runs the holder is told. How it stands now; none when it is not
    /// there. One that has ended stays as it is.
    async fn cancel(&self, job: &JobRef, now: Timestamp) -> Result<Option<QueuedState>>;

    /// Queues a job again that failed or was canceled, as if it had never been tried; its attempts' numbers go on. How it stood; none when it is
    /// not there. In another state it stays as it is.
    async fn retry(&self, job: &JobRef, now: Timestamp) -> Result<Option<QueuedState>>;

    /// The job; none when it is not there.
    async fn job(&self, job: &JobRef) -> Result<Option<QueuedJob>>;

    /// Jobs by queue, of each the latest first.
    async fn jobs(&self, filter: &Filter) -> Result<Vec<QueuedJob>>;

    /// The attempts at a job, the first first.
    async fn attempts(&self, job: &JobRef) -> Result<Vec<KeptAttempt>>;

    /// The entries of an attempt's log from number `from` on; of entry `from` the output from byte `at` on, or from the next character. At most
    /// a few mebibytes of output and 200 entries at once: whoever wants more asks on.
    async fn logs(&self, token: &AttemptToken, from: u64, at: u64) -> Result<Vec<KeptLogEntry>>;

    /// Removes jobs that ended before `before`, with their attempts and logs; at most a thousand at once. How many.
    async fn prune(&self, queue: &QueueName, before: Timestamp) -> Result<u64>;

    /// Notes that an agent lives, and what it says of itself. Agents of which nothing was heard for a week are forgotten.
    async fn seen(
        &self,
        name: &str,
        queues: &[QueueName],
        about: &[(String, String)],
        now: Timestamp,
    ) -> Result<()>;

    /// The agents that were heard of since `since`, by name.
    async fn executors(&self, since: Timestamp) -> Result<Vec<Executor>>;

    /// Grows when something may have changed: at once by what this process does, within a second by what others do.
    fn changes(&self) -> watch::Receiver<Change>;
}
