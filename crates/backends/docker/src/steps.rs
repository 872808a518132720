//! A step's life after its container was made: start, end, removal. Exit statuses are read from the engine's own record of
//! the container and from nowhere else (DESIGN rule 1).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::models::{ContainerState, ContainerStateStatusEnum as Status};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use jiff::Timestamp;
use jobwright_backend::{Error, Result, Silent, labels};
use jobwright_model::{ExitStatus, Step, StepExit, TaskUuid};
use tokio::time::{sleep, timeout};

use crate::Inner;
use crate::belongings::{carries, having};
use crate::engine::Engine;
use crate::failure;
use crate::prepare::Creation;
use crate::tasks::{Claim, Container, Phase};

/// How often the engine is asked whether it still lives while a step runs.
const PULSE: Duration = Duration::from_secs(30);
/// How long it may take to answer that.
const PULSE_ANSWER: Duration = Duration::from_secs(20);
/// How long a removal waits for those who still read the exit status, and for another removal of the same container.
const READERS: Duration = Duration::from_secs(2);
const OTHERS_REMOVAL: Duration = Duration::from_secs(30);
/// How often a removal that failed is tried, and the pause between.
const REMOVALS: u32 = 3;
const REMOVAL_PAUSE: Duration = Duration::from_millis(300);
/// How much longer than its grace a stop may take.
const STOP_SLACK: Duration = Duration::from_secs(60);

impl Inner {
    /// Starts `step`, preparing it first where nobody did.
    pub(crate) async fn start(self: &Arc<Self>, step: &Step, task: &TaskUuid) -> Result<()> {
        let engine = self.engine().await?;
        let memory = self.tasks.get(task);
        let mut claim = memory.claim_start(&step.uuid);
        if let Claim::Unknown = claim {
            match self.create(step, task, &Silent).await? {
                Creation::WasOurs { running_or_ended: true, .. } => {
                    return Err(Error::AlreadyStarted(step.uuid.clone()));
                }
                Creation::WasOurs { id, .. } => {
                    memory.remember(&step.uuid, Container::new(id, Phase::Prepared, None))
                }
                Creation::Made => {}
            }
            claim = memory.claim_start(&step.uuid);
        }
        let Claim::Yours(container) = claim else {
            return Err(Error::AlreadyStarted(step.uuid.clone()));
        };
        let started = engine.quick.start_container(&container.id, None).await;
        started.map_err(|error| {
            if failure::status(&error) == Some(304) {
                return Error::AlreadyStarted(step.uuid.clone());
            }
            memory.unclaim_start(&step.uuid);
            match engine.error("start the container", &error) {
                Error::Engine { message, .. } => Error::start(step, message),
                other => other,
            }
        })
    }

