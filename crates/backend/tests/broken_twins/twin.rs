//! The dummy with one promise broken. Not for faults that a test scripts by a step's environment.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use globset::Glob;
use jobwright_backend::dummy::Dummy;
use jobwright_backend::{
    Availability, Backend, BackendInfo, Capabilities, DiscoveredWorkflow, Error, ExecRequest, ExecSession,
    LogChunk, LogPosition, LogStream, Progress, Result, Resumed, StepControl, StepStats, StreamKind,
    TarStream, WorkflowDiscoverer, WorkflowResumer,
};
use jobwright_model::{ExitStatus, NetInfo, Step, StepExit, StepType, StepUuid, TaskUuid, Workflow};
use jobwright_workspace::{Project, TreeOptions};

/// Which promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    StartWaitsForTheEnd,
    StepsTakeTurns,
    StartAgainIsFine,
    PrepareRuns,
    PrepareForgets,
    EveryExitIsZero,
    SignalsAreCodes,
    WaitAnswersOnce,
    OnlyItsMakerKnowsAStep,
    WaitWaitsForTheOutput,
    WaitSucceedsAfterDestroy,
    DestroyStepDoesNothing,
    DestroyStepIsStrict,
    DestroyStepEndsAll,
    DestroyStepDoesNotAsk,
    DestroyWorkflowDoesNothing,
    DestroyWorkflowIsStrict,
    DestroyWorkflowLeavesServices,
    AllTasksAreOne,
    AllOwnersAreOne,
    StderrIsStdout,
    OutputIsText,
    OutputIsCut,
    OutputComesAtTheEnd,
    OutputComesOnce,
    OutputNeverEnds,
    PositionsAreIgnored,
    PositionsAreOffByOne,
    TypesAreIgnored,
    ImageErrorsAreUntyped,
    ValuesAreTrimmed,
    ValuesAreShared,
    SecretsAreDropped,
    HostVariablesLeak,
    EveryVariableIsFine,
    AnyArchiveIsFine,
    ProjectsComeWhole,
    ProjectsDoNotCome,
    PutForgetsModes,
    GetFindsNothing,
    GetGivesAll,
    DiscoversNothing,
    DiscoversWithoutLooking,
    ResumeStarts,
    ResumeSaysRunning,
    ResumeSaysEnded,
    PauseDoesNothing,
    SignalDoesNothing,
    ExecFails,
    ExecAlwaysHasInput,
    ExecOutlivesTheStep,
    ADroppedSetUpGoesOn,
    ADroppedStartGoesOn,
    EveryInstanceIsAnEngine,
}

use Fault as F;

/// What all instances over one engine know of each other.
#[derive(Default)]
pub(crate) struct Memory {
    waited: Mutex<HashSet<StepUuid>>,
    read: Mutex<HashSet<StepUuid>>,
    seen: Mutex<Vec<Step>>,
    values: Mutex<Vec<(String, String)>>,
}

pub(crate) struct Broken {
    pub(crate) inner: Arc<Dummy>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) started_here: Mutex<HashSet<StepUuid>>,
    pub(crate) fault: Fault,
}

impl Broken {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn task(&self, task: &TaskUuid) -> TaskUuid {
        if self.has(F::AllTasksAreOne) { TaskUuid::new("one").unwrap() } else { task.clone() }
    }

    fn ask_its_maker(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        if self.has(F::OnlyItsMakerKnowsAStep) && !self.started_here.lock().unwrap().contains(&step.uuid) {
            return Err(Error::unknown_step(step, task));
        }
        Ok(())
    }

