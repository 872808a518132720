//! What a case works with: instances of the backend, tasks of its own that are cleaned up whatever happens, and a step's output.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use jobwright_model::{Conn, Stage, Step, StepExit, StepUuid, TaskUuid, Workflow};

use super::check::{CaseResult, Failure, ensure};
use super::{Fixture, Script};
use crate::{Backend, LogChunk, LogPosition, LogStream, Result, StreamKind};

/// Where the workspace is mounted, and where steps work unless a case says otherwise.
pub(super) const WORKSPACE: &str = "/jobwright";
/// The volume's name in every workflow of the suite: the same one on purpose, as two tasks of one workflow have it.
pub(super) const VOLUME: &str = "conformance_default";
/// The network's name, likewise.
pub(super) const NETWORK: &str = "conformance_default";

/// One case's run.
pub struct Trial<'f> {
    fixture: &'f dyn Fixture,
    backend: Arc<dyn Backend>,
    tasks: Mutex<Vec<Task>>,
}

impl<'f> Trial<'f> {
    pub(super) async fn new(fixture: &'f dyn Fixture) -> Self {
        Self { fixture, backend: fixture.fresh().await, tasks: Mutex::default() }
    }

    /// The instance with which the case began.
    #[must_use]
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// What runs on the engine.
    #[must_use]
    pub fn fixture(&self) -> &'f dyn Fixture {
        self.fixture
    }

    /// A step that runs `script` in the workspace.
    #[must_use]
    pub fn step(&self, name: &str, script: &Script) -> Step {
        let mut step = self.empty_step(name);
        script.put_into(&mut step);
        step
    }

    /// A step that runs `script` and is reached under its name in the workflow's network.
    #[must_use]
    pub fn connected_step(&self, name: &str, script: &Script) -> Step {
        let mut step = self.step(name, script);
        step.networks = vec![Conn { name: NETWORK.to_owned(), aliases: vec![name.to_owned()] }];
        step
    }

    /// A step that runs `text` with a POSIX shell in the workspace; for cases that need a real shell.
    #[must_use]
    pub fn shell(&self, name: &str, text: &str) -> Step {
        let mut step = self.empty_step(name);
        step.entrypoint = ["/bin/sh", "-c", text].map(str::to_owned).into();
        step
    }

    /// A step that runs `commands` in the workspace; for cases that need a real shell.
    #[must_use]
    pub fn commands(&self, name: &str, commands: &[&str]) -> Step {
        let mut step = self.empty_step(name);
        step.commands = commands.iter().map(|&command| command.to_owned()).collect();
        step
    }

    /// A step in the workspace that says nothing of what it runs.
    #[must_use]
    pub fn empty_step(&self, name: &str) -> Step {
        let mut step = Step::new(name, StepUuid::random());
        step.image = self.fixture.image();
        step.workspace_base = WORKSPACE.to_owned();
        step.working_dir = WORKSPACE.to_owned();
        step.volumes = vec![format!("{VOLUME}:{WORKSPACE}")];
        step
    }

    /// A task of one stage of `steps` that is not set up. It is destroyed after the case, whatever becomes of it.
    #[must_use]
    pub fn plan(&self, steps: &[&Step]) -> Task {
        let stage = Stage { steps: steps.iter().map(|&step| step.clone()).collect() };
        self.plan_workflow(Workflow { stages: vec![stage], ..Workflow::default() })
    }

    /// The same for a whole workflow; names of its volume and network are filled in.
    #[must_use]
    pub fn plan_workflow(&self, mut workflow: Workflow) -> Task {
        workflow.volume = VOLUME.to_owned();
        if workflow.steps().any(|step| !step.networks.is_empty()) {
            workflow.network = NETWORK.to_owned();
        }
        let task = Task { backend: Arc::clone(&self.backend), workflow, uuid: TaskUuid::random() };
        self.remember(&task);
        task
    }

    /// A task of one stage of `steps` that is set up.
    ///
    /// # Errors
    /// What the backend answers.
    pub async fn set_up(&self, steps: &[&Step]) -> CaseResult<Task> {
        let task = self.plan(steps);
        task.set_up().await?;
        Ok(task)
    }

    /// `task` as a new instance of the backend sees it, as after a restart.
    pub async fn restarted(&self, task: &Task) -> Task {
        task.on(self.fixture.fresh().await)
    }

    /// Has `task` destroyed after the case, too.
    pub fn remember(&self, task: &Task) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task.clone());
    }

    /// Destroys every task of the case, by the instance that made it. Answers what went wrong.
    pub(super) async fn clean_up(&self) -> Vec<String> {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let mut problems = Vec::new();
        for task in tasks {
            if let Err(error) = task.destroy().await {
                problems.push(format!("destroying task {} afterwards: {error}", task.uuid));
            }
        }
        problems
    }
}

/// A task, and the instance of the backend through which the case sees it.
#[derive(Clone)]
pub struct Task {
    /// The instance.
    pub backend: Arc<dyn Backend>,
    /// The workflow.
    pub workflow: Workflow,
    /// The task's uuid.
    pub uuid: TaskUuid,
}

