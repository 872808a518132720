//! How a container's life ends: waiting for it, and the exit that its record tells. Exit statuses are read from the engine's
//! own record of the container and from nowhere else (DESIGN rule 1).
//!
//! The engine's `wait` only says when to look. It is not relied upon: a connection to an engine whose host vanished stays open
//! for ever, and Podman answers a `wait` only when a process of its own has cleaned up after the container, which may be late
//! (0.3 to 0.6 s on an idle machine) or never, where that process was killed. So the record is looked at from time to time,
//! too; it has the end from the moment on at which there is one.

use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::models::ContainerWaitResponse;
use bollard::query_parameters::WaitContainerOptionsBuilder;
use futures_util::stream::{BoxStream, StreamExt};
use jobwright_backend::{Error, Result};
use jobwright_model::{ExitStatus, StepExit};
use tokio::time::{Instant, sleep, timeout};

use crate::engine::{Engine, EngineKind};
use crate::failure;
use crate::records::{Life, StateRecord};

/// How long an engine may take to show that it lives.
const PULSE_ANSWER: Duration = Duration::from_secs(20);
/// The pause before a record is looked at again that did not say what `wait` had announced.
const AGAIN: Duration = Duration::from_millis(20);
/// For how long a record that says nothing is looked at again.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of a container.
#[derive(Debug)]
pub(crate) enum End {
    /// It ended, and this is its record.
    Recorded(StateRecord),
    /// It is gone, record and all. The code is what the engine's `wait` told, if it told one.
    Removed(Option<i64>),
    /// It was never started.
    NeverBegan,
}

/// Waits until the container `id` has ended.
///
/// # Errors
/// [`Error::EngineGone`] when the engine stopped answering; [`Error::Engine`] when for a long time its answers said nothing
/// that we understand. Neither says anything of the container.
pub(crate) async fn await_end(engine: &Engine, id: &str) -> Result<End> {
    let mut bell = Bell::of(engine, id);
    let mut puzzled: Option<Instant> = None;
    loop {
        bell.rings().await?;
        let unclear = match look(engine, id).await? {
            Look::Gone => return Ok(End::Removed(bell.code)),
            Look::Busy => continue,
            Look::Refused(words) => words,
            Look::Seen(state) => match state.life() {
                Life::Over => return Ok(End::Recorded(state)),
                Life::Before if bell.has_rung() => return Ok(End::NeverBegan),
                Life::Before | Life::Alive => {
                    puzzled = None;
                    bell.rehang();
                    continue;
                }
                Life::Unclear(word) => format!("it says that the container is {word:?}"),
            },
        };
        if puzzled.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            let operation = "say what became of the container".to_owned();
            return Err(Error::Engine { engine: engine.kind.name(), operation, message: unclear });
        }
    }
}

/// Says when to look at a container's record: when the engine's `wait` answers, and from time to time.
struct Bell<'a> {
    engine: &'a Engine,
    id: &'a str,
    /// None once it has answered.
    wait: Option<BoxStream<'a, Result<ContainerWaitResponse, EngineError>>>,
    /// Set when it has to be asked anew.
    rehung: bool,
    code: Option<i64>,
    pause: Duration,
}

impl<'a> Bell<'a> {
    fn of(engine: &'a Engine, id: &'a str) -> Self {
        let (pause, _) = glances(engine.kind);
        Self { engine, id, wait: Some(ask(engine, id)), rehung: false, code: None, pause }
    }

    /// Waits until it is time to look.
    async fn rings(&mut self) -> Result<()> {
        let Some(wait) = &mut self.wait else {
            sleep(AGAIN).await;
            if std::mem::take(&mut self.rehung) {
                self.wait = Some(ask(self.engine, self.id));
                return Box::pin(self.rings()).await;
            }
            return Ok(());
        };
        tokio::select! {
            said = wait.next() => {
                self.wait = None;
                self.code = code(self.engine, said)?.or(self.code);
            }
            () = sleep(self.pause) => {
                let (_, longest) = glances(self.engine.kind);
                self.pause = (self.pause * 2).min(longest);
            }
        }
        Ok(())
    }

    /// Whether the engine has said that the container does not run.
    fn has_rung(&self) -> bool {
        self.wait.is_none()
    }

