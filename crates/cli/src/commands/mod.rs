//! The commands, one file each.

mod agent;
mod artifacts;
mod attach;
mod backends;
mod cache;
mod cancel;
mod clean;
mod config;
mod detach;
mod doctor;
mod dry_run;
mod exec;
mod executions;
mod graph;
mod import;
mod ps;
mod queue;
mod remains;
mod run;
mod server;
mod shell;
mod strays;
mod unit;
mod validate;
mod watch;
mod workflow;

use std::path::{Path, PathBuf};

use jobwright_engine::find_config;
use jobwright_journal::StateDir;
use jobwright_model::RunId;

use crate::args::{Cli, Command, ConfigCommand, WorkflowCommand};
use crate::completion;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::settings::{self, Settings};
use crate::show::sink;

/// Does what was asked.
pub(crate) async fn execute(cli: Cli, settings: &Settings) -> Result<Exit, Failure> {
    let state_dir = cli.global.state_dir;
    cli.global.on_term.apply();
    let state = || StateDir::open(&state_dir);
    match cli.command {
        Command::Run(args) if args.dry_run => dry_run::run(*args).await,
        Command::Run(args) if args.watch.is_some() => watch::run(*args, &state()?).await,
        Command::Run(args) => run::run(*args, &state()?).await,
        Command::Shell(args) => shell::run(*args, state().map_err(Failure::from)).await,
        Command::Exec(args) => exec::run(*args, state().map_err(Failure::from)).await,
        Command::Executions { command } => executions::run(command, &state()?).await,
        Command::Server(args) => server::run(*args, &state()?).await,
        Command::Agent(args) => agent::run(*args, &state()?).await,
        Command::Queue(args) => queue::run(*args, &state()?).await,
        Command::Validate(args) => validate::run(&args),
        Command::Import { command } => import::run(command),
        Command::Graph(args) => graph::run(&args),
        Command::Workflow { command: WorkflowCommand::Run(args) } => workflow::run(*args, &state()?).await,
        Command::Backends(args) => backends::run(args, &state()?).await,
        Command::Cache { command } => cache::run(&command, &state()?),
        Command::Artifacts { command } => artifacts::run(&command, &state()?),
        Command::Ps(args) => ps::run(&args, &state()?).await,
        Command::Attach(args) => attach::run(args, &state()?).await,
        Command::Cancel(args) => cancel::run(args, &state()?).await,
        Command::Clean(args) => clean::run(args, &state()?).await,
        Command::Doctor(args) => doctor::run(args, &state_dir).await,
        Command::Unit(args) => unit::run(&args, &state_dir),
        Command::Config { command: ConfigCommand::Show(args) } => Ok(config::show(&args, settings)),
        Command::Completions { shell } => {
            let script = completion::script(shell).map_or_else(|| static_script(shell), str::to_owned);
            sink::say(script.trim_end());
            Ok(Exit::Success)
        }
    }
}

/// A script that knows flags and commands, for a shell whose script cannot ask.
fn static_script(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut settings::command(), "jobwright", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// A run's id as it was typed.
fn run_id(text: &str) -> Result<RunId, Failure> {
    let invalid = |error| {
        Failure::new(Exit::Invalid, format!("{text:?} is no run: {error}; a run's id is shown at its end"))
    };
    RunId::new(text).map_err(invalid)
}

/// The pipeline file that was named, or the one of the project's directory.
fn pipeline_file(config: Option<&Path>, project: &Path) -> Result<PathBuf, Failure> {
    Ok(match config {
        Some(path) => path.to_owned(),
        None => find_config(&std::path::absolute(project).unwrap_or_else(|_| project.to_owned()))?,
    })
}