impl Task {
    /// The same task through another instance.
    #[must_use]
    pub fn on(&self, backend: Arc<dyn Backend>) -> Self {
        Self { backend, ..self.clone() }
    }

    /// `setup_workflow`.
    ///
    /// # Errors
    /// What the backend answers; so with all that follow.
    pub async fn set_up(&self) -> Result<()> {
        self.backend.setup_workflow(&self.workflow, &self.uuid).await
    }

    /// `start_step`.
    pub async fn start(&self, step: &Step) -> Result<()> {
        self.backend.start_step(step, &self.uuid).await
    }

    /// `wait_step`.
    pub async fn wait(&self, step: &Step) -> Result<StepExit> {
        self.backend.wait_step(step, &self.uuid).await
    }

    /// `tail_step` from the beginning.
    pub async fn tail(&self, step: &Step) -> Result<Tail> {
        self.tail_from(step, LogPosition::START).await
    }

    /// `tail_step`.
    pub async fn tail_from(&self, step: &Step, from: LogPosition) -> Result<Tail> {
        let stream = self.backend.tail_step(step, &self.uuid, from).await?;
        Ok(Tail { stream, seen: Output::default() })
    }

    /// `destroy_step`.
    pub async fn destroy_step(&self, step: &Step) -> Result<()> {
        self.backend.destroy_step(step, &self.uuid).await
    }

    /// `destroy_workflow`.
    pub async fn destroy(&self) -> Result<()> {
        self.backend.destroy_workflow(&self.workflow, &self.uuid).await
    }

    /// All of a step's output; waits for its end.
    pub async fn output(&self, step: &Step) -> CaseResult<Output> {
        self.tail(step).await?.to_end().await
    }

    /// Starts `step`, and waits until it has printed [`super::READY`].
    pub async fn start_and_await_ready(&self, step: &Step) -> CaseResult<Tail> {
        self.start(step).await?;
        let mut tail = self.tail(step).await?;
        tail.until(super::READY).await?;
        Ok(tail)
    }

    /// Runs `step` as the runtime does: start, tail to the end, wait, destroy.
    pub async fn run(&self, step: &Step) -> CaseResult<(Output, StepExit)> {
        self.start(step).await?;
        let output = self.output(step).await?;
        let exit = self.wait(step).await?;
        self.destroy_step(step).await?;
        Ok((output, exit))
    }
}

/// A step's output on its way.
pub struct Tail {
    stream: LogStream,
    seen: Output,
}

impl Tail {
    /// Reads until standard output holds `text`.
    ///
    /// # Errors
    /// When the output ends before.
    pub async fn until(&mut self, text: &str) -> CaseResult {
        while !contains(&self.seen.stdout(), text.as_bytes()) {
            if !self.more().await? {
                let seen = self.seen.stdout();
                return Err(Failure::new(format!(
                    "the output ended before {text:?}: \"{}\"",
                    seen.escape_ascii()
                )));
            }
        }
        Ok(())
    }

    /// Reads the next chunk; false at the end.
    ///
    /// # Errors
    /// The stream's own, and a chunk that breaks the port's promises.
    pub async fn more(&mut self) -> CaseResult<bool> {
        let Some(chunk) = self.stream.next().await else {
            return Ok(false);
        };
        let chunk = chunk?;
        ensure!(!chunk.bytes.is_empty(), "a chunk of the log is empty");
        if let Some(last) = self.seen.chunks.last() {
            ensure!(
                chunk.next > last.next,
                "positions do not grow: {:?} comes after {:?}",
                chunk.next,
                last.next
            );
        }
        self.seen.chunks.push(chunk);
        Ok(true)
    }

    /// Reads to the end and answers all that was read.
    ///
    /// # Errors
    /// As [`Tail::more`].
    pub async fn to_end(mut self) -> CaseResult<Output> {
        while self.more().await? {}
        Ok(self.seen)
    }

    /// What was read so far.
    #[must_use]
    pub fn seen(&self) -> &Output {
        &self.seen
    }
}

/// What was read of a step's output.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Every chunk, in order.
    pub chunks: Vec<LogChunk>,
}

impl Output {
    /// All of standard output.
    #[must_use]
    pub fn stdout(&self) -> Vec<u8> {
        self.of(StreamKind::Stdout)
    }

    /// All of standard error.
    #[must_use]
    pub fn stderr(&self) -> Vec<u8> {
        self.of(StreamKind::Stderr)
    }

    /// Both, in the order in which they came.
    #[must_use]
    pub fn both(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect()
    }

    /// Whether standard output holds `text`.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        contains(&self.stdout(), text.as_bytes())
    }

    fn of(&self, stream: StreamKind) -> Vec<u8> {
        let chunks = self.chunks.iter().filter(|chunk| chunk.stream == stream);
        chunks.flat_map(|chunk| chunk.bytes.iter().copied()).collect()
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
