//! `jobwright exec`: one execution, as if its program were run here.

mod request;

use std::sync::Arc;

use jobwright_backend::{Backend, BackendRegistry};
use jobwright_executor::{Error, Executions, Executor, ExecutorOptions};
use jobwright_journal::StateDir;
use jobwright_model::{Cause, ExecutionId, ExecutionRequest, ExecutionResult, LogStreamRequest, Outcome};
use jobwright_runtime::{Limits, Scope, Visitor};

use super::executions::{self, Broken, Passing};
use crate::args::ExecArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::shell::Shell;
use crate::show::aside;
use crate::{backends, signals};

/// Everything that goes wrong on our side has a code of its own, as all others are the program's.
pub(crate) async fn run(args: ExecArgs, state: Result<StateDir, Failure>) -> Result<Exit, Failure> {
    let scope = Scope::new();
    let ran = match state {
        Ok(state) => execute(args, &state, &scope).await,
        Err(failure) => Err(failure),
    };
    let Ran { id, result, broken } = ran.map_err(|failure| failure.with_exit(Exit::Ourselves))?;
    if let Some(broken) = broken {
        return executions::exit_of_broken(&id, broken);
    }
    if result.missing > 0 && result.ending.succeeded() {
        return Err(Failure::new(Exit::Ourselves, missing(&id, &result)));
    }
    match scope.cause() {
        // Whoever sits before us asked for it: so does the code.
        Some(cause) if result.ending.outcome == Outcome::Cancelled => Ok(of_cause(&cause)),
        _ => executions::exit_of(&id, &result),
    }
}

fn of_cause(cause: &Cause) -> Exit {
    if *cause == Cause::ByUser { Exit::Interrupted } else { Exit::Cancelled }
}

/// What came of it.
struct Ran {
    id: ExecutionId,
    result: ExecutionResult,
    /// Why its output could not be passed on to its end.
    broken: Option<Broken>,
}

async fn execute(args: ExecArgs, state: &StateDir, scope: &Scope) -> Result<Ran, Failure> {
    let shell = args.interactive.then(|| visitor(&args)).transpose()?;
    let registry = backends::registry(args.backends.clone(), state);
    let backend = choose(&registry, args.backend.as_deref(), args.image.is_some()).await?;
    let request = request::of(&args, &*backend)?;
    let executor = Executions::open(state.clone(), [backend], ExecutorOptions::default())?;
    let running = Running { executor, id: request.execution_id.clone(), scope: scope.clone() };
    signals::watch_for(scope, running.words())?;
    let logs = LogStreamRequest {
        job_id: request.job_id.clone(),
        execution_id: running.id.clone(),
        tail: false,
        follow: true,
    };
    let begun = running.begin(request, shell.clone()).await;
    begun.map_err(|error| request::refused(error, &args))?;
    if args.print_id {
        aside::say(&running.id);
    }
    let broken = match shell {
        Some(_) => running.to_its_end().await.map(|()| None),
        None => running.pass_on(logs).await,
    }?;
    let result = executions::conclusion(&running.executor, &running.id).await?;
    if result.missing > 0 && !result.ending.succeeded() {
        aside::say(format_args!("warning: {}", missing(&running.id, &result)));
    }
    if !args.keep && args.id.is_none() {
        running.forget().await;
    }
    Ok(Ran { id: running.id, result, broken })
}

/// What was not passed on because it could not be kept; a program that passed did not, for who needs what it wrote.
fn missing(id: &ExecutionId, result: &ExecutionResult) -> String {
    format!("execution {id}: {} bytes of its output are missing: they could not be kept", result.missing)
}

fn visitor(args: &ExecArgs) -> Result<Arc<dyn Visitor>, Failure> {
    let command = args.entrypoint.iter().chain(&args.command).cloned().collect();
    Ok(Arc::new(Shell::with_input(command, args.tty)?))
}

/// The backend that was asked for; else the first that is available and gives what is asked for: images, or the host.
async fn choose(
    registry: &BackendRegistry,
    wanted: Option<&str>,
    images: bool,
) -> Result<Arc<dyn Backend>, Failure> {
    let found = match wanted.filter(|name| !name.is_empty()) {
        Some(name) => registry.find(Some(name)).await,
        None => {
            let fitting = registry.iter().filter(|backend| backend.capabilities().images == images);
            BackendRegistry::new(fitting.cloned().collect()).find(None).await
        }
    };
    let needs = if images && wanted.is_none() { "--image needs a container engine, and " } else { "" };
    found.map_err(|error| Failure::new(Exit::Unavailable, format!("{needs}{error}")))
}

/// An execution that this process has begun.
struct Running {
    executor: Executions,
    id: ExecutionId,
    scope: Scope,
}

impl Running {
    async fn begin(&self, request: ExecutionRequest, visitor: Option<Arc<dyn Visitor>>) -> Result<(), Error> {
        match visitor {
            Some(visitor) => self.executor.visit(request, visitor).await,
            None => self.executor.start(request).await,
        }
    }

    /// What is said to somebody who ends it.
    fn words(&self) -> signals::Words {
        signals::Words {
            ending: format!("ending execution {}; once more leaves at once", self.id),
            left: format!("left at once; `jobwright executions rm --force {}` ends and removes it", self.id),
        }
    }

    /// Passes its output on to its end, which is earlier when somebody asks for that or nobody reads.
    async fn pass_on(&self, logs: LogStreamRequest) -> Result<Option<Broken>, Failure> {
        let output = match self.executor.get_log_stream(logs).await {
            Ok(output) => output,
            Err(error) => {
                self.cancel().await?;
                return Ok(Some(Broken::Unread(error)));
            }
        };
        let mut passing = Passing::all();
        let mut passed = Box::pin(passing.pass_on(output));
        let passed = tokio::select! {
            passed = &mut passed => passed,
            _ = self.scope.cancelled() => {
                let (cancelled, passed) = tokio::join!(self.cancel(), passed);
                cancelled?;
                passed
            }
        };
        if let Err(broken) = passed {
            self.cancel().await?;
            return Ok(Some(broken));
        }
        Ok(None)
    }

    /// Waits for the end of one whose output goes another way.
    async fn to_its_end(&self) -> Result<(), Failure> {
        tokio::select! {
            ended = executions::conclusion(&self.executor, &self.id) => ended.map(drop),
            _ = self.scope.cancelled() => self.cancel().await,
        }
    }

    async fn cancel(&self) -> Result<(), Failure> {
        match self.executor.cancel(&self.id).await {
            Ok(()) | Err(Error::AlreadyConcluded { .. } | Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Nobody asked for it to be kept.
    async fn forget(&self) {
        match self.executor.remove(&self.id, Limits::default().cleanup).await {
            Ok(()) | Err(Error::NotFound(_)) => {}
            Err(error) => aside::say(format_args!("warning: {} is still known: {error}", self.id)),
        }
    }
}
