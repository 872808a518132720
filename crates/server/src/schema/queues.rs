//! What is said of queues and their jobs.

use super::{BTreeMap, Deserialize, ErrorAnswer, Id, ToSchema, Value};

/// All queues.
#[derive(ToSchema, Deserialize)]
pub(crate) struct QueueList {
    /// By name.
    queues: Vec<QueueInfo>,
}

/// A queue and how much is in it.
#[derive(ToSchema, Deserialize)]
pub(crate) struct QueueInfo {
    queue: Id,
    /// Nothing is given out.
    paused: bool,
    counts: QueueCounts,
    /// Since when the job that is due longest has been so; none when none is.
    #[schema(format = DateTime)]
    oldest_due: Option<String>,
    /// How many writes came from those who did not hold what they wrote of, since the queue was made.
    stale_writes: u64,
    rules: QueueRules,
}

/// How many jobs of a queue are in each state.
#[derive(ToSchema, Deserialize)]
pub(crate) struct QueueCounts {
    queued: u64,
    processing: u64,
    completed: u64,
    errored: u64,
    failed: u64,
    canceled: u64,
}

/// What a queue holds its jobs to. Times are written as `90s`, `10m`, `1h30m`, `250ms`.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueueRules {
    /// Without a sign of life for so long, an attempt is over and its job is queued again; `25s` when nothing is said.
    #[serde(default)]
    stalled_after: String,
    /// So often that happens to one job, then it has failed; 3 when nothing is said.
    #[serde(default)]
    max_resets: u32,
    /// So many attempts of a job may fail and be followed by another one; 0 when nothing is said.
    #[serde(default)]
    max_retries: u32,
    /// How long after its first failure a job waits for another attempt, doubled for each further one; `10s` when nothing is said.
    #[serde(default)]
    retry_after: String,
    /// It never waits longer than that; `10m` when nothing is said.
    #[serde(default)]
    retry_at_most: String,
}

/// A queue has these rules now.
#[derive(ToSchema, Deserialize)]
pub(crate) struct QueueMade {
    queue: Id,
    rules: QueueRules,
}

/// A job, or several.
#[derive(ToSchema, Deserialize)]
#[serde(untagged)]
pub(crate) enum PushBody {
    One(PushRequest),
    Several(Vec<PushRequest>),
}

/// A job that is to be pushed.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushRequest {
    /// What is to be run: repository, files, steps, as `docs/book/queues.md` has them.
    #[schema(value_type = Object)]
    payload: BTreeMap<String, Value>,
    /// Whose it is: tenants of one queue have their turns by rounds. Empty for nobody's in particular.
    #[serde(default)]
    tenant: String,
    /// Jobs of a higher one come first, whosever they are.
    #[serde(default)]
    priority: i32,
    /// It is not begun before.
    #[schema(format = DateTime)]
    process_after: Option<String>,
}

/// Jobs were taken in.
#[derive(ToSchema, Deserialize)]
pub(crate) struct PushedJobs {
    /// As `NUMBER-QUEUE`, in the order in which they were pushed.
    jobs: Vec<String>,
}

/// How a job or an attempt stands. `completed`, `failed` and `canceled` are final.
#[derive(ToSchema, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum QueuedState {
    Queued,
    Processing,
    Completed,
    Errored,
    Failed,
    Canceled,
}

/// A page of a queue's jobs.
#[derive(ToSchema, Deserialize)]
pub(crate) struct QueuedJobList {
    /// The latest first.
    jobs: Vec<QueuedJobInfo>,
    /// What to ask for as `after` for the next page; none when this was the last.
    next: Option<i64>,
}

