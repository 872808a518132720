//! `jobwright attach`: shows a run that another process owns, from its first event to its last. Leaving it (Ctrl-C) leaves the run as
//! it is.

use std::time::Duration;

use jobwright_engine::RunError;
use jobwright_events::EventLogReader;
use jobwright_journal::StateDir;
use jobwright_model::{Ending, RunId};

use super::executions;
use crate::args::AttachArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show;

/// How often it is looked whether the run's owner lives: nothing comes from a dead one.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

pub(crate) async fn run(args: AttachArgs, state: &StateDir) -> Result<Exit, Failure> {
    executions::refuse(&args.run, state, "logs --follow")?;
    let form = show::Form::choose(args.json);
    match follow(&args.run, form, state).await? {
        Some(ending) => Ok(Exit::of(&ending).by_request()),
        None => Err(Failure::new(
            Exit::Unavailable,
            format!("the owner of run {0} has died; `jobwright run --resume {0}` goes on with it", args.run),
        )),
    }
}

/// Shows the run until its end, and says how it ended; none when its owner died before that.
pub(super) async fn follow(
    run: &RunId,
    form: show::Form,
    state: &StateDir,
) -> Result<Option<Ending>, Failure> {
    let folder = state.run_dir(run);
    if !folder.exists() {
        return Err(unknown(run));
    }
    let reader = EventLogReader::open(&folder, run).map_err(RunError::from)?;
    let (state, id) = (state.clone(), run.clone());
    let orphaned = async move {
        // A look that fails says nothing about the owner.
        while state.run_is_owned(&id).unwrap_or(true) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    Ok(show::follow_while(reader, form, orphaned).finish().await)
}

/// There is no such run.
pub(super) fn unknown(run: &RunId) -> Failure {
    let text = format!(
        "there is no run {run} in this state directory; `jobwright ps --all` lists those that there are"
    );
    Failure::new(Exit::NotFound, text)
}
