//! The flags of `jobwright queue`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use jobwright_model::{JobRef, QueueName, QueuedState, parse_duration};

/// Where queues are kept.
#[derive(Debug, Args)]
pub(crate) struct DatabaseArgs {
    /// Keep queues in this PostgreSQL, postgres://USER@HOST/NAME, which several servers may share [default: SQLite in the state directory]
    #[arg(long, env = "JOBWRIGHT_DATABASE", value_name = "URL", hide_env_values = true)]
    pub(crate) database: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(subcommand)]
    pub(crate) command: QueueCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Make a queue, or give one that is there other rules.
    Create(QueueCreateArgs),
    /// Show the queues, or the jobs of one.
    Ls(QueueLsArgs),
    /// Push jobs, each as a JSON object of a file or of standard input (docs/book/queues.md).
    Push(QueuePushArgs),
    /// Show a job and its attempts.
    Show(QueueShowArgs),
    /// Want the end of jobs: what waits is canceled at once, what runs is ended by its agent.
    Cancel(QueueJobsArgs),
    /// Queue jobs again that failed or were canceled.
    Retry(QueueJobsArgs),
    /// Give nothing of a queue out; what runs goes on.
    Pause(QueueNameArgs),
    /// Let a paused queue go on.
    Resume(QueueNameArgs),
    /// Write the log of a job's latest attempt, or of another.
    Logs(QueueLogsArgs),
    /// Show how much is in each queue and in which state.
    Stats(QueueStatsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct QueueCreateArgs {
    /// The queue.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: QueueName,
    /// So many attempts at a job may fail and be followed by another one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) retries: u32,
    /// How long a job waits after its first failure; doubled each further time.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10s")]
    pub(crate) retry_after: Duration,
    /// It never waits longer than that.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "10m")]
    pub(crate) retry_at_most: Duration,
    /// An attempt of which nothing is heard for so long is over.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "25s")]
    pub(crate) stalled_after: Duration,
    /// So often that may happen to a job before it has failed.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) resets: u32,
}

#[derive(Debug, Args)]
pub(crate) struct QueueNameArgs {
    /// The queue.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: QueueName,
}

#[derive(Debug, Args)]
pub(crate) struct QueueLsArgs {
    /// The jobs of this queue; without it the queues.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: Option<QueueName>,
    /// Only jobs in this state; may be said several times.
    #[arg(long = "state", value_name = "STATE", value_parser = state)]
    pub(crate) states: Vec<QueuedState>,
    /// Only jobs of this tenant.
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// So many at most, the latest first.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QueuePushArgs {
    /// The queue.
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: QueueName,
    /// The file with the jobs, one JSON object after the other; `-` or none for standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Whose they are: tenants have their turns by rounds.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) tenant: String,
    /// Jobs of a higher one come first.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i32,
    /// Do not begin them before so long.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) after: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct QueueShowArgs {
    /// The job, as NUMBER-QUEUE.
    #[arg(value_name = "JOB", value_parser = job)]
    pub(crate) job: JobRef,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QueueJobsArgs {
    /// The jobs, as NUMBER-QUEUE.
    #[arg(value_name = "JOB", required = true, value_parser = job)]
    pub(crate) jobs: Vec<JobRef>,
}

#[derive(Debug, Args)]
pub(crate) struct QueueLogsArgs {
    /// The job, as NUMBER-QUEUE.
    #[arg(value_name = "JOB", value_parser = job)]
    pub(crate) job: JobRef,
    /// Of this attempt, counted from 1; of the latest without it.
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
    /// Go on until the attempt has ended.
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QueueStatsArgs {
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn state(text: &str) -> Result<QueuedState, String> {
    let known = || QueuedState::ALL.map(QueuedState::as_str).join(", ");
    QueuedState::from_word(text).ok_or_else(|| format!("there is no such state; there are {}", known()))
}

fn job(text: &str) -> Result<JobRef, String> {
    match JobRef::parse(text) {
        Ok(Some(job)) => Ok(job),
        Ok(None) => Err("a job is NUMBER-QUEUE, such as 7-builds".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
