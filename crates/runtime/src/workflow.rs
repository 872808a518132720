//! One workflow on one backend, as whoever wants it run describes it, and the report that comes of it. Its course is in
//! `course.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use jobwright_backend::Backend;
use jobwright_journal::Journal;
use jobwright_model::{Cause, Ending, Readiness, Step, StepUuid, TaskUuid, Timeouts, Workflow};
use jobwright_redact::Masker;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::BootTime;
use crate::course::Course;
use crate::gate::{Conditions, Gate};
use crate::handover::{Heirs, Legacy, WorkspaceSource};
use crate::job::Slot;
use crate::keeping::Keeping;
use crate::kept::KeepWhen;
use crate::limits::{Deadline, Limits};
use crate::masking;
use crate::observer::Observer;
use crate::past::TaskPast;
use crate::plan::Plan;
use crate::record::Record;
use crate::scope::Scope;
use crate::shared::Shared;
use crate::step_files::StepFiles;
use crate::visit::Visitor;

/// How one step of a workflow ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// The step.
    pub uuid: StepUuid,
    /// Its name.
    pub name: String,
    /// How it ended. A step that was never reached ended as its workflow did.
    pub ending: Ending,
}

/// How a workflow ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowReport {
    /// The workflow's own ending: that of the first step that failed it, or why it was cancelled.
    pub ending: Ending,
    /// What went wrong that is no step's own failure (woodpecker.md 3.3); masked.
    pub error: Option<String>,
    /// What could not be removed; masked. The task stays open in the journal then.
    pub left_behind: Option<String>,
    /// The environment is as the step that failed left it, on purpose. The task stays open in the journal, as kept.
    pub kept: bool,
    /// The steps, in the order of their stages.
    pub steps: Vec<StepReport>,
}

impl WorkflowReport {
    /// The report of a workflow of which nothing ran and nothing was set up.
    pub(crate) fn refused(workflow: &Workflow, cause: Cause, reason: String) -> Self {
        let ending = Ending::new(cause).because(&reason);
        let report = |step: &Step| StepReport {
            uuid: step.uuid.clone(),
            name: step.name.clone(),
            ending: ending.clone(),
        };
        let steps = workflow.steps().map(report).collect();
        Self { ending, error: Some(reason), left_behind: None, kept: false, steps }
    }
}

/// One pass of a workflow over a backend, to be described and then [run](WorkflowRun::run).
pub struct WorkflowRun {
    workflow: Workflow,
    backend: Arc<dyn Backend>,
    observer: Arc<dyn Observer>,
    task: TaskUuid,
    job: String,
    gates: Vec<Arc<dyn Gate>>,
    masker: Option<Masker>,
    timeouts: Timeouts,
    deadline: Option<Deadline>,
    limits: Limits,
    scope: Scope,
    files: Option<Arc<dyn WorkspaceSource>>,
    keeping: Option<Keeping>,
    journal: Option<Arc<Journal<Record>>>,
    slot: Option<Slot>,
    attempt: u32,
    phase: usize,
    past: Option<TaskPast>,
    secrets_are_gone: bool,
    ready: BTreeMap<StepUuid, Readiness>,
    in_place: Option<PathBuf>,
    step_files: Option<Arc<dyn StepFiles>>,
    visitor: Option<Arc<dyn Visitor>>,
    keep_when: Option<KeepWhen>,
}

impl WorkflowRun {
    /// `workflow` on `backend`, under a random task uuid, with the steps' own conditions as the only gate. What the workflow's
    /// `secrets` and its steps' `secret_mapping` and registry passwords hold is masked, unless [`masker`](Self::masker) gives
    /// another rule.
    #[must_use]
    pub fn new(workflow: Workflow, backend: Arc<dyn Backend>, observer: Arc<dyn Observer>) -> Self {
        Self {
            workflow,
            backend,
            observer,
            task: TaskUuid::random(),
            job: String::new(),
            gates: vec![Arc::new(Conditions)],
            masker: None,
            timeouts: Timeouts::default(),
            deadline: None,
            limits: Limits::default(),
            scope: Scope::new(),
            files: None,
            keeping: None,
            journal: None,
            slot: None,
            attempt: 1,
            phase: 0,
            past: None,
            secrets_are_gone: false,
            ready: BTreeMap::new(),
            in_place: None,
            step_files: None,
            visitor: None,
            keep_when: None,
        }
    }

    /// Under this task uuid.
    #[must_use]
    pub fn task(mut self, task: TaskUuid) -> Self {
        self.task = task;
        self
    }

    /// As part of the job of this name.
    #[must_use]
    pub fn job(mut self, job: impl Into<String>) -> Self {
        self.job = job.into();
        self
    }

