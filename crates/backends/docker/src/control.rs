//! Verbs on a running step: run a command beside it, pause, resume, signal, look at what it uses and how it is reached.

use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::{KillContainerOptionsBuilder, StatsOptionsBuilder};
use futures_util::StreamExt;
use jobwright_backend::{Error, ExecRequest, ExecSession, Health, Result, StepControl, StepStats};
use jobwright_model::{NetInfo, Step, TaskUuid};
use serde::Deserialize;
use tokio::time::timeout;

use crate::engine::{Engine, EngineKind};
use crate::exec::{Session, Surroundings};
use crate::network::NetworkRecord;
use crate::records::{ContainerRecord, Life};
use crate::tasks::Container;
use crate::{Docker, failure};

/// How long the engine may take to measure a step.
const MEASUREMENT: Duration = Duration::from_secs(15);

impl Docker {
    async fn running(&self, step: &Step, task: &TaskUuid) -> Result<(&Engine, Container)> {
        let engine = self.inner.engine().await?;
        let container = self.inner.container_of(step, task).await?;
        Ok((engine, container.ok_or_else(|| Error::unknown_step(step, task))?))
    }

    /// The record of the step's container.
    async fn record(&self, step: &Step, task: &TaskUuid) -> Result<(&Engine, ContainerRecord)> {
        let (engine, container) = self.running(step, task).await?;
        let found = engine.inspect(&container.id).await;
        let record = found.map_err(|error| refused(engine, step, task, "inspect the container", &error))?;
        Ok((engine, record))
    }
}

/// A container that is not there, or does not run, is an unknown step.
fn refused(engine: &Engine, step: &Step, task: &TaskUuid, operation: &str, error: &EngineError) -> Error {
    if failure::is_absent(error) || failure::is_not_running(error) {
        Error::unknown_step(step, task)
    } else {
        engine.error(operation, error)
    }
}

/// Whether the container is paused, when it runs. Engines refuse to pause one that is, and to resume one that is not.
async fn stands_still(engine: &Engine, container: &Container) -> Option<bool> {
    let state = engine.inspect(&container.id).await.ok()?.into_state();
    match state.status.as_deref()? {
        "paused" => Some(true),
        "running" => Some(false),
        _ => None,
    }
}

#[async_trait]
impl StepControl for Docker {
    async fn exec(&self, step: &Step, task: &TaskUuid, request: ExecRequest) -> Result<Box<dyn ExecSession>> {
        if request.argv.is_empty() {
            return Err(Error::invalid_step(step, "a command to run in it has no program"));
        }
        let (engine, container) = self.running(step, task).await?;
        let session = Session::begin(engine, &container.id, request, Surroundings::of(step)?).await;
        let session =
            session.map_err(|error| refused(engine, step, task, "run a command in the container", &error))?;
        Ok(Box::new(session))
    }

    async fn pause(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        let (engine, container) = self.running(step, task).await?;
        match engine.quick.pause_container(&container.id).await {
            Err(_) if stands_still(engine, &container).await == Some(true) => Ok(()),
            paused => paused.map_err(|error| refused(engine, step, task, "pause the container", &error)),
        }
    }

    async fn resume(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        let (engine, container) = self.running(step, task).await?;
        match engine.quick.unpause_container(&container.id).await {
            Err(_) if stands_still(engine, &container).await == Some(false) => Ok(()),
            resumed => resumed.map_err(|error| refused(engine, step, task, "resume the container", &error)),
        }
    }

    /// The engine sends it to the container's first process. For a step with `commands` that process hands SIGTERM, SIGINT
    /// and SIGHUP on as SIGTERM to all of the step's processes, and ignores what else it may.
    async fn signal(&self, step: &Step, task: &TaskUuid, signal: i32) -> Result<()> {
        let (engine, container) = self.running(step, task).await?;
        let options = KillContainerOptionsBuilder::new().signal(&signal.to_string()).build();
        let sent = engine.quick.kill_container(&container.id, Some(options)).await;
        sent.map_err(|error| refused(engine, step, task, "signal the container", &error))
    }

    async fn stats(&self, step: &Step, task: &TaskUuid) -> Result<StepStats> {
        let (engine, container) = self.running(step, task).await?;
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let mut measured = Box::pin(engine.quick.stats(&container.id, Some(options)));
        let measured = match timeout(MEASUREMENT, measured.next()).await {
            Ok(Some(Ok(measured))) => measured,
            Ok(Some(Err(error))) => return Err(refused(engine, step, task, "measure the container", &error)),
            Ok(None) => return Err(Error::unknown_step(step, task)),
            Err(_) => {
                let reason = format!("no measurement within {} s", MEASUREMENT.as_secs());
                return Err(Error::EngineGone { engine: engine.kind.name(), reason });
            }
        };
        let memory = measured.memory_stats.unwrap_or_default();
        let cpu = measured.cpu_stats.and_then(|cpu| cpu.cpu_usage).and_then(|usage| usage.total_usage);
        // Of one without a limit an engine measures that of the whole host.
        let inspected = engine.inspect(&container.id).await;
        let inspected =
            inspected.map_err(|error| refused(engine, step, task, "inspect the container", &error))?;
        Ok(StepStats {
            cpu: Duration::from_nanos(cpu.unwrap_or(0)),
            memory: memory.usage.unwrap_or(0),
            memory_limit: inspected.memory_limit().unwrap_or(0),
            pids: measured.pids_stats.and_then(|pids| pids.current).unwrap_or(0),
        })
    }

    /// A container that shares the host's network, or has none, has no address of its own to be told.
    async fn network(&self, step: &Step, task: &TaskUuid) -> Result<NetInfo> {
        let (engine, mut record) = self.record(step, task).await?;
        let settings = std::mem::take(&mut record.network_settings);
        if matches!(record.into_state().life(), Life::Before | Life::Over) {
            return Err(Error::unknown_step(step, task));
        }
        let network = Option::<NetworkRecord>::deserialize(settings).map_err(|error| Error::Engine {
            engine: engine.kind.name(),
            operation: "tell how the container is reached".to_owned(),
            message: format!("its answer cannot be read: {error}"),
        })?;
        Ok(network.unwrap_or_default().told())
    }

    async fn health(&self, step: &Step, task: &TaskUuid) -> Result<Health> {
        let (engine, record) = self.record(step, task).await?;
        let id = record.id.clone();
        let health = record.into_state().health.unwrap_or_default().health();
        if health == Health::Unchecked || engine.kind == EngineKind::Docker {
            return Ok(health);
        }
        // Asked every time: what it found last may be from before the step changed its state.
        let checked = engine.check_health(&id).await;
        checked
            .map(|record| record.health())
            .map_err(|error| refused(engine, step, task, "check the container's health", &error))
    }
}
