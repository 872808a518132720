//! `jobwright cancel`: asks for the end of a run, whoever has it. One whose owner has died is ended by whoever takes it over.

use std::path::Path;

use jobwright_engine::ask_to_cancel;
use jobwright_journal::{Journal, JournalError, ProcessIdentity, StateDir};
use jobwright_model::RunId;
use jobwright_runtime::Record;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::attach::{follow, unknown};
use super::executions;
use crate::args::CancelArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::{self, sink};

pub(crate) async fn run(args: CancelArgs, state: &StateDir) -> Result<Exit, Failure> {
    let run = &args.run;
    let folder = state.run_dir(run);
    if !folder.join("journal").exists() {
        return Err(unknown(run));
    }
    executions::refuse(run, state, "cancel")?;
    // Written first: an owner that dies now is followed by one that finds it.
    ask_to_cancel(&folder).map_err(|error| {
        Failure::new(Exit::Unavailable, format!("cannot ask for the end of run {run}: {error}"))
    })?;
    if !state.run_is_owned(run)? {
        return Ok(without_owner(run, &folder));
    }
    signal_owner(run, &folder)?;
    if args.no_wait {
        sink::say(format_args!("{run} is being cancelled"));
        return Ok(Exit::Success);
    }
    match follow(run, show::Form::Nothing, state).await? {
        Some(ending) => {
            sink::say(format_args!("{run}: {}", ending.outcome.as_str()));
            Ok(Exit::Success)
        }
        None => Ok(without_owner(run, &folder)),
    }
}

fn without_owner(run: &RunId, folder: &Path) -> Exit {
    let said = if super::ps::has_ended(folder, run) {
        format!("{run} has ended already")
    } else {
        format!(
            "the owner of {run} has died; it is cancelled when it is taken over: `jobwright run --resume {run}`"
        )
    };
    sink::say(said);
    Exit::Success
}

/// Sends the owner what Ctrl-C would. By its identity and not by its number alone (DESIGN rule 8).
fn signal_owner(run: &RunId, folder: &Path) -> Result<(), Failure> {
    let failed =
        |why: String| Failure::new(Exit::Unavailable, format!("cannot reach the owner of run {run}: {why}"));
    let owners = match Journal::<Record>::read(&folder.join("journal")) {
        Ok(recovered) => recovered.owners,
        Err(error @ JournalError::Version { .. }) => return Err(failed(error.to_string())),
        Err(error) => return Err(failed(error.to_string())),
    };
    let owner: &ProcessIdentity = owners.last().ok_or_else(|| failed("its journal names none".to_owned()))?;
    let pid = i32::try_from(owner.pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| failed(format!("{} is no process", owner.pid)))?;
    let handle = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| failed(error.to_string()))?;
    // Looked at with the handle held: from here on the number cannot become another's.
    if !owner.is_alive() {
        return Err(failed("it has died just now; try again".to_owned()));
    }
    pidfd_send_signal(handle, Signal::INT).map_err(|error| failed(error.to_string()))
}
