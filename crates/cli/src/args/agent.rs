//! The flags of `jobwright agent`. What is not said here is taken from the names that an executor of Sourcegraph has for it (`EXECUTOR_*`), so that an
//! existing deployment changes only its binary; that is said where the two meet (`commands::agent`).

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use jobwright_model::{QueueName, parse_duration};

use super::BackendArgs;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AgentCommand>,
    #[command(flatten)]
    pub(crate) run: AgentRunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Check tools, backends and the token, and take no job.
    Validate(Box<AgentRunArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct AgentRunArgs {
    /// The server of the queues, such as `https://ci.example`. Else `EXECUTOR_FRONTEND_URL`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Read the executor token from this file. Else it is `JOBWRIGHT_EXECUTOR_TOKEN` or `EXECUTOR_FRONTEND_PASSWORD`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A queue to take jobs from; may be said several times. Else `EXECUTOR_QUEUE_NAME` or `EXECUTOR_QUEUE_NAMES`.
    #[arg(long = "queue", value_name = "NAME", value_delimiter = ',')]
    pub(crate) queues: Vec<QueueName>,
    /// So many jobs at once [default: `EXECUTOR_MAXIMUM_NUM_JOBS`, or 1]
    #[arg(long, value_name = "N")]
    pub(crate) max_jobs: Option<usize>,
    /// How long a job may take in all [default: `EXECUTOR_MAXIMUM_RUNTIME_PER_JOB`, or 30m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) job_timeout: Option<Duration>,
    /// The pause after a question that brought no job [default: `EXECUTOR_QUEUE_POLL_INTERVAL`, or 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) poll_interval: Option<Duration>,
    /// How long a server of ours may wait for a job before it answers.
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "20s")]
    pub(crate) long_poll: Duration,
    /// End after so many jobs [default: `EXECUTOR_NUM_TOTAL_JOBS`, or never]
    #[arg(long, value_name = "N")]
    pub(crate) total_jobs: Option<u64>,
    /// Take no more jobs after so long, and end [default: `EXECUTOR_MAX_ACTIVE_TIME`, or never]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) max_active_time: Option<Duration>,
    /// How long what runs may go on once the agent is to end; without it as long as it takes.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) drain_timeout: Option<Duration>,
    /// Where workspaces are made [default: `TMPDIR`, or /tmp]
    #[arg(long, value_name = "DIR")]
    pub(crate) workspaces: Option<PathBuf>,
    /// Leave workspaces where they are, to be looked at (`EXECUTOR_KEEP_WORKSPACES`).
    #[arg(long)]
    pub(crate) keep_workspaces: bool,
    /// How many processors a job's container has; 0 for all [default: `EXECUTOR_JOB_NUM_CPUS`, or 4, or as many as there are]
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<f64>,
    /// How much memory it has, such as 12G; 0 for all [default: `EXECUTOR_JOB_MEMORY`, or 12G]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Let containers reach this host as host.docker.internal (`EXECUTOR_DOCKER_ADD_HOST_GATEWAY`).
    #[arg(long)]
    pub(crate) add_host_gateway: bool,
    /// The program of cli steps.
    #[arg(long, value_name = "PROGRAM", default_value = "src")]
    pub(crate) src: String,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}