    /// With one more gate, asked after those that are there.
    #[must_use]
    pub fn gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gates.push(gate);
        self
    }

    /// Masking by this rule.
    #[must_use]
    pub fn masker(mut self, masker: Masker) -> Self {
        self.masker = Some(masker);
        self
    }

    /// Within these times.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Within these bounds on its surroundings.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Within this scope. The workflow makes a child of it, so that its own timeout ends nothing else.
    #[must_use]
    pub fn scope(mut self, scope: &Scope) -> Self {
        self.scope = scope.child();
        self
    }

    /// On these files.
    #[must_use]
    pub fn files(mut self, files: Arc<dyn WorkspaceSource>) -> Self {
        self.files = Some(files);
        self
    }

    /// Working on this directory of the host itself, an absolute path, in place of a workspace; on a backend that can.
    #[must_use]
    pub fn in_place(mut self, directory: Option<PathBuf>) -> Self {
        self.in_place = directory;
        self
    }

    /// Letting somebody bring and keep files of single steps.
    #[must_use]
    pub fn step_files(mut self, files: Option<Arc<dyn StepFiles>>) -> Self {
        self.step_files = files;
        self
    }

    /// Waiting for these of its steps in the background to be ready before what comes after them begins. A step that is not in the
    /// background is waited for to its end anyway.
    #[must_use]
    pub fn ready(mut self, ready: BTreeMap<StepUuid, Readiness>) -> Self {
        self.ready = ready;
        self
    }

    /// Writing down what it is about to do.
    #[must_use]
    pub fn journal(mut self, journal: Arc<Journal<Record>>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Letting `visitor` go into each of its steps that is not in the background. Such a step ends when the visit does.
    #[must_use]
    pub fn visitor(mut self, visitor: Arc<dyn Visitor>) -> Self {
        self.visitor = Some(visitor);
        self
    }

    /// Keeping the environment as it is when a step ends it as `keep_when` says; only with a journal, where that is written down.
    #[must_use]
    pub fn keep_when(mut self, keep_when: KeepWhen) -> Self {
        self.keep_when = Some(keep_when);
        self
    }

    /// Letting somebody take files out when its steps have ended.
    pub(crate) fn keeping(mut self, keeping: Keeping) -> Self {
        self.keeping = Some(keeping);
        self
    }

    /// Holding a job's slot until its last step has ended.
    pub(crate) fn slot(mut self, slot: Option<Slot>) -> Self {
        self.slot = slot;
        self
    }

    /// As this phase, from 0, of this attempt, from 1, at its job.
    pub(crate) fn place(mut self, attempt: u32, phase: usize) -> Self {
        (self.attempt, self.phase) = (attempt, phase);
        self
    }

    /// Going on with what an owner that died began.
    pub(crate) fn resuming(mut self, past: Option<TaskPast>) -> Self {
        self.past = past;
        self
    }

    /// Without the values of its secrets: its output is withheld, and nothing more of it is started.
    pub(crate) fn without_secrets(mut self, secrets_are_gone: bool) -> Self {
        self.secrets_are_gone = secrets_are_gone;
        self
    }

    /// Within the time of a job, which ends its scope, in place of a total timeout of its own.
    pub(crate) fn deadline(mut self, deadline: Option<Deadline>) -> Self {
        self.deadline = deadline;
        self.timeouts.total = None;
        self
    }

    /// Runs the workflow to its end. Ends early when its scope does, and never without having tried to remove everything.
    pub async fn run(self) -> WorkflowReport {
        self.run_for(None).await.0
    }

    /// As [`run`](Self::run), for `heirs` who want the workspace when it has ended.
    pub(crate) async fn run_for(self, heirs: Option<Heirs>) -> (WorkflowReport, Legacy) {
        let masker = match masking::rule(self.masker, std::iter::once(&self.workflow), &*self.observer) {
            Ok(masker) => masker,
            Err(warning) => return refused(&self.workflow, Cause::StartFailure, warning.to_string()),
        };
        let refuse = |cause, why: String| refused(&self.workflow, cause, masker.mask_str(&why).into_owned());
        let plan = match Plan::of(&self.workflow) {
            Ok(plan) => plan,
            Err(error) => return refuse(Cause::StartFailure, error.to_string()),
        };
        let began = self.past.as_ref().map_or_else(BootTime::now, |past| past.at);
        let task = self.past.as_ref().map_or(self.task, |past| past.task.clone());
        let opened = Record::TaskOpened {
            task: task.clone(),
            backend: self.backend.name().to_owned(),
            job: self.job.clone(),
            attempt: self.attempt,
            phase: self.phase,
            at: began,
        };
        let journal = self.journal.as_ref().filter(|_| self.past.is_none());
        if let Some(Err(error)) = journal.map(|journal| journal.append(&opened)) {
            return refuse(Cause::Workspace, error.to_string());
        }
        let own_deadline = Deadline::since(self.timeouts.total, began.elapsed());
        let strike = own_deadline.map(|deadline| deadline.strike(self.scope.clone()));
        let _strike = strike.map(|strike| AbortOnDropHandle::new(tokio::spawn(strike)));
        let delivered_before = self.past.as_ref().filter(|past| past.delivered).map(|_| Ok(()));
        let shared = Shared {
            backend: self.backend,
            task,
            observer: self.observer,
            gates: self.gates,
            masker,
            timeouts: self.timeouts,
            deadline: self.deadline.or(own_deadline),
            limits: self.limits,
            scope: self.scope,
            started: Timestamp::now(),
            files: self.files,
            delivered: OnceCell::new_with(delivered_before),
            journal: self.journal,
            secrets_are_gone: self.secrets_are_gone,
            ready: self.ready,
            given_up: CancellationToken::new(),
            in_place: self.in_place,
            step_files: self.step_files,
            visitor: self.visitor,
            keep_when: self.keep_when,
            kept: OnceLock::new(),
        };
        let mut course = Course::new(Arc::new(shared), &self.workflow, self.job);
        if let Some(past) = self.past {
            course = course.resuming(past.steps);
        }
        course.run(plan, self.keeping, heirs, self.slot).await
    }
}

fn refused(workflow: &Workflow, cause: Cause, reason: String) -> (WorkflowReport, Legacy) {
    (WorkflowReport::refused(workflow, cause, reason), Legacy::Unchanged)
}
