//! The port as the dummy answers it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use globset::Glob;
use jobwright_model::{OwnerId, Step, StepExit, StepType, TaskUuid, Workflow};
use tokio::time::sleep_until;

use super::calls::Verb;
use super::engine::{DummyEngine, StepPlace, TaskPlace, gone};
use super::running::Running;
use super::scenario::Scenario;
use super::{DESTROY_SHOULD_FAIL, SETUP_SHOULD_FAIL, variables};
use crate::{
    Availability, Backend, BackendInfo, Capabilities, Error, LogChunk, LogPosition, LogPrecision, LogStream,
    Progress, Result, StepControl, TarStream, WorkflowDiscoverer, WorkflowResumer,
};

/// The dummy's name as a backend.
pub(super) const NAME: &str = "dummy";

/// One instance of the dummy backend over a [`DummyEngine`].
pub struct Dummy {
    pub(super) engine: DummyEngine,
    pub(super) owner: OwnerId,
    name: &'static str,
}

impl Default for Dummy {
    /// A dummy over an engine of its own.
    fn default() -> Self {
        DummyEngine::default().backend()
    }
}

impl Dummy {
    pub(super) fn new(engine: DummyEngine, owner: OwnerId) -> Self {
        Self { engine, owner, name: NAME }
    }

    /// The same under another name, for tests of what chooses between backends.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The engine beneath it.
    #[must_use]
    pub fn engine(&self) -> &DummyEngine {
        &self.engine
    }

    /// Notes the call; an engine that vanished answers nothing more.
    pub(super) fn called(&self, verb: Verb, task: Option<&TaskUuid>, step: Option<&Step>) -> Result<()> {
        self.engine.calls().note(verb, task, step);
        self.engine.check()
    }

    fn key(&self, task: &TaskUuid) -> (OwnerId, TaskUuid) {
        (self.owner.clone(), task.clone())
    }

    /// Works on what the engine has of `task`.
    fn within<T>(&self, task: &TaskUuid, work: impl FnOnce(&mut TaskPlace) -> Result<T>) -> Result<T> {
        let mut tasks = self.engine.tasks();
        let place = tasks.get_mut(&self.key(task)).ok_or_else(|| Error::UnknownTask(task.clone()))?;
        work(place)
    }

    /// The started `step`. A task that is not here has no step either.
    pub(super) fn running(&self, step: &Step, task: &TaskUuid) -> Result<Arc<Running>> {
        let tasks = self.engine.tasks();
        let place = tasks.get(&self.key(task)).ok_or_else(|| Error::unknown_step(step, task))?;
        place.running(step, task)
    }

