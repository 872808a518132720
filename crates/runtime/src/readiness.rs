//! Waiting until a step in the background is ready: by a command within it, else by its environment's own health check, else because
//! it runs. Not for what a step that does not get ready means for its workflow: that is `running.rs`.

use std::time::Duration;

use futures_util::StreamExt;
use jobwright_backend::{Error, ExecRequest, ExecSession, Health, StepControl};
use jobwright_model::{ExitStatus, Readiness, Step, StepExit, format_duration};
use tokio::time::{Instant, sleep, timeout_at};

use crate::limits::after;
use crate::outage::insist;
use crate::shared::Shared;

/// The pauses between two looks; they grow from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// How much of what a command printed is kept to be told.
const LAST_WORDS: usize = 512;

/// Why a step is not ready.
pub(crate) enum Unready {
    /// Its time is over; what was found last, not masked.
    Late(String),
    /// Nobody can say, and will not be able to.
    Unknown(Error),
}

/// What a look found.
enum Found {
    Ready,
    /// Why not; a sentence's end.
    NotYet(String),
}

/// Looks until `step` is ready, or its time is over.
pub(crate) async fn wait(shared: &Shared, step: &Step, readiness: &Readiness) -> Result<(), Unready> {
    let end = after(Instant::now(), readiness.timeout);
    let mut found = "the first look at it has not ended".to_owned();
    let mut pause = FIRST_PAUSE;
    loop {
        match timeout_at(end, look(shared, step, readiness)).await {
            Ok(Ok(Found::Ready)) => return Ok(()),
            Ok(Ok(Found::NotYet(why))) => found = why,
            Ok(Err(error)) => return Err(Unready::Unknown(error)),
            Err(_) => break,
        }
        if timeout_at(end, sleep(pause)).await.is_err() {
            break;
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
    Err(Unready::Late(format!("not ready after {}: {found}", format_duration(readiness.timeout))))
}

/// One look, with patience for an engine that does not answer. That a step is not there is no answer: its exit is waited for beside
/// this, and says more.
async fn look(shared: &Shared, step: &Step, readiness: &Readiness) -> Result<Found, Error> {
    let found = match (&readiness.command, shared.backend.control()) {
        (Some(command), Some(control)) => by_command(shared, control, step, command).await,
        (Some(_), None) => {
            let what = "running a command in a step, which says when it is ready".to_owned();
            Err(Error::Unsupported { backend: shared.backend.name(), what })
        }
        (None, Some(control)) => by_health(shared, control, step).await,
        (None, None) => Ok(Found::Ready),
    };
    match found {
        Err(Error::UnknownStep { .. }) => Ok(Found::NotYet("it does not run".to_owned())),
        found => found,
    }
}

async fn by_command(
    shared: &Shared,
    control: &dyn StepControl,
    step: &Step,
    command: &str,
) -> Result<Found, Error> {
    let argv = ["/bin/sh", "-c", command].map(str::to_owned).to_vec();
    let run = async || {
        let request = ExecRequest { argv: argv.clone(), ..ExecRequest::default() };
        let session = control.exec(step, &shared.task, request).await?;
        end_of(session).await
    };
    match insist(&*shared.backend, shared.limits.patience, run).await {
        Ok((exit, words)) => Ok(judged(&exit, &words)),
        // The image may have no shell, or not yet all that its processes need.
        Err(Error::Engine { message, .. }) => Ok(Found::NotYet(format!("its command cannot run: {message}"))),
        Err(error) => Err(error),
    }
}

/// Waits for a command's end. Its output is read to its end or the command's, so that no full pipe stops it.
async fn end_of(mut session: Box<dyn ExecSession>) -> Result<(StepExit, Vec<u8>), Error> {
    let mut words = Vec::new();
    let mut output = session.output();
    let mut end = session.wait();
    loop {
        let Some(open) = &mut output else { return Ok((end.await?, words)) };
        tokio::select! {
            biased;
            chunk = open.next() => match chunk {
                Some(Ok(chunk)) => {
                    words.extend_from_slice(&chunk.bytes);
                    words.drain(..words.len().saturating_sub(LAST_WORDS));
                }
                Some(Err(_)) | None => output = None,
            },
            end = &mut end => return Ok((end?, words)),
        }
    }
}

fn judged(exit: &StepExit, words: &[u8]) -> Found {
    let how = match exit.status {
        ExitStatus::Code(0) => return Found::Ready,
        ExitStatus::Code(code) => format!("its command exited with code {code}"),
        ExitStatus::Signal(signal) => format!("its command was ended by signal {signal}"),
        ExitStatus::Unknown => "how its command ended is not known".to_owned(),
    };
    let words = String::from_utf8_lossy(words);
    let last = words.lines().rfind(|line| !line.trim().is_empty());
    Found::NotYet(last.map_or_else(|| how.clone(), |line| format!("{how}: {}", line.trim())))
}

async fn by_health(shared: &Shared, control: &dyn StepControl, step: &Step) -> Result<Found, Error> {
    let ask = || control.health(step, &shared.task);
    Ok(match insist(&*shared.backend, shared.limits.patience, ask).await? {
        Health::Unchecked | Health::Healthy => Found::Ready,
        Health::Starting => Found::NotYet("its health check has not succeeded yet".to_owned()),
        Health::Unhealthy => Found::NotYet("its health check fails".to_owned()),
    })
}
