//! `jobwright executions`: looking after executions, whoever owns them. What is only looked at is in `look`, output in `output`.

mod look;
mod output;

use futures_util::{StreamExt, stream};
use jobwright_backend::BackendRegistry;
use jobwright_executor::{Error, ExecutionFolder, Executions, Executor, ExecutorOptions};
use jobwright_journal::StateDir;
use jobwright_model::{Cause, ExecutionId, ExecutionResult, Outcome, RunId};
use jobwright_runtime::Limits;

use crate::args::{BackendArgs, ExecutionArgs, ExecutionsCommand, ExecutionsRmArgs};
use crate::backends;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::{aside, sink};

pub(super) use output::{Broken, Passing, exit_of_broken};

/// So many are removed at the same time: one that runs is given time to end.
const AT_A_TIME: usize = 64;

pub(crate) async fn run(command: ExecutionsCommand, state: &StateDir) -> Result<Exit, Failure> {
    match command {
        ExecutionsCommand::Ls(args) => look::list(args, state).await,
        ExecutionsCommand::Show(args) => look::show(args, state).await,
        ExecutionsCommand::Stats(args) => look::stats(args, state).await,
        ExecutionsCommand::Logs(args) => output::logs(args, state).await,
        ExecutionsCommand::Exec(args) => output::exec(args, state).await,
        ExecutionsCommand::Wait(args) => wait(args, state).await,
        ExecutionsCommand::Cancel(args) => cancel(args, state).await,
        ExecutionsCommand::Pause(ExecutionArgs { id, backends }) => {
            Opened::new(backends, state)?.reaching(&id).await?.pause(&id).await?;
            Ok(Exit::Success)
        }
        ExecutionsCommand::Resume(ExecutionArgs { id, backends }) => {
            Opened::new(backends, state)?.reaching(&id).await?.resume(&id).await?;
            Ok(Exit::Success)
        }
        ExecutionsCommand::Rm(args) => remove(args, state).await,
    }
}

/// The executions of a state directory, on all backends. None of these is asked for anything before it has to be.
pub(super) struct Opened {
    pub(super) executor: Executions,
    registry: BackendRegistry,
}

impl Opened {
    fn new(backends: BackendArgs, state: &StateDir) -> Result<Self, Failure> {
        Self::on(backends::registry(backends, state), state)
    }

    /// On the backends of `registry`.
    pub(super) fn on(registry: BackendRegistry, state: &StateDir) -> Result<Self, Failure> {
        let all: Vec<_> = registry.iter().cloned().collect();
        let executor = Executions::open(state.clone(), all, ExecutorOptions::default())?;
        Ok(Self { executor, registry })
    }

    /// The executor, once the backend of that execution answers.
    async fn reaching(&self, id: &ExecutionId) -> Result<&Executions, Failure> {
        let info = self.executor.get_info(id).await?;
        // One that has ended needs none, and says so itself.
        if !info.status.is_terminal() {
            let found = self.registry.find(Some(&info.runtime)).await;
            let backend = found.map_err(|error| Failure::new(Exit::Unavailable, error))?;
            backend.load().await.map_err(|error| Failure::new(Exit::Unavailable, error))?;
        }
        Ok(&self.executor)
    }
}

/// The end of an execution, before or after it was asked for.
pub(super) async fn conclusion(executor: &Executions, id: &ExecutionId) -> Result<ExecutionResult, Failure> {
    match executor.wait(id).await {
        Ok(result) => Ok(result),
        Err(Error::AlreadyConcluded { result, .. }) => Ok(*result),
        Err(error) => Err(error.into()),
    }
}

/// The program's own exit code; else what there is in its place, and why.
pub(super) fn exit_of(id: &ExecutionId, result: &ExecutionResult) -> Result<Exit, Failure> {
    let ending = &result.ending;
    let told = || format!("execution {id}: {}", result.error_msg);
    match (&ending.cause, result.exit_code) {
        _ if ending.succeeded() => Ok(Exit::Success),
        _ if ending.outcome == Outcome::Cancelled => {
            aside::say(told());
            Ok(Exit::Cancelled)
        }
        (Cause::Timeout | Cause::SilenceTimeout, _) => Err(Failure::new(Exit::TimedOut, told())),
        (Cause::OutOfMemory, code) => {
            aside::say(told());
            Ok(Exit::OfProgram(if code > 0 { low(code) } else { 137 }))
        }
        (Cause::ExitCode | Cause::Signal, code @ 1..) => Ok(Exit::OfProgram(low(code))),
        _ => Err(Failure::new(Exit::Ourselves, told())),
    }
}

/// An exit code as a shell tells it; never 0, as it is that of a failure.
fn low(code: i32) -> u8 {
    u8::try_from(code & 0xff).ok().filter(|code| *code != 0).unwrap_or(u8::MAX)
}

async fn wait(args: ExecutionArgs, state: &StateDir) -> Result<Exit, Failure> {
    let opened = Opened::new(args.backends, state)?;
    exit_of(&args.id, &conclusion(&opened.executor, &args.id).await?)
}

async fn cancel(args: ExecutionArgs, state: &StateDir) -> Result<Exit, Failure> {
    Opened::new(args.backends, state)?.executor.cancel(&args.id).await?;
    Ok(Exit::Success)
}

async fn remove(args: ExecutionsRmArgs, state: &StateDir) -> Result<Exit, Failure> {
    let opened = Opened::new(args.backends, state)?;
    let ids = match args.all {
        true => opened.executor.list().await?.into_iter().map(|item| item.execution_id).collect(),
        false => args.ids,
    };
    let removals = ids.into_iter().map(|id| {
        let executor = &opened.executor;
        async move {
            let removed = remove_one(executor, &id, args.force).await;
            (id, removed)
        }
    });
    let mut removals = stream::iter(removals).buffered(AT_A_TIME);
    let mut exit = Exit::Success;
    while let Some((id, removed)) = removals.next().await {
        match removed {
            Ok(true) => sink::say(id),
            Ok(false) if args.all => {}
            Ok(false) => {
                let text = format!(
                    "execution {id} has not ended; end it first (`jobwright executions cancel {id}`), or say --force"
                );
                exit = Failure::new(Exit::Failed, text).tell();
            }
            // Of all, one that somebody else has removed is as it should be.
            Err(Error::NotFound(_)) if args.all => {}
            Err(error) => exit = Failure::from(error).tell(),
        }
    }
    Ok(exit)
}

/// False for one that goes on and must not be ended.
async fn remove_one(executor: &Executions, id: &ExecutionId, force: bool) -> Result<bool, Error> {
    if !force && !executor.get_status(id).await?.is_terminal() {
        return Ok(false);
    }
    executor.remove(id, Limits::default().cleanup).await.map(|()| true)
}

/// Refuses a run that is an execution, for a command that only knows runs; `verb` is what does the same for an execution.
pub(super) fn refuse(run: &RunId, state: &StateDir, verb: &str) -> Result<(), Failure> {
    match ExecutionFolder::of(state, run)? {
        Some(folder) => {
            let text =
                format!("{run} is the execution {}; `jobwright executions {verb} {0}` is for it", folder.id);
            Err(Failure::new(Exit::Invalid, text))
        }
        None => Ok(()),
    }
}