    /// Waits until the engine no longer answers for `running`.
    async fn lost(&self, running: &Running) -> Error {
        let gone_for_step = async {
            match running.scenario.faults.engine_gone {
                Some(after) => sleep_until(running.began + after).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = self.engine.vanished() => error,
            () = gone_for_step => gone(&format!("scripted by {}", variables::ENGINE_GONE)),
        }
    }
}

#[async_trait]
impl Backend for Dummy {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            images: true,
            network: false,
            separate_streams: true,
            long_lines: true,
            log_precision: LogPrecision::Exact,
            signals: true,
            oom: true,
            limits: false,
            usage: false,
            files: true,
            survives_owner: true,
        }
    }

    async fn is_available(&self) -> Availability {
        match self.engine.check() {
            Ok(()) => Availability::Available,
            Err(error) => Availability::Unavailable(error.to_string()),
        }
    }

    async fn load(&self) -> Result<BackendInfo> {
        self.called(Verb::Load, None, None)?;
        Ok(BackendInfo { platform: "linux/dummy".to_owned(), engine: "dummy".to_owned(), engine_id: None })
    }

    async fn setup_workflow(&self, workflow: &Workflow, task: &TaskUuid) -> Result<()> {
        self.called(Verb::SetUp, Some(task), None)?;
        if task.as_str() == SETUP_SHOULD_FAIL {
            let reason = format!("the task uuid {SETUP_SHOULD_FAIL} asks for it");
            return Err(Error::InvalidWorkflow { step: None, reason });
        }
        for step in workflow.steps() {
            if let Some(reason) = Scenario::of(step)?.faults.setup {
                return Err(Error::InvalidWorkflow { step: Some(step.uuid.clone()), reason });
            }
        }
        let mut tasks = self.engine.tasks();
        if tasks.contains_key(&self.key(task)) {
            return Err(Error::NameTaken(task.to_string()));
        }
        tasks.insert(self.key(task), TaskPlace::default());
        Ok(())
    }

    async fn prepare_step(&self, step: &Step, task: &TaskUuid, _progress: &dyn Progress) -> Result<()> {
        self.called(Verb::Prepare, Some(task), Some(step))?;
        self.within(task, |place| {
            if place.steps.contains_key(&step.uuid) {
                return Err(Error::AlreadyStarted(step.uuid.clone()));
            }
            place.steps.insert(step.uuid.clone(), prepared(step)?);
            Ok(())
        })
    }

    async fn start_step(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        self.called(Verb::Start, Some(task), Some(step))?;
        self.within(task, |place| {
            if !place.steps.contains_key(&step.uuid) {
                place.steps.insert(step.uuid.clone(), prepared(step)?);
            }
            let files = Arc::clone(&place.files);
            let place = place.steps.get_mut(&step.uuid).ok_or_else(|| Error::unknown_step(step, task))?;
            if place.running.is_some() {
                return Err(Error::AlreadyStarted(step.uuid.clone()));
            }
            if place.scenario.faults.start {
                return Err(Error::start(step, format!("scripted by {}", variables::START_FAIL)));
            }
            place.running = Some(Arc::new(Running::start(step, place.scenario.clone(), files)));
            Ok(())
        })
    }

    async fn wait_step(&self, step: &Step, task: &TaskUuid) -> Result<StepExit> {
        self.called(Verb::Wait, Some(task), Some(step))?;
        let running = self.running(step, task)?;
        tokio::select! {
            biased;
            error = self.lost(&running) => Err(error),
            exit = running.exit() => match (exit, &running.scenario.faults.wait) {
                (_, Some(reason)) => Err(scripted(&format!("wait for step {:?}", step.name), reason)),
                (Some(exit), None) => Ok(exit),
                (None, None) => Err(gone("the step ended with its engine")),
            },
        }
    }

    async fn tail_step(&self, step: &Step, task: &TaskUuid, from: LogPosition) -> Result<LogStream> {
        self.called(Verb::Tail, Some(task), Some(step))?;
        let running = self.running(step, task)?;
        if running.scenario.faults.tail {
            return Err(scripted(&reading(step), variables::TAIL_FAIL));
        }
        let reader =
            Reader { engine: self.engine.backend_of(self.owner.clone()), running, step: step.clone() };
        let chunks = stream::unfold(Some((reader, from)), |state| async {
            let (reader, from) = state?;
            match reader.next(from).await? {
                Ok(chunk) => {
                    let next = chunk.next;
                    Some((Ok(chunk), Some((reader, next))))
                }
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(chunks.boxed())
    }

    async fn destroy_step(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        self.called(Verb::DestroyStep, Some(task), Some(step))?;
        let Ok((fault, running)) = self.within(task, |place| {
            let place = place.steps.get(&step.uuid).ok_or_else(|| Error::unknown_step(step, task))?;
            Ok((place.scenario.faults.destroy.clone(), place.running.clone()))
        }) else {
            return Ok(());
        };
        if let Some(reason) = fault {
            return Err(scripted(&format!("destroy step {:?}", step.name), &reason));
        }
        if let Some(running) = running {
            running.end(self.engine.grace()).await;
        }
        if let Some(place) = self.engine.tasks().get_mut(&self.key(task)) {
            place.steps.remove(&step.uuid);
        }
        Ok(())
    }

    async fn destroy_workflow(&self, _workflow: &Workflow, task: &TaskUuid) -> Result<()> {
        self.called(Verb::DestroyWorkflow, Some(task), None)?;
        let running: Vec<_> = match self.engine.tasks().get(&self.key(task)) {
            Some(place) => place.steps.values().filter_map(|place| place.running.clone()).collect(),
            None => Vec::new(),
        };
        join_all(running.iter().map(|running| running.end(self.engine.grace()))).await;
        self.engine.tasks().remove(&self.key(task));
        if task.as_str() == DESTROY_SHOULD_FAIL {
            return Err(scripted(&format!("destroy task {task}"), "the task uuid asks for it"));
        }
        Ok(())
    }

    async fn put(&self, task: &TaskUuid, path: &str, tar: TarStream) -> Result<()> {
        self.called(Verb::Put, Some(task), None)?;
        let files = self.within(task, |place| Ok(Arc::clone(&place.files)))?;
        let archive: Vec<Bytes> = tar
            .try_collect()
            .await
            .map_err(|why| Error::Workspace(format!("the archive broke off: {why}")))?;
        files.unpack(path, &archive.concat())
    }

    async fn get(&self, task: &TaskUuid, paths: &[Glob]) -> Result<TarStream> {
        self.called(Verb::Get, Some(task), None)?;
        let files = self.within(task, |place| Ok(Arc::clone(&place.files)))?;
        let archive = Bytes::from(files.pack(paths)?);
        Ok(stream::iter([Ok(archive)]).boxed())
    }

    fn control(&self) -> Option<&dyn StepControl> {
        Some(self)
    }

    fn discoverer(&self) -> Option<&dyn WorkflowDiscoverer> {
        Some(self)
    }

    fn resumer(&self) -> Option<&dyn WorkflowResumer> {
        Some(self)
    }
}

/// One reading of a step's output.
struct Reader {
    engine: Dummy,
    running: Arc<Running>,
    step: Step,
}

impl Reader {
    async fn next(&self, from: LogPosition) -> Option<Result<LogChunk>> {
        let chunk = tokio::select! {
            biased;
            error = self.engine.lost(&self.running) => return Some(Err(error)),
            chunk = self.running.spool.next(from) => chunk?,
        };
        match self.running.scenario.faults.tail_break {
            Some(limit) if chunk.next.get() > limit => self.broken_off(from, limit, chunk),
            _ => Some(Ok(chunk)),
        }
    }

    /// What is left before the break, and then the error.
    fn broken_off(&self, from: LogPosition, limit: u64, chunk: LogChunk) -> Option<Result<LogChunk>> {
        let left = limit.saturating_sub(from.get()) as usize;
        if left == 0 {
            return Some(Err(scripted(&reading(&self.step), variables::TAIL_BREAK)));
        }
        let bytes = chunk.bytes.slice(..left);
        Some(Ok(LogChunk { bytes, next: LogPosition::new(limit), ..chunk }))
    }
}

/// What is there of a step before it starts.
fn prepared(step: &Step) -> Result<StepPlace> {
    let scenario = Scenario::of(step)?;
    refuse_type(step)?;
    refuse_variables(step)?;
    if let Some(problem) = scenario.faults.image.clone() {
        return Err(Error::Image { image: step.image.clone(), problem });
    }
    if let Some(reason) = &scenario.faults.prepare {
        return Err(scripted(&format!("prepare step {:?}", step.name), reason));
    }
    Ok(StepPlace { name: step.name.clone(), scenario, running: None })
}

fn refuse_type(step: &Step) -> Result<()> {
    if matches!(step.kind, StepType::Unknown(_)) {
        let (name, kind) = (step.name.clone(), step.kind.clone());
        return Err(Error::UnsupportedStepType { backend: NAME, name, kind });
    }
    match step.environment.get(variables::EXPECT_TYPE) {
        Some(expected) if StepType::from(expected.as_str()) != step.kind => Err(Error::invalid_step(
            step,
            format!("expected step type {expected:?} but got {:?}", step.kind.as_str()),
        )),
        _ => Ok(()),
    }
}

/// What no operating system takes as an environment, no dummy takes either.
fn refuse_variables(step: &Step) -> Result<()> {
    let bad = |name: &str, value: &str| name.contains(['=', '\0']) || value.contains('\0');
    match step.environment.iter().find(|(name, value)| bad(name, value)) {
        Some((name, _)) => Err(Error::invalid_step(
            step,
            format!("the variable {name:?} holds NUL, or an equals sign in its name"),
        )),
        None => Ok(()),
    }
}

fn reading(step: &Step) -> String {
    format!("read the output of step {:?}", step.name)
}

fn scripted(operation: &str, reason: &str) -> Error {
    Error::Engine { engine: NAME, operation: operation.to_owned(), message: format!("scripted: {reason}") }
}