    fn changed(&self, step: &Step) -> Step {
        let mut step = step.clone();
        match self.fault {
            F::TypesAreIgnored => step.kind = StepType::Commands,
            F::ValuesAreTrimmed => {
                step.environment.values_mut().for_each(|value| *value = value.trim().to_owned());
            }
            F::ValuesAreShared => {
                let mut values = self.memory.values.lock().unwrap();
                let new = step.environment.iter().filter(|(name, _)| !name.starts_with("DUMMY_"));
                values.extend(new.map(|(name, value)| (name.clone(), value.clone())));
                step.environment.extend(values.iter().cloned());
            }
            F::SecretsAreDropped => {
                step.environment.retain(|name, _| !step.secret_mapping.contains_key(name));
                step.secret_mapping.clear();
            }
            F::HostVariablesLeak => step.environment.extend(std::env::vars()),
            F::EveryVariableIsFine => {
                step.environment.retain(|name, value| !name.contains(['=', '\0']) && !value.contains('\0'))
            }
            _ => {}
        }
        step
    }
}

#[async_trait]
impl Backend for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn is_available(&self) -> Availability {
        self.inner.is_available().await
    }

    async fn load(&self) -> Result<BackendInfo> {
        let mut info = self.inner.load().await?;
        if self.has(F::EveryInstanceIsAnEngine) {
            info.engine_id = Some(StepUuid::random().to_string());
        }
        Ok(info)
    }

    async fn setup_workflow(&self, workflow: &Workflow, task: &TaskUuid) -> Result<()> {
        if self.has(F::ADroppedSetUpGoesOn) {
            let (inner, workflow, task) = (Arc::clone(&self.inner), workflow.clone(), task.clone());
            return tokio::spawn(async move { inner.setup_workflow(&workflow, &task).await }).await.unwrap();
        }
        match self.inner.setup_workflow(workflow, &self.task(task)).await {
            Err(Error::NameTaken(_)) if self.has(F::AllTasksAreOne) => Ok(()),
            other => other,
        }
    }

    async fn prepare_step(&self, step: &Step, task: &TaskUuid, progress: &dyn Progress) -> Result<()> {
        if self.has(F::PrepareForgets) {
            return Ok(());
        }
        self.inner.prepare_step(step, &self.task(task), progress).await?;
        if self.has(F::PrepareRuns) {
            self.inner.start_step(step, task).await?;
            self.inner.wait_step(step, task).await?;
        }
        Ok(())
    }

    async fn start_step(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        let step = self.changed(step);
        if self.has(F::ADroppedStartGoesOn) {
            let (inner, task) = (Arc::clone(&self.inner), task.clone());
            let late = async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                inner.setup_workflow(&Workflow::default(), &task).await.ok();
                inner.start_step(&step, &task).await
            };
            return tokio::spawn(late).await.unwrap();
        }
        if self.has(F::StepsTakeTurns) {
            let before = self.memory.seen.lock().unwrap().clone();
            self.memory.seen.lock().unwrap().push(step.clone());
            for other in before {
                self.inner.wait_step(&other, task).await?;
            }
        }
        self.memory.seen.lock().unwrap().push(step.clone());
        self.started_here.lock().unwrap().insert(step.uuid.clone());
        match self.inner.start_step(&step, &self.task(task)).await {
            Err(Error::AlreadyStarted(_)) if self.has(F::StartAgainIsFine) => Ok(()),
            Err(Error::Image { .. }) if self.has(F::ImageErrorsAreUntyped) => {
                let message = "no such image".to_owned();
                Err(Error::Engine { engine: "broken", operation: "start".to_owned(), message })
            }
            Ok(()) if self.has(F::StartWaitsForTheEnd) => self.inner.wait_step(&step, task).await.map(drop),
            other => other,
        }
    }

    async fn wait_step(&self, step: &Step, task: &TaskUuid) -> Result<StepExit> {
        let unknown = || Error::unknown_step(step, task);
        self.ask_its_maker(step, task)?;
        if self.has(F::WaitWaitsForTheOutput) {
            let stream = self.inner.tail_step(step, task, LogPosition::START).await?;
            stream.for_each(|_| async {}).await;
        }
        let exit = self.inner.wait_step(step, &self.task(task)).await;
        if self.has(F::WaitAnswersOnce) && !self.memory.waited.lock().unwrap().insert(step.uuid.clone()) {
            return Err(unknown());
        }
        let mut exit = match exit {
            Err(Error::UnknownStep { .. }) if self.has(F::WaitSucceedsAfterDestroy) => {
                StepExit::new(ExitStatus::Code(0))
            }
            other => other?,
        };
        match (self.fault, exit.status) {
            (F::EveryExitIsZero, _) => exit.status = ExitStatus::Code(0),
            (F::SignalsAreCodes, ExitStatus::Signal(signal)) => exit.status = ExitStatus::Code(128 + signal),
            _ => {}
        }
        Ok(exit)
    }

    async fn tail_step(&self, step: &Step, task: &TaskUuid, from: LogPosition) -> Result<LogStream> {
        self.ask_its_maker(step, task)?;
        let from = match self.fault {
            F::PositionsAreIgnored => LogPosition::START,
            F::PositionsAreOffByOne if from > LogPosition::START => LogPosition::new(from.get() - 1),
            _ => from,
        };
        let chunks = self.inner.tail_step(step, &self.task(task), from).await?;
        let fault = self.fault;
        let mut read = 0;
        let chunks = chunks.map(move |chunk| {
            let mut chunk: LogChunk = chunk?;
            read += chunk.bytes.len();
            match fault {
                F::StderrIsStdout => chunk.stream = StreamKind::Stdout,
                F::OutputIsText => {
                    chunk.bytes = String::from_utf8_lossy(&chunk.bytes).into_owned().into();
                }
                F::OutputIsCut if read > 1_000_000 => chunk.bytes.truncate(1),
                _ => {}
            }
            Ok(chunk)
        });
        Ok(match fault {
            F::OutputComesOnce if !self.memory.read.lock().unwrap().insert(step.uuid.clone()) => {
                stream::empty().boxed()
            }
            F::OutputNeverEnds => chunks.chain(stream::pending()).boxed(),
            F::OutputComesAtTheEnd => {
                let (inner, step, task) = (Arc::clone(&self.inner), step.clone(), task.clone());
                let end = async move { inner.wait_step(&step, &task).await };
                stream::once(end).flat_map(|_| stream::empty()).chain(chunks).boxed()
            }
            _ => chunks.boxed(),
        })
    }

    async fn destroy_step(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        match self.fault {
            F::DestroyStepDoesNothing => return Ok(()),
            F::DestroyStepIsStrict if !self.memory.seen.lock().unwrap().contains(step) => {
                return Err(Error::unknown_step(step, task));
            }
            F::DestroyStepEndsAll => {
                let all = self.memory.seen.lock().unwrap().clone();
                for step in all {
                    self.inner.destroy_step(&step, task).await?;
                }
            }
            F::DestroyStepDoesNotAsk => {
                // It may have ended by itself.
                let _ = self.inner.signal(step, task, 9).await;
            }
            _ => {}
        }
        self.inner.destroy_step(step, &self.task(task)).await
    }

    async fn destroy_workflow(&self, workflow: &Workflow, task: &TaskUuid) -> Result<()> {
        match self.fault {
            F::DestroyWorkflowDoesNothing => return Ok(()),
            F::DestroyWorkflowIsStrict if self.inner.get(task, &[]).await.is_err_and(is_unknown_task) => {
                return Err(Error::UnknownTask(task.clone()));
            }
            F::DestroyWorkflowLeavesServices if workflow.steps().any(|step| step.detached) => return Ok(()),
            _ => {}
        }
        self.inner.destroy_workflow(workflow, &self.task(task)).await
    }

    async fn put(&self, task: &TaskUuid, path: &str, tar: TarStream) -> Result<()> {
        let done = self.inner.put(task, path, tar).await;
        if self.has(F::AnyArchiveIsFine) { Ok(()) } else { done }
    }

    async fn put_project(&self, task: &TaskUuid, project: &Project) -> Result<()> {
        let whole = TreeOptions { ignore_rules: false, ..TreeOptions::default() };
        match self.fault {
            F::ProjectsDoNotCome => Ok(()),
            F::ProjectsComeWhole => self.inner.put_project(task, &Project::new(project.root(), whole)).await,
            _ => self.inner.put_project(task, project).await,
        }
    }

    async fn get(&self, task: &TaskUuid, paths: &[Glob]) -> Result<TarStream> {
        match self.fault {
            F::GetFindsNothing => Ok(self.inner.get(task, paths).await.unwrap_or(stream::empty().boxed())),
            F::GetGivesAll => self.inner.get(task, &[Glob::new("**").unwrap()]).await,
            F::PutForgetsModes => {
                let archive = self.inner.get(task, paths).await?;
                let bytes: Vec<_> = archive.map(|piece| piece.unwrap()).collect().await;
                Ok(stream::iter([Ok(without_modes(&bytes.concat()).into())]).boxed())
            }
            _ => self.inner.get(task, paths).await,
        }
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

fn is_unknown_task(error: Error) -> bool {
    matches!(error, Error::UnknownTask(_))
}

fn without_modes(archive: &[u8]) -> Vec<u8> {
    let mut plain = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let entry = entry.unwrap();
        let mut header = entry.header().clone();
        let path = entry.path().unwrap().into_owned();
        header.set_mode(0o644);
        match entry.link_name().unwrap().map(|target| target.into_owned()) {
            Some(target) => plain.append_link(&mut header, path, target).unwrap(),
            None => plain.append_data(&mut header, path, entry).unwrap(),
        }
    }
    plain.into_inner().unwrap()
}

