//! A step's life after its container was made: start, end, removal. Not for what its end means (`end`).

use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::{RemoveContainerOptionsBuilder, StopContainerOptionsBuilder};
use jobwright_backend::{Error, Result, Silent, labels};
use jobwright_model::{Step, StepExit, StepType, TaskUuid};
use tokio::time::{sleep, timeout};

use crate::Inner;
use crate::end::{End, await_end, exit, vanished};
use crate::engine::Engine;
use crate::failure;
use crate::prepare::Creation;
use crate::tasks::{Claim, Container, Phase};

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
        let mut started = engine.quick.start_container(&container.id, None).await;
        if started.as_ref().is_err_and(failure::is_ambiguous) {
            self.remove_late_networks(engine, task).await?;
            started = engine.quick.start_container(&container.id, None).await;
        }
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
        match await_end(engine, &container.id).await? {
            End::Recorded(state) => Ok(exit(&state)),
            End::Removed(code) => Ok(vanished(code)),
            End::NeverBegan => Err(Error::unknown_step(step, task)),
        }
    }

    /// Ends `step` and removes its container.
    pub(crate) async fn destroy(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        let engine = self.engine().await?;
        let memory = self.tasks.get(task);
        let finished = timeout(STOP_SLACK, memory.creating.write()).await;
        drop(finished);
        if let Some(container) = self.container_of(step, task).await? {
            self.remove(engine, &container, false, self.grace(step.kind == StepType::Service)?).await?;
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
        let id = engine.containers(&marks).await?.into_iter().next().map(|container| container.id);
        Ok(id.map(|id| Container::new(id, Phase::Started, None)))
    }

    /// Ends and removes a container, anonymous volumes included. `running` says that it is known to run.
    pub(crate) async fn remove(
        &self,
        engine: &Engine,
        container: &Container,
        running: bool,
        grace: Duration,
    ) -> Result<()> {
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
        stop(engine, &container.id, grace).await?;
        let readers_done = timeout(READERS, container.awaited.write()).await;
        drop(readers_done);
        remove_by_force(engine, &container.id).await
    }

    /// How long what has been asked to end may take before it is forced to.
    pub(crate) fn grace(&self, service: bool) -> Result<Duration> {
        let settings = self.settings()?;
        Ok(if service { settings.service_grace() } else { settings.grace() })
    }
}

/// SIGTERM, the grace, SIGKILL. What cannot be stopped is left to the removal by force.
async fn stop(engine: &Engine, id: &str, grace: Duration) -> Result<()> {
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
            match engine.inspect(id).await {
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
