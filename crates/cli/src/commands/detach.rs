//! `jobwright run --detach`: another process carries the run on, this one says its id and leaves. The other one is this very program
//! with the same arguments, told by its environment which run it owns.

use std::env;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jobwright_engine::is_prepared;
use jobwright_journal::StateDir;
use jobwright_model::RunId;

use super::attach::follow;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::{self, aside, sink};

/// Names the run that this process is to own, with nobody to show it to.
const OWNER_OF: &str = "JOBWRIGHT_DETACHED_RUN";

/// What the owner says about itself lies here, in the run's folder.
const LOG: &str = "owner.log";

/// How long it may take until the owner has begun, and how often it is looked.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The run that this process was started to own.
pub(super) fn owned_by_us() -> Option<RunId> {
    env::var(OWNER_OF).ok().and_then(|id| RunId::new(id).ok())
}

/// Lets go of the terminal and of whoever started us.
pub(super) fn leave_session() {
    if let Err(error) = rustix::process::setsid() {
        tracing::warn!(%error, "the run's owner stays in the session that it was started in");
    }
}

/// Starts the owner of `run` and waits until it has begun: until then what is wrong is told here.
pub(super) async fn run(run: &RunId, state: &StateDir) -> Result<Exit, Failure> {
    let folder = state.create_run_dir(run)?;
    let failed =
        |what: &str, error: std::io::Error| Failure::new(Exit::Unavailable, format!("{what}: {error}"));
    let log = File::create(folder.join(LOG)).map_err(|error| failed("the owner's log", error))?;
    let program = env::current_exe().map_err(|error| failed("this program's file", error))?;
    let mut owner = Command::new(program)
        .args(env::args_os().skip(1))
        .env(OWNER_OF, run.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|error| failed("the run's owner could not be started", error))?;
    let begun = tokio::time::timeout(PATIENCE, begun(&mut owner, &folder)).await;
    match begun.unwrap_or(Ok(None)).map_err(|error| failed("the run's owner", error))? {
        None => {
            sink::say(run);
            Ok(Exit::Success)
        }
        Some(code) => {
            let said = fs::read_to_string(folder.join(LOG)).unwrap_or_default();
            if !said.trim().is_empty() {
                aside::say(said.trim_end());
            }
            // A run that came to its end within this moment is shown as it would have been.
            let is_shown = follow(run, show::Form::Plain, state).await.is_ok();
            let ended = || format!("the run's owner ended with {code} before the run had begun");
            Exit::of_code(code).filter(|_| is_shown).ok_or_else(|| Failure::new(Exit::Unavailable, ended()))
        }
    }
}

/// Waits until the owner has written down what the run is (none), or has ended (its exit code).
async fn begun(owner: &mut Child, folder: &std::path::Path) -> std::io::Result<Option<i32>> {
    loop {
        if is_prepared(folder) {
            return Ok(None);
        }
        if let Some(status) = owner.try_wait()? {
            return Ok(if is_prepared(folder) { None } else { Some(status.code().unwrap_or(-1)) });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