    /// The container was between its creation and its start when the engine was asked, or something else restarted it.
    fn rehang(&mut self) {
        self.rehung = self.wait.is_none();
    }
}

fn ask<'a>(engine: &'a Engine, id: &'a str) -> BoxStream<'a, Result<ContainerWaitResponse, EngineError>> {
    let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
    engine.patient.wait_container(id, Some(options)).boxed()
}

/// The pause before the first glance at a record, and the longest one: it doubles. Docker's `wait` is prompt, so the glance is
/// there for the engine's own pulse only.
fn glances(kind: EngineKind) -> (Duration, Duration) {
    match kind {
        EngineKind::Docker => (Duration::from_secs(30), Duration::from_secs(30)),
        EngineKind::Podman => (Duration::from_millis(50), Duration::from_secs(2)),
    }
}

/// The code in an answer to `wait`; none for a refusal or an answer without a word.
fn code(engine: &Engine, said: Option<Result<ContainerWaitResponse, EngineError>>) -> Result<Option<i64>> {
    match said {
        Some(Ok(end)) => Ok(Some(end.status_code)),
        Some(Err(EngineError::DockerContainerWaitError { code, .. })) => Ok(Some(code)),
        Some(Err(error)) if failure::is_gone(&error) => Err(engine.error("wait for the container", &error)),
        Some(Err(_)) | None => Ok(None),
    }
}

/// What a look at a container's record gave.
enum Look {
    Seen(StateRecord),
    Gone,
    /// The engine lives, but does not tell now: Podman keeps a container to itself while it works on it.
    Busy,
    /// In these words.
    Refused(String),
}

async fn look(engine: &Engine, id: &str) -> Result<Look> {
    match timeout(PULSE_ANSWER, engine.inspect(id)).await {
        Ok(Ok(found)) => Ok(Look::Seen(found.into_state())),
        Ok(Err(error)) if failure::is_absent(&error) => Ok(Look::Gone),
        Ok(Err(error)) if failure::is_gone(&error) => Err(engine.error("inspect the container", &error)),
        Ok(Err(error)) => Ok(Look::Refused(failure::words(&error))),
        Err(_) => engine.pulse().await.map(|()| Look::Busy),
    }
}

/// The exit of a container whose record is gone. A code other than 0 came from the engine; 0 is also what it tells when a
/// container is removed that never ran, so it proves nothing.
pub(crate) fn vanished(code: Option<i64>) -> StepExit {
    let status = match code {
        Some(code) if code > 0 => ExitStatus::Code(code as i32),
        _ => ExitStatus::Unknown,
    };
    let message = "the container was removed before its exit status was read".to_owned();
    StepExit { message: Some(message), ..StepExit::new(status) }
}

/// The exit that a container's record tells. Docker on Windows writes −1 as 4294967295; a −1 as such is Podman's word for a
/// status that it could not read.
pub(crate) fn exit(state: &StateRecord) -> StepExit {
    let code = state.exit_code.filter(|code| *code >= 0).map(|code| ExitStatus::Code(code as i32));
    StepExit {
        oom: state.oom_killed.unwrap_or(false),
        started: state.started(),
        finished: state.finished(),
        message: state.error.clone().filter(|words| !words.is_empty()),
        ..StepExit::new(code.unwrap_or(ExitStatus::Unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_code(exit_code: i64) -> StateRecord {
        StateRecord { exit_code: Some(exit_code), ..StateRecord::default() }
    }

    // covers: woodpecker 68
    #[test]
    fn windows_minus_one_is_minus_one() {
        assert_eq!(exit(&with_code(4_294_967_295)).status, ExitStatus::Code(-1));
    }

    #[test]
    fn a_record_without_a_code_is_no_success() {
        assert_eq!(exit(&StateRecord::default()).status, ExitStatus::Unknown);
        assert_eq!(exit(&with_code(-1)).status, ExitStatus::Unknown);
    }

    /// DESIGN rule 1.
    #[test]
    fn a_vanished_container_is_never_a_success() {
        assert_eq!(vanished(Some(0)).status, ExitStatus::Unknown);
        assert_eq!(vanished(None).status, ExitStatus::Unknown);
        assert_eq!(vanished(Some(-1)).status, ExitStatus::Unknown);
        assert_eq!(vanished(Some(3)).status, ExitStatus::Code(3));
    }
}
