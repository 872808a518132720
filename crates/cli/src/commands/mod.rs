//! The commands, one file each.

mod backends;
mod clean;
mod run;
mod validate;
mod workflow;

use std::path::Path;

use clap::CommandFactory;
use jobwright_journal::StateDir;

use crate::args::{Cli, Command, WorkflowCommand};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::sink;

/// Does what was asked.
pub(crate) async fn execute(cli: Cli) -> Result<Exit, Failure> {
    let state_dir = cli.global.state_dir;
    let state = || open_state(state_dir.as_deref());
    match cli.command {
        Command::Run(args) => run::run(*args, &state()?).await,
        Command::Validate(args) => validate::run(&args),
        Command::Workflow { command: WorkflowCommand::Run(args) } => workflow::run(*args, &state()?).await,
        Command::Backends(args) => backends::run(args, &state()?).await,
        Command::Clean(args) => clean::run(args, &state()?).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "jobwright", &mut script);
            sink::say(String::from_utf8_lossy(&script).trim_end());
            Ok(Exit::Success)
        }
    }
}

fn open_state(path: Option<&Path>) -> Result<StateDir, Failure> {
    Ok(match path {
        Some(path) => StateDir::open(path)?,
        None => StateDir::open(&StateDir::default_path())?,
    })
}
