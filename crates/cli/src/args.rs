//! The flags, as people type them. What they mean is said here and nowhere else; `--help`, the completions and the keys of
//! `config.toml` come from it.

mod agent;
mod executions;
mod files;
mod queue;
mod runs;
mod server;

use std::num::NonZero;
use std::path::PathBuf;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use jobwright_docker::DockerSettings;
use jobwright_journal::StateDir;
use jobwright_model::RunId;
use jobwright_process::ProcessSettings;

use crate::backends;
use crate::signals::OnTerm;

pub(crate) use agent::{AgentArgs, AgentCommand, AgentRunArgs};
pub(crate) use executions::{
    ExecArgs, ExecutionArgs, ExecutionsCommand, ExecutionsExecArgs, ExecutionsLogsArgs, ExecutionsLsArgs,
    ExecutionsRmArgs, ExecutionsShowArgs,
};
pub(crate) use files::{
    ArtifactsCommand, ArtifactsGetArgs, ArtifactsLsArgs, CacheCommand, CacheLsArgs, CachePruneArgs,
    CacheRmArgs,
};

pub(crate) use queue::{
    DatabaseArgs, QueueArgs, QueueCommand, QueueCreateArgs, QueueJobsArgs, QueueLogsArgs, QueueLsArgs,
    QueuePushArgs, QueueShowArgs,
};
pub(crate) use runs::{AttachArgs, CancelArgs, PsArgs};
pub(crate) use server::ServerArgs;

