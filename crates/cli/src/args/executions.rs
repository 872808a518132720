//! The flags of `jobwright exec` and `jobwright executions`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueHint};
use jobwright_backend::quantities;
use jobwright_model::{ExecutionId, JobId, parse_duration};
use serde_json::Value;

use super::{BackendArgs, BackendName};

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    /// The program and its arguments. With an image it may be left out: then the image's own runs.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// Run it in a container of this image.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,
    /// The execution's id: 1 to 128 characters out of A-Z a-z 0-9 _ . -, given once. Default: a new one. Implies --keep.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<ExecutionId>,
    /// What the execution belongs to, in your words.
    #[arg(long = "job", value_name = "WORD", default_value = "exec")]
    pub(crate) of_job: JobId,
    /// The backend. Default: containers when there is an --image, else this host's processes.
    #[arg(short, long, value_name = "NAME", env = "JOBWRIGHT_BACKEND", value_parser = BackendName)]
    pub(crate) backend: Option<String>,
    /// Set a variable. Without a value it is taken from this environment.
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Set a variable whose value is masked wherever it shows up. Without a value it is taken from this environment, which shows it to nobody.
    #[arg(long = "secret", value_name = "NAME[=VALUE]")]
    pub(crate) secrets: Vec<String>,
    /// Have a file or directory of this host in it; with `ro` it cannot be written to.
    #[arg(short, long = "volume", value_name = "SRC:DST[:ro]")]
    pub(crate) volumes: Vec<String>,
    /// Let a port of this host lead into it; port 0 of the host is any that is free.
    #[arg(short, long = "port", value_name = "[IP:]HOST:PORT")]
    pub(crate) ports: Vec<String>,
    /// How many processors it may use; parts of one are allowed.
    #[arg(long, value_name = "NUMBER", value_parser = processors)]
    pub(crate) cpus: Option<f64>,
    /// How much memory it may use, such as `512m` or `2GiB`.
    #[arg(short, long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) memory: Option<u64>,
    /// Where it works. Default: the current directory, or what the image says.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,
    /// Run this program, with the command as its arguments, in place of the image's own entrypoint.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,
    /// Run it as this user of the image.
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<String>,
    /// End it when it takes longer than this in all, its image included, such as `30s` or `2h`.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Have its output in `stdout.log` and `stderr.log` in this directory, too.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) results: Option<PathBuf>,
    /// Give it standard input.
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give it the terminal.
    #[arg(short, long, requires = "interactive")]
    pub(crate) tty: bool,
    /// Keep what is known of it when it has ended, for `jobwright executions`.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Say its id on standard error once it is taken in.
    #[arg(long)]
    pub(crate) print_id: bool,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}

fn processors(text: &str) -> Result<f64, String> {
    let billionths = quantities::processors(&Value::from(text));
    billionths.map(|number| number as f64 / 1e9).ok_or_else(|| "it is a number from 0.001 to 4096".to_owned())
}

fn bytes(text: &str) -> Result<u64, String> {
    let number = quantities::bytes(&Value::from(text)).and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| "it is a whole number above 0, with b, k, m or g such as `512m`".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExecutionsCommand {
    /// List the executions of this state directory.
    Ls(ExecutionsLsArgs),
    /// Say what is known of an execution: what runs it, how it stands, how it is reached, how it ended.
    Show(ExecutionsShowArgs),
    /// Write what an execution wrote, standard output and standard error each to where it belongs.
    Logs(ExecutionsLogsArgs),
    /// Wait until an execution has ended, and end with its exit code. One that has ended before is no error.
    Wait(ExecutionArgs),
    /// End an execution, first with SIGTERM and after a grace with SIGKILL, and wait for its end.
    Cancel(ExecutionArgs),
    /// Make an execution stand still.
    Pause(ExecutionArgs),
    /// Let an execution that stands still go on.
    Resume(ExecutionArgs),
    /// Run a command beside an execution's own, in its environment; the exit code is the command's.
    Exec(ExecutionsExecArgs),
    /// Say what an execution uses at this moment.
    Stats(ExecutionsShowArgs),
    /// Remove executions: logs, results and ids.
    Rm(ExecutionsRmArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ExecutionArgs {
    /// The execution, as `jobwright executions ls` shows it.
    #[arg(value_name = "EXECUTION")]
    pub(crate) id: ExecutionId,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutionsLsArgs {
    /// Only those that stand so.
    #[arg(long, value_name = "STATUS")]
    #[arg(value_parser = PossibleValuesParser::new(["pending", "running", "paused", "failed", "success"]))]
    pub(crate) status: Option<String>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutionsShowArgs {
    #[command(flatten)]
    pub(crate) of: ExecutionArgs,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutionsLogsArgs {
    #[command(flatten)]
    pub(crate) of: ExecutionArgs,
    /// Go on until the execution ends.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Leave out what was written before; only with --follow.
    #[arg(long, requires = "follow")]
    pub(crate) tail_now: bool,
    /// Only standard output.
    #[arg(long, conflicts_with = "stderr")]
    pub(crate) stdout: bool,
    /// Only standard error.
    #[arg(long)]
    pub(crate) stderr: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutionsExecArgs {
    #[command(flatten)]
    pub(crate) of: ExecutionArgs,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// Give it standard input. Its output is not masked then.
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give it the terminal.
    #[arg(short, long, requires = "interactive")]
    pub(crate) tty: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutionsRmArgs {
    /// The executions, as `jobwright executions ls` shows them.
    #[arg(value_name = "EXECUTION", required_unless_present = "all")]
    pub(crate) ids: Vec<ExecutionId>,
    /// End those that have not ended first.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// All that have ended; with --force, all.
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}