#[async_trait]
impl WorkflowDiscoverer for Broken {
    async fn discover_workflows(&self) -> Result<Vec<DiscoveredWorkflow>> {
        match self.fault {
            F::DiscoversNothing => Ok(Vec::new()),
            F::DiscoversWithoutLooking => {
                Ok(vec![DiscoveredWorkflow { task: TaskUuid::random(), steps: Vec::new() }])
            }
            _ => self.inner.discover_workflows().await,
        }
    }
}

#[async_trait]
impl WorkflowResumer for Broken {
    async fn resume_step(&self, step: &Step, task: &TaskUuid) -> Result<Resumed> {
        match self.inner.resume_step(step, task).await {
            Err(Error::UnknownStep { .. }) if self.has(F::ResumeStarts) => {
                self.start_step(step, task).await.map(|()| Resumed::Running)
            }
            Ok(_) if self.has(F::ResumeSaysRunning) => Ok(Resumed::Running),
            Ok(_) if self.has(F::ResumeSaysEnded) => Ok(Resumed::Ended),
            other => other,
        }
    }
}

#[async_trait]
impl StepControl for Broken {
    async fn exec(
        &self,
        step: &Step,
        task: &TaskUuid,
        mut request: ExecRequest,
    ) -> Result<Box<dyn ExecSession>> {
        if self.has(F::ExecFails) {
            request.argv = vec!["no-such-program".to_owned()];
        }
        request.input |= self.has(F::ExecAlwaysHasInput);
        match self.inner.exec(step, task, request.clone()).await {
            Err(Error::UnknownStep { .. }) if self.has(F::ExecOutlivesTheStep) => {
                let (other, task) = (Step::new("other", StepUuid::random()), TaskUuid::random());
                self.inner.setup_workflow(&Workflow::default(), &task).await?;
                self.inner.start_step(&other, &task).await?;
                let session = self.inner.exec(&other, &task, request).await;
                self.inner.destroy_workflow(&Workflow::default(), &task).await?;
                session
            }
            other => other,
        }
    }

    async fn pause(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        if self.has(F::PauseDoesNothing) { Ok(()) } else { self.inner.pause(step, task).await }
    }

    async fn resume(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        if self.has(F::PauseDoesNothing) { Ok(()) } else { self.inner.resume(step, task).await }
    }

    async fn signal(&self, step: &Step, task: &TaskUuid, signal: i32) -> Result<()> {
        if self.has(F::SignalDoesNothing) { Ok(()) } else { self.inner.signal(step, task, signal).await }
    }

    async fn stats(&self, step: &Step, task: &TaskUuid) -> Result<StepStats> {
        self.inner.stats(step, task).await
    }

    async fn network(&self, step: &Step, task: &TaskUuid) -> Result<NetInfo> {
        self.inner.network(step, task).await
    }
}