/// Runs jobs to their end, wherever they come from and wherever they run.
#[derive(Debug, Parser)]
#[command(name = "jobwright", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where Jobwright keeps what must outlive it.
    ///
    /// Default: $XDG_STATE_HOME/jobwright, for root /var/lib/jobwright, else ~/.local/state/jobwright.
    #[arg(long, global = true, env = "JOBWRIGHT_STATE_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(default_value_os_t = StateDir::default_path(), hide_default_value = true)]
    pub(crate) state_dir: PathBuf,
    /// When to use colours; `auto` asks the terminal and NO_COLOR.
    #[arg(long, global = true, env = "JOBWRIGHT_COLOR", value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// What SIGTERM does to a run: `cancel` ends its steps; `leave` ends Jobwright only, and the run can be taken up again.
    #[arg(long, global = true, env = "JOBWRIGHT_ON_TERM", value_name = "WHAT", default_value = "cancel")]
    pub(crate) on_term: OnTerm,
    /// What Jobwright says about itself on standard error: error, warn, info, debug, or a filter such as `jobwright_docker=debug`.
    ///
    /// The libraries that it is made of are asked by their names, as in `warn,bollard=debug`. What they say is not masked.
    #[arg(long, global = true, env = "JOBWRIGHT_LOG", value_name = "FILTER", default_value = "warn")]
    pub(crate) log: String,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Makes the choice hold for everything that is written from now on.
    pub(crate) fn apply(self) {
        let choice = match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a pipeline.
    Run(Box<RunArgs>),
    /// Open a shell in a job's environment, or run a command there.
    ///
    /// Image, variables, secrets, project files, caches, services and what `job_bootstrap` does are the job's; its script does not run. All of
    /// it is removed when the shell ends. On a terminal the shell gets it; without one it reads standard input to its end. The exit code is
    /// the shell's own, and 125 for a failure of Jobwright itself.
    Shell(Box<ShellArgs>),
    /// Run one program under an id, on this host or in a container, as if it ran here.
    ///
    /// Its output comes as it is written, and the exit code is the program's own: 128 and the number for a signal, 125 for a failure of
    /// Jobwright itself or of the start. Ctrl-C and SIGTERM end it and wait for that. Nothing is kept of it unless that is asked for.
    Exec(Box<ExecArgs>),
    /// Look after executions, whoever began them: list, show, logs, wait, cancel, pause, resume, exec, stats, rm.
    ///
    /// One whose owner died is taken over by whoever waits for it, follows its logs, cancels or removes it.
    Executions {
        #[command(subcommand)]
        command: ExecutionsCommand,
    },
    /// Serve executions over HTTP, on a unix socket and on TCP, until it is told to end. What runs then goes on, and is taken over by the next
    /// server.
    Server(Box<ServerArgs>),
    /// Take jobs from queues and run them, until it is told to end; then what runs goes on to its end, and no more is taken.
    ///
    /// It speaks to a Sourcegraph of any age as its own executor does, and to `jobwright server --queue`.
    Agent(Box<AgentArgs>),
    /// Look after queues and their jobs: create, ls, push, show, cancel, retry, pause, resume, logs, stats.
    Queue(Box<QueueArgs>),
    /// Check a pipeline file and say everything that is wrong with it.
    Validate(ValidateArgs),
    /// Write another system's pipeline in Jobwright's language, and list what could not be carried over.
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Draw a pipeline's jobs by stage, with what each needs.
    Graph(GraphArgs),
    /// Work with compiled workflows.
    Workflow {
        #[command(subcommand)]
        command: WorkflowCommand,
    },
    /// Show which backends there are, which are available here, and why the others are not.
    Backends(BackendsArgs),
    /// Look at the caches that runs keep for later runs, and remove them.
    Cache {
        #[command(subcommand)]
        command: CacheCommand,
    },
    /// Look at the artifacts that jobs of a run left, and take them out.
    Artifacts {
        #[command(subcommand)]
        command: ArtifactsCommand,
    },
    /// Show the runs that are going on, and those whose owner died. Executions are shown by `executions ls`.
    Ps(PsArgs),
    /// Show a run that another process owns, from its beginning to its end.
    Attach(AttachArgs),
    /// Ask for the end of a run. One whose owner has died ends when it is resumed, before anything else is started.
    Cancel(CancelArgs),
    /// Remove what runs of a Jobwright that died have left behind, and what `run --keep-failed` kept.
    ///
    /// Executions whose owner died are ended; their logs and results stay until `executions rm`.
    Clean(CleanArgs),
    /// Say what is left of runs whose Jobwright died, what else is not as it should be, and what would be right. Changes nothing.
    Doctor(DoctorArgs),
    /// Write a systemd unit for a command that runs long; stopping it leaves the steps alone.
    Unit(UnitArgs),
    /// Look at the settings.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Write a completion script for a shell to standard output.
    ///
    /// bash: `source <(jobwright completions bash)` in ~/.bashrc; zsh: `source <(jobwright completions zsh)` in ~/.zshrc behind `compinit`;
    /// fish: `jobwright completions fish > ~/.config/fish/completions/jobwright.fish`. These know jobs, stages and runs too.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Import a GitLab CI file with the local files that it includes. Default: .gitlab-ci.yml
    Gitlab(ImportArgs),
    /// Import a Woodpecker workflow, or all of a directory. Default: .woodpecker or .woodpecker.yaml
    Woodpecker(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file or directory to read.
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) file: Option<PathBuf>,
    /// Write the result to this file, which must not be there yet. Default: standard output.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Replace the file that is there.
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkflowCommand {
    /// Run a compiled workflow from a JSON file, in the form of Woodpecker's compiler.
    Run(Box<WorkflowRunArgs>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting, what it is, and where that came from: a flag, the environment, config.toml or the default.
    ///
    /// Takes the flags of all commands. config.toml is $JOBWRIGHT_CONFIG, else $XDG_CONFIG_HOME/jobwright/config.toml
    /// (~/.config/jobwright/config.toml), else /etc/jobwright/config.toml.
    Show(ConfigShowArgs),
}

/// Where steps run. Each backend brings settings of its own.
#[derive(Debug, Clone, Args)]
pub(crate) struct BackendArgs {
    #[command(flatten)]
    pub(crate) process: ProcessSettings,
    #[command(flatten)]
    pub(crate) docker: DockerSettings,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The pipeline file. Default: .jobwright.yaml, or the only *local-ci.yaml there is.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// The project's directory, where the pipeline file is looked for and whose files the jobs get.
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".", conflicts_with = "remote", value_hint = ValueHint::DirPath)]
    pub(crate) project: PathBuf,
    /// Run only this job, or all variants of this job with a matrix (may be given several times, or several separated by commas).
    #[arg(short, long = "job", value_name = "NAME", value_delimiter = ',')]
    pub(crate) jobs: Vec<String>,
    /// Run what the jobs of --job need, too.
    #[arg(long, requires = "jobs")]
    pub(crate) needs: bool,
    /// Run only the jobs of this stage (as --job; --job wins when both are given).
    #[arg(short, long = "stage", value_name = "NAME", value_delimiter = ',')]
    pub(crate) stages: Vec<String>,
    /// Set a variable in every job; wins over the file. Without a value it is taken from this environment.
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Run all jobs at once, as many as there are processors (see --limit). A pipeline with `needs` follows these instead.
    #[arg(long, conflicts_with = "parallel_stages")]
    pub(crate) parallel: bool,
    /// Run the stages in order, the jobs of each at once.
    #[arg(long)]
    pub(crate) parallel_stages: bool,
    /// How many jobs may run at the same time. Default: the number of processors.
    #[arg(long, value_name = "N", env = "JOBWRIGHT_LIMIT")]
    pub(crate) limit: Option<NonZero<usize>>,
    /// Run jobs that name no backend on this one. Default: a container engine when such a job names an image, else this host's processes.
    #[arg(short, long, value_name = "NAME", env = "JOBWRIGHT_BACKEND", value_parser = BackendName)]
    pub(crate) backend: Option<String>,
    /// Run on the project's own files in place of a copy of them (process backend).
    #[arg(long, conflicts_with = "remote")]
    pub(crate) in_place: bool,
    /// Clone this git repository and run its pipeline file.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) remote: Option<String>,
    /// Keep the environments of jobs that fail (workspace, container, services), to be entered by `shell --failed` and removed by `clean`.
    #[arg(long)]
    pub(crate) keep_failed: bool,
    /// Only say what would run, where and in which order: nothing runs and nothing is written.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the run's id and leave: another process carries the run on (see `attach`, `cancel` and `ps`).
    #[arg(short, long, conflicts_with_all = ["dry_run", "json"])]
    pub(crate) detach: bool,
    /// Go on with this run, whose owner died: what runs is taken over, what ended is not done again. Takes the backends' settings, and
    /// everything else from the run.
    #[arg(long, value_name = "RUN")]
    #[arg(conflicts_with_all = ["config", "project", "jobs", "stages", "env", "parallel", "parallel_stages", "backend", "in_place", "remote", "dry_run"])]
    pub(crate) resume: Option<RunId>,
    /// Run, and run again whenever a file of the project changes (those that ignore rules leave out do not count), until Ctrl-C.
    ///
    /// A change during a run is followed by one more run when that has ended (`queue`), or cancels it (`cancel`). What an --in-place run
    /// changes itself cannot be told from other changes: nothing counts that changes while it runs.
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "queue")]
    #[arg(conflicts_with_all = ["remote", "dry_run", "detach", "resume"])]
    pub(crate) watch: Option<WatchMode>,
    /// Write the run's events to standard output, one JSON object a line; with --dry-run, what would run as one object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}

