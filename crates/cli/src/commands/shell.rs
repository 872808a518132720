//! `jobwright shell`: a shell, or a command, in a job's environment.

use std::sync::Arc;

use jobwright_engine::{Engine, EngineOptions, RunReport, Spec};
use jobwright_events::RunMode;
use jobwright_journal::StateDir;
use jobwright_model::{Ending, Outcome, RunId};
use jobwright_runtime::{Scope, Visitor};

use super::run::{absolute, environment};
use crate::args::ShellArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::shell::{self, Shell};
use crate::show::aside;
use crate::{backends, show, signals};

/// Everything that goes wrong on our side has a code of its own, as all others are the program's.
pub(crate) async fn run(args: ShellArgs, state: Result<StateDir, Failure>) -> Result<Exit, Failure> {
    let entered = match (state, args.failed.clone()) {
        (Ok(state), Some(run)) => reenter(args, &run, &state).await,
        (Ok(state), None) => enter(args, &state).await,
        (Err(failure), _) => Err(failure),
    };
    entered.map_err(|failure| failure.with_exit(Exit::Ourselves))
}

async fn enter(args: ShellArgs, state: &StateDir) -> Result<Exit, Failure> {
    let spec = Spec {
        config_file: args.config,
        project: args.project.clone(),
        job_names: args.job.into_iter().collect(),
        env: environment(&args.env)?,
        event: "shell".to_owned(),
        mode: RunMode::Sequential,
        ..Spec::default()
    };
    let options =
        EngineOptions { backend: args.backend.filter(|name| !name.is_empty()), ..EngineOptions::default() };
    let mut settings = args.backends;
    settings.process.in_place = args.in_place.then(|| absolute(&args.project)).transpose()?;
    let engine = Engine::new(state.clone(), backends::registry(settings, state), options);
    let scope = Scope::new();
    signals::watch(&scope)?;
    let run = engine.open(&RunId::generate())?;
    let shown = show::follow(run.reader()?, show::Form::Around);
    let shell = Arc::new(Shell::new(args.command, args.shell));
    let report = run.enter(&spec, Arc::clone(&shell) as Arc<dyn Visitor>, &scope).await;
    shown.finish().await;
    exit_of(&shell, report)
}

/// What a failed job left, where it was kept.
async fn reenter(args: ShellArgs, run: &str, state: &StateDir) -> Result<Exit, Failure> {
    let run = super::run_id(run)?;
    let engine =
        Engine::new(state.clone(), backends::registry(args.backends, state), EngineOptions::default());
    let scope = Scope::new();
    signals::watch(&scope)?;
    let shell = Arc::new(Shell::new(args.command, args.shell));
    let tell = Arc::new(|text: &str| {
        if !shell::is_open() {
            aside::say(text);
        }
    });
    let visitor = Arc::clone(&shell) as Arc<dyn Visitor>;
    let entered = engine.reenter(&run, args.job.as_deref(), visitor, &scope, tell).await;
    let entered = entered.map_err(|error| Failure::new(Exit::Ourselves, error))?;
    code_of(&shell, &entered.ending, entered.error.or_else(|| entered.ending.evidence.clone()))
}

/// The program's own exit code; else why there is none.
fn exit_of(shell: &Shell, report: RunReport) -> Result<Exit, Failure> {
    if let Some(error) = report.error {
        return Err(error.into());
    }
    code_of(shell, &report.ending, report.jobs.iter().find_map(|job| job.error.clone()))
}

fn code_of(shell: &Shell, ending: &Ending, told: Option<String>) -> Result<Exit, Failure> {
    match shell.exit().and_then(shell::code) {
        Some(code) => {
            // What it said by its exit is no news; what went wrong after it is.
            if let Some(error) = told.filter(|_| !ended_by_itself(shell, ending)) {
                aside::say(format_args!("warning: {error}"));
            }
            Ok(Exit::OfProgram(code))
        }
        None if ending.outcome == Outcome::Cancelled => Ok(Exit::of(ending)),
        None => {
            Err(Failure::new(Exit::Ourselves, told.unwrap_or_else(|| "the shell did not start".to_owned())))
        }
    }
}

/// Whether the run ended as the program did.
fn ended_by_itself(shell: &Shell, ending: &Ending) -> bool {
    shell.exit().is_some_and(|exit| Ending::of_exit(exit).cause == ending.cause)
}