    /// Waits for the end of `step`.
    pub(crate) async fn wait(&self, step: &Step, task: &TaskUuid) -> Result<StepExit> {
        let engine = self.engine().await?;
        let container =
            self.container_of(step, task).await?.ok_or_else(|| Error::unknown_step(step, task))?;
        let _reading = container.awaited.read().await;
        loop {
            let code = await_end(engine, &container.id).await?;
            let state = match engine.quick.inspect_container(&container.id, None).await {
                Ok(found) => found.state.unwrap_or_default(),
                Err(error) if failure::is_absent(&error) => return Ok(vanished(code)),
                Err(error) => return Err(engine.error("inspect the container", &error)),
            };
            match state.status {
                Some(Status::CREATED) => return Err(Error::unknown_step(step, task)),
                // It was between its creation and its start when the engine was asked, or something else restarted it.
                Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING) => {
                    sleep(Duration::from_millis(20)).await;
                }
                _ => return Ok(exit(&state)),
            }
        }
    }

    /// Ends `step` and removes its container.
    pub(crate) async fn destroy(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        let engine = self.engine().await?;
        let memory = self.tasks.get(task);
        let finished = timeout(STOP_SLACK, memory.creating.write()).await;
        drop(finished);
        if let Some(container) = self.container_of(step, task).await? {
            self.remove(engine, &container, false).await?;
        }
        memory.forget(&step.uuid);
        Ok(())
    }

    /// The container of `step`: remembered, or found by its labels.
    pub(crate) async fn container_of(&self, step: &Step, task: &TaskUuid) -> Result<Option<Container>> {
        if let Some(container) = self.tasks.get(task).container(&step.uuid) {
            return Ok(Some(container));
        }
        let engine = self.engine().await?;
        let marks = [
            (labels::OWNER, self.owner.as_str()),
            (labels::TASK, task.as_str()),
            (labels::STEP, step.uuid.as_str()),
        ];
        let options = ListContainersOptionsBuilder::new().all(true).filters(&having(&marks)).build();
        let found = engine.quick.list_containers(Some(options)).await;
        let found = found.map_err(|error| engine.error("list containers", &error))?;
        let mut ours = found.into_iter().filter(|container| carries(container.labels.as_ref(), &marks));
        let id = ours.find_map(|container| container.id);
        Ok(id.map(|id| Container::new(id, Phase::Started, None)))
    }

    /// Ends and removes a container, anonymous volumes included. `running` says that it is known to run.
    pub(crate) async fn remove(&self, engine: &Engine, container: &Container, running: bool) -> Result<()> {
        if !running {
            let options = RemoveContainerOptionsBuilder::new().v(true).build();
            match engine.quick.remove_container(&container.id, Some(options)).await {
                Ok(()) => return Ok(()),
                Err(error) if failure::is_absent(&error) => return Ok(()),
                Err(error) if failure::is_being_removed(&error) => {
                    return await_removal(engine, &container.id).await;
                }
                Err(error) if failure::is_gone(&error) => {
                    return Err(engine.error("remove the container", &error));
                }
                // It runs, or is paused: the way below is for both.
                Err(_) => {}
            }
        }
        self.stop(engine, &container.id).await?;
        let readers_done = timeout(READERS, container.awaited.write()).await;
        drop(readers_done);
        remove_by_force(engine, &container.id).await
    }

    /// SIGTERM, the grace, SIGKILL. What cannot be stopped is left to the removal by force.
    async fn stop(&self, engine: &Engine, id: &str) -> Result<()> {
        let grace = self.settings()?.grace();
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        for _ in 0..2 {
            let options = StopContainerOptionsBuilder::new().t(seconds).build();
            let stop = engine.patient.stop_container(id, Some(options));
            match timeout(grace.saturating_add(STOP_SLACK), stop).await {
                Ok(Err(error)) if failure::is_gone(&error) => {
                    return Err(engine.error("stop the container", &error));
                }
                Ok(Err(error)) if failure::is_paused(&error) => {
                    // When this fails too, the second stop says why.
                    let _ = engine.quick.unpause_container(id).await;
                }
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Waits until the engine says that `id` does not run, and gives the code that it told; none when the container is gone.
async fn await_end(engine: &Engine, id: &str) -> Result<Option<i64>> {
    let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
    let mut answer = pin!(engine.patient.wait_container(id, Some(options)));
    loop {
        tokio::select! {
            said = answer.next() => return match said {
                Some(Ok(end)) => Ok(Some(end.status_code)),
                Some(Err(EngineError::DockerContainerWaitError { code, .. })) => Ok(Some(code)),
                Some(Err(error)) if failure::is_gone(&error) => Err(engine.error("wait for the container", &error)),
                // A refusal or an answer without a word: its record says what became of it.
                Some(Err(_)) | None => Ok(None),
            },
            () = sleep(PULSE) => check_pulse(engine).await?,
        }
    }
}

/// A connection to an engine whose host vanished stays open for ever; nothing would be heard on it.
async fn check_pulse(engine: &Engine) -> Result<()> {
    match timeout(PULSE_ANSWER, engine.quick.ping()).await {
        Ok(Err(error)) if failure::is_gone(&error) => Err(engine.error("say that it is there", &error)),
        Err(_) => Err(Error::EngineGone {
            engine: engine.kind.name(),
            reason: format!("no answer to a ping within {} s", PULSE_ANSWER.as_secs()),
        }),
        _ => Ok(()),
    }
}

/// The exit of a container whose record is gone. A code other than 0 came from the engine; 0 is also what it tells when a
/// container is removed that never ran, so it proves nothing.
fn vanished(code: Option<i64>) -> StepExit {
    let status = match code {
        Some(code) if code > 0 => ExitStatus::Code(code as i32),
        _ => ExitStatus::Unknown,
    };
    let message = "the container was removed before its exit status was read".to_owned();
    StepExit { message: Some(message), ..StepExit::new(status) }
}

/// The exit that a container's record tells. Docker on Windows writes −1 as 4294967295.
fn exit(state: &ContainerState) -> StepExit {
    let instant = |text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.starts_with("0001"))?;
        text.parse::<Timestamp>().ok()
    };
    let code = state.exit_code.map(|code| ExitStatus::Code(code as i32));
    StepExit {
        oom: state.oom_killed.unwrap_or(false),
        started: instant(&state.started_at),
        finished: instant(&state.finished_at),
        message: state.error.clone().filter(|words| !words.is_empty()),
        ..StepExit::new(code.unwrap_or(ExitStatus::Unknown))
    }
}

async fn remove_by_force(engine: &Engine, id: &str) -> Result<()> {
    let mut last = None;
    for attempt in 0..REMOVALS {
        if attempt > 0 {
            sleep(REMOVAL_PAUSE).await;
        }
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match engine.quick.remove_container(id, Some(options)).await {
            Ok(()) => return Ok(()),
            Err(error) if failure::is_absent(&error) => return Ok(()),
            Err(error) if failure::is_being_removed(&error) => return await_removal(engine, id).await,
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(()), |error| Err(engine.error("remove the container", &error)))
}

/// Somebody else removes `id`: waits until it is gone.
async fn await_removal(engine: &Engine, id: &str) -> Result<()> {
    let gone = async {
        loop {
            match engine.quick.inspect_container(id, None).await {
                Err(error) if failure::is_absent(&error) => return Ok(()),
                Err(error) if failure::is_gone(&error) => {
                    return Err(engine.error("inspect the container", &error));
                }
                _ => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    timeout(OTHERS_REMOVAL, gone).await.unwrap_or_else(|_| {
        Err(Error::Engine {
            engine: engine.kind.name(),
            operation: "remove the container".to_owned(),
            message: format!("another removal of {id} is not done after {} s", OTHERS_REMOVAL.as_secs()),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: woodpecker 68
    #[test]
    fn windows_minus_one_is_minus_one() {
        let state = ContainerState { exit_code: Some(4_294_967_295), ..ContainerState::default() };
        assert_eq!(exit(&state).status, ExitStatus::Code(-1));
    }

    #[test]
    fn a_record_without_a_code_is_no_success() {
        assert_eq!(exit(&ContainerState::default()).status, ExitStatus::Unknown);
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