/// What a change does to the run that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WatchMode {
    /// It goes on, and one run follows it.
    Queue,
    /// It is cancelled, and another begins.
    Cancel,
}

#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// The job; of a job with a matrix, the variant.
    #[arg(value_name = "JOB", required_unless_present = "failed")]
    pub(crate) job: Option<String>,
    /// Enter what `run --keep-failed` kept of a failed job of this run; JOB is needed only when it kept several.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "env", "backend", "in_place"])]
    pub(crate) failed: Option<String>,
    /// Run this in place of a shell.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// The shell to open. Default: the one that reads the job's script.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "command")]
    pub(crate) shell: Option<String>,
    /// The pipeline file. Default: as `run` finds it.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// The project's directory, where the pipeline file is looked for and whose files the job gets.
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) project: PathBuf,
    /// Set a variable; wins over the file. Without a value it is taken from this environment.
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// The backend, where the job names none. Default: as for `run`.
    #[arg(short, long, value_name = "NAME", env = "JOBWRIGHT_BACKEND", value_parser = BackendName)]
    pub(crate) backend: Option<String>,
    /// Work on the project's own files in place of a copy of them (process backend).
    #[arg(long)]
    pub(crate) in_place: bool,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The pipeline file. Default: as `run` finds it.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// The project's directory, where the pipeline file is looked for.
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) project: PathBuf,
    /// How to write what is found; json and sarif go to standard output.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: FindingsFormat,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FindingsFormat {
    /// For people, on standard error.
    Text,
    /// One object with all findings.
    Json,
    /// SARIF 2.1.0, which code hosts and editors show beside the lines.
    Sarif,
}

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// The pipeline file. Default: as `run` finds it.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// The project's directory, where the pipeline file is looked for.
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) project: PathBuf,
    /// How to draw it.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: GraphFormat,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Lines for a terminal.
    Text,
    /// The language of Graphviz.
    Dot,
    /// A picture.
    Svg,
}

#[derive(Debug, Args)]
pub(crate) struct WorkflowRunArgs {
    /// The file; `-` reads standard input.
    #[arg(value_name = "FILE.json", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Run on this backend. Default: a container engine when a step names an image such as `name:tag` or `host/name`, else processes.
    #[arg(short, long, value_name = "NAME", env = "JOBWRIGHT_BACKEND", value_parser = BackendName)]
    pub(crate) backend: Option<String>,
    /// Write the run's events to standard output, one JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}

#[derive(Debug, Args)]
pub(crate) struct BackendsArgs {
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// Only what these runs left, what they kept on purpose included.
    #[arg(value_name = "RUN")]
    pub(crate) runs: Vec<String>,
    /// Also remove what runs kept on purpose (`run --keep-failed`); without it that is left alone.
    #[arg(long)]
    pub(crate) kept: bool,
    /// Only say what would be removed.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Remove also what carries this state directory's mark and that no run's journal knows.
    #[arg(long)]
    pub(crate) strays: bool,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UnitArgs {
    /// For the service manager of this user (`systemctl --user`) instead of the system's.
    #[arg(long)]
    pub(crate) user: bool,
    /// Write the unit to this file, which must not be there yet. Default: standard output.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// What Jobwright shall do, as in `jobwright unit -- run --parallel`. It will be done in the current directory.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Every setting's flag is added to these.
#[derive(Debug, Args)]
pub(crate) struct ConfigShowArgs {
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A backend's name. Help and completions list those that there are; another one is taken here, as whoever looks for it says what
/// there is, and why the others cannot be used.
#[derive(Debug, Clone)]
struct BackendName;

impl TypedValueParser for BackendName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(backends::NAMES.into_iter().map(PossibleValue::new)))
    }
}
