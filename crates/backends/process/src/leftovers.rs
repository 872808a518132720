//! Processes of a step whose shim died. Its first process died with the shim; others are told by the token in their
//! environment, which nobody else has.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jobwright_backend::{Error, Result};
use jobwright_shim::protocol::TOKEN_VARIABLE;
use jobwright_shim::{identity, procfs};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::backend::NAME;
use crate::place::StepPlace;

/// How long killed processes have to be gone.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
/// A process that is just being executed has no environment for a moment, so one empty look is not believed.
const LOOKS: u32 = 3;

/// Ends what is left: SIGTERM, the grace, SIGKILL (DESIGN rule 9).
pub(crate) async fn end(place: &StepPlace, grace: Duration) -> Result<()> {
    let Some(token) = token(place)? else { return Ok(()) };
    let begin = Instant::now();
    signal(&token, Signal::TERM);
    while begin.elapsed() < grace {
        if none_left(&token).await {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        signal(&token, Signal::KILL);
        if none_left(&token).await {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    let message = format!("{} of its processes did not die although killed", members(&token).len());
    Err(Error::Engine { engine: NAME, operation: format!("end step {}", place.id), message })
}

async fn none_left(token: &[u8]) -> bool {
    for _ in 0..LOOKS {
        if !members(token).is_empty() {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
    }
    true
}

/// The step's token, when it was started in this boot: no process outlives a boot.
fn token(place: &StepPlace) -> Result<Option<Vec<u8>>> {
    let token = match place.start()? {
        Some(start) => (start.boot_id == identity::boot_id()).then_some(start.token),
        // The shim died before it could write whom it had started, or it had not started anybody yet.
        None => place.files.noted_token(),
    };
    Ok(token.map(String::into_bytes))
}

/// Living processes with the token, and those below them that shed it.
fn members(token: &[u8]) -> Vec<u32> {
    let marked: Vec<u32> = procfs::all()
        .into_iter()
        .filter(|pid| procfs::environment(*pid, TOKEN_VARIABLE).is_some_and(|found| found == token))
        .collect();
    let mut all: HashSet<u32> = procfs::descendants(marked.iter().copied()).into_iter().collect();
    all.extend(marked);
    all.into_iter().filter(|pid| procfs::stat(*pid).is_some_and(|stat| !stat.is_zombie())).collect()
}

/// By descriptors, and looked at once more when the descriptor is held: the number may have become another's meanwhile.
fn signal(token: &[u8], signal: Signal) {
    let members: Vec<u32> = members(token);
    for pid in &members {
        let Some(descriptor) =
            Pid::from_raw(*pid as i32).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
        else {
            continue;
        };
        let is_marked = procfs::environment(*pid, TOKEN_VARIABLE).is_some_and(|found| found == token);
        if is_marked || procfs::stat(*pid).is_some_and(|stat| members.contains(&stat.parent)) {
            // One that ended meanwhile is what was wanted.
            let _ = pidfd_send_signal(&descriptor, signal);
        }
    }
}