/// What is known of a job, without what is to be run.
#[derive(ToSchema, Deserialize)]
pub(crate) struct QueuedJobInfo {
    /// As `NUMBER-QUEUE`.
    job: String,
    queue: Id,
    /// Its number in its queue.
    id: i64,
    state: QueuedState,
    /// Whose it is; empty for nobody's in particular.
    tenant: String,
    /// How much before others it comes.
    priority: i32,
    /// When it was pushed.
    #[schema(format = DateTime)]
    queued_at: String,
    /// It is not begun before.
    #[schema(format = DateTime)]
    process_after: Option<String>,
    /// When its latest attempt began.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// When that attempt was last heard of.
    #[schema(format = DateTime)]
    heartbeat_at: Option<String>,
    /// When the latest attempt that ended did.
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Why that failed.
    failure_message: Option<String>,
    /// How often it was queued again because its attempt had stalled.
    resets: u32,
    /// How many of its attempts failed.
    failures: u32,
    /// The number of its latest attempt, from 1; 0 before the first.
    attempt: u32,
    /// Who runs that attempt, or ran it.
    holder: Option<String>,
    /// Somebody wants its end.
    cancel: bool,
}

/// A job and the attempts at it.
#[derive(ToSchema, Deserialize)]
pub(crate) struct QueuedJobDetails {
    #[serde(flatten)]
    job: QueuedJobInfo,
    /// The first first.
    attempts: Vec<AttemptInfo>,
}

/// An attempt at a job.
#[derive(ToSchema, Deserialize)]
pub(crate) struct AttemptInfo {
    /// Its number, from 1.
    attempt: u32,
    /// Who held it.
    holder: String,
    /// How it ended; `queued` when it stalled, `processing` while it runs.
    state: QueuedState,
    /// When it began.
    #[schema(format = DateTime)]
    started_at: String,
    /// When it ended; none while it runs.
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Why it failed.
    failure_message: Option<String>,
}

/// How a job stands, after something was wanted of it.
#[derive(ToSchema, Deserialize)]
pub(crate) struct QueuedStateAnswer {
    /// As `NUMBER-QUEUE`.
    job: String,
    state: QueuedState,
}

/// The data of an event of a job's log, by its name: `entry`, `output`, `rewritten`, `ended`, `end`, `error`.
#[derive(ToSchema, Deserialize)]
#[serde(untagged)]
pub(crate) enum JobLogEvent {
    Entry(LogEntryEvent),
    Output(LogOutputEvent),
    Ended(LogEndedEvent),
    End(LogEndEvent),
    Error(Box<ErrorAnswer>),
    Rewritten(LogRewrittenEvent),
}

/// A command of an attempt has begun.
#[derive(ToSchema, Deserialize)]
pub(crate) struct LogEntryEvent {
    /// Its number, from 1.
    entry: u64,
    /// What of the job it is, such as `step.docker.0`.
    key: String,
    /// Its arguments; none for what is no command.
    command: Option<Vec<String>>,
    /// When it began.
    #[schema(format = DateTime)]
    started_at: String,
}

/// An entry printed something.
#[derive(ToSchema, Deserialize)]
pub(crate) struct LogOutputEvent {
    /// Which entry.
    entry: u64,
    /// How many bytes of its output lie before this.
    offset: u64,
    /// What it printed.
    text: String,
}

/// What was told of an entry's output holds no more, and is told anew from its beginning.
#[derive(ToSchema, Deserialize)]
pub(crate) struct LogRewrittenEvent {
    /// Which entry.
    entry: u64,
}

/// An entry has ended, and all of its output was told.
#[derive(ToSchema, Deserialize)]
pub(crate) struct LogEndedEvent {
    /// Which entry.
    entry: u64,
    /// Its exit code.
    exit_code: i32,
    /// How long it ran, in milliseconds; none when its agent did not say.
    duration_ms: Option<u64>,
}

/// There is no more.
#[derive(ToSchema, Deserialize)]
pub(crate) struct LogEndEvent {
    /// The attempt; 0 when there was none.
    attempt: u32,
    /// How it stands; without an attempt, how the job stands.
    state: QueuedState,
}
