//! One workflow on one backend: set up once, its steps in their order, destroyed exactly once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobwright_backend::{Backend, Error};
use jobwright_journal::{Journal, JournalError};
use jobwright_model::{Cause, Ending, Step, StepUuid, TaskUuid, Timeouts, Workflow};
use jobwright_redact::Masker;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::gate::{Conditions, Gate};
use crate::observer::{Observer, Trace};
use crate::plan::{Plan, StepIndex};
use crate::record::Record;
use crate::scope::Scope;
use crate::step::{Start, StepLife, StepResult};

/// Bounds that keep a job from hanging on its surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a cleanup may take: one step's, or the workflow's. At least as long as the backend's own grace (DESIGN rule 2).
    pub cleanup: Duration,
    /// How long a log may go on after its process ended, while output keeps coming.
    pub drain: Duration,
    /// How long a log may stay open and silent after its process ended.
    pub drain_silence: Duration,
    /// How long an engine may not answer before what runs on it is lost.
    pub patience: Duration,
}

impl Default for Limits {
    /// Two minutes for cleanup, 30 s and 1 s for a log, 30 s for an engine.
    fn default() -> Self {
        Self {
            cleanup: Duration::from_secs(120),
            drain: Duration::from_secs(30),
            drain_silence: Duration::from_secs(1),
            patience: Duration::from_secs(30),
        }
    }
}

impl Limits {
    pub(crate) fn cleanup_overdue(&self, backend: &dyn Backend) -> Error {
        Error::EngineGone {
            engine: backend.name(),
            reason: format!("cleaning up took longer than {:?}", self.cleanup),
        }
    }
}

/// Where a workflow's files come from.
#[async_trait]
pub trait WorkspaceSource: Send + Sync {
    /// Brings the files into `task`'s workspace on `backend`. Called once, when the first step is prepared and before any runs.
    ///
    /// # Errors
    /// What the backend answers; [`Error::Workspace`] when the files cannot be read.
    async fn deliver(&self, backend: &dyn Backend, task: &TaskUuid) -> Result<(), Error>;
}

/// What all steps of a workflow share.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) task: TaskUuid,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) gates: Vec<Arc<dyn Gate>>,
    pub(crate) masker: Masker,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) scope: Scope,
    pub(crate) started: Timestamp,
    files: Option<Arc<dyn WorkspaceSource>>,
    delivered: OnceCell<()>,
    journal: Option<Arc<Journal<Record>>>,
}

impl Shared {
    /// Brings the files in, for the first step that asks; the others wait for that.
    pub(crate) async fn deliver_files(&self) -> Result<(), Error> {
        let Some(files) = &self.files else { return Ok(()) };
        self.delivered.get_or_try_init(|| files.deliver(&*self.backend, &self.task)).await.map(|_| ())
    }

    pub(crate) fn record(&self, record: &Record) -> Result<(), JournalError> {
        self.journal.as_ref().map_or(Ok(()), |journal| journal.append(record))
    }

    pub(crate) fn mask(&self, error: &Error) -> String {
        self.masker.mask_str(&error.to_string()).into_owned()
    }
}

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
    /// The steps, in the order of their stages.
    pub steps: Vec<StepReport>,
}

/// One pass of a workflow over a backend, to be described and then [run](WorkflowRun::run).
pub struct WorkflowRun {
    workflow: Workflow,
    backend: Arc<dyn Backend>,
    observer: Arc<dyn Observer>,
    task: TaskUuid,
    job: String,
    gates: Vec<Arc<dyn Gate>>,
    masker: Masker,
    timeouts: Timeouts,
    limits: Limits,
    scope: Scope,
    files: Option<Arc<dyn WorkspaceSource>>,
    journal: Option<Arc<Journal<Record>>>,
}

impl WorkflowRun {
    /// `workflow` on `backend`, under a random task uuid, with the steps' own conditions as the only gate. What the workflow's
    /// `secrets` and its steps' `secret_mapping` and registry passwords hold is masked, unless [`masker`](Self::masker) gives
    /// another rule.
    #[must_use]
    pub fn new(workflow: Workflow, backend: Arc<dyn Backend>, observer: Arc<dyn Observer>) -> Self {
        Self {
            masker: masker_for(&workflow),
            workflow,
            backend,
            observer,
            task: TaskUuid::random(),
            job: String::new(),
            gates: vec![Arc::new(Conditions)],
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            scope: Scope::new(),
            files: None,
            journal: None,
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
        self.masker = masker;
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

    /// Writing down what it is about to do.
    #[must_use]
    pub fn journal(mut self, journal: Arc<Journal<Record>>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Runs the workflow to its end. Ends early when its scope does, and never without having tried to remove everything.
    pub async fn run(self) -> WorkflowReport {
        let plan = match Plan::of(&self.workflow) {
            Ok(plan) => plan,
            Err(error) => return self.refuse(error.to_string()),
        };
        let opened = Record::TaskOpened {
            task: self.task.clone(),
            backend: self.backend.name().to_owned(),
            job: self.job.clone(),
        };
        let workflow = self.workflow;
        let shared = Arc::new(Shared {
            backend: self.backend,
            task: self.task,
            observer: self.observer,
            gates: self.gates,
            masker: self.masker,
            timeouts: self.timeouts,
            limits: self.limits,
            scope: self.scope,
            started: Timestamp::now(),
            files: self.files,
            delivered: OnceCell::new(),
            journal: self.journal,
        });
        if let Err(error) = shared.record(&opened) {
            return refused(&workflow, Cause::Workspace, error.to_string());
        }
        let course = Course::new(Arc::clone(&shared), &workflow);
        let deadline = tokio::spawn(strike_out(shared.scope.clone(), shared.timeouts.total));
        let report = course.run(plan).await;
        deadline.abort();
        report
    }

    fn refuse(self, reason: String) -> WorkflowReport {
        refused(&self.workflow, Cause::StartFailure, reason)
    }
}

/// The report of a workflow of which nothing ran and nothing was set up.
fn refused(workflow: &Workflow, cause: Cause, reason: String) -> WorkflowReport {
    let ending = Ending::new(cause).because(&reason);
    let report =
        |step: &Step| StepReport { uuid: step.uuid.clone(), name: step.name.clone(), ending: ending.clone() };
    let steps = workflow.steps().map(report).collect();
    WorkflowReport { ending, error: Some(reason), left_behind: None, steps }
}

/// Everything in the workflow that must not be shown, as names and values: what it declares, what its steps map, registry and
/// netrc passwords (woodpecker.md 8, item 58).
pub fn secrets_of(workflow: &Workflow) -> impl Iterator<Item = (&str, &str)> {
    let declared = workflow.secrets.iter().map(|secret| (secret.name.as_str(), secret.value.as_str()));
    let of_steps = workflow.steps().flat_map(|step| {
        let mapped = step.secret_mapping.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let netrc =
            step.environment.get("CI_NETRC_PASSWORD").map(|value| ("CI_NETRC_PASSWORD", value.as_str()));
        mapped.chain(netrc).chain([("registry password", step.auth_config.password.as_str())])
    });
    declared.chain(of_steps)
}

fn masker_for(workflow: &Workflow) -> Masker {
    secrets_of(workflow)
        .fold(Masker::builder(), |builder, (name, value)| builder.secret(name, value))
        .build()
        .masker
}

/// Ends the scope when the workflow's time is over.
async fn strike_out(scope: Scope, total: Option<Duration>) {
    if let Some(total) = total {
        tokio::time::sleep(total).await;
        scope.cancel(Cause::Timeout);
    }
}

/// A workflow on its way.
struct Course<'a> {
    shared: Arc<Shared>,
    workflow: &'a Workflow,
    steps: Vec<&'a Step>,
    endings: Vec<Option<Ending>>,
    /// The first ending that fails the workflow.
    failure: Option<Ending>,
    /// The first error that is no step's own failure.
    error: Option<String>,
}

impl<'a> Course<'a> {
    fn new(shared: Arc<Shared>, workflow: &'a Workflow) -> Self {
        let steps: Vec<_> = workflow.steps().collect();
        Self { endings: vec![None; steps.len()], shared, workflow, steps, failure: None, error: None }
    }

    async fn run(mut self, plan: Plan) -> WorkflowReport {
        match self.set_up().await {
            Ok(()) => self.run_steps(plan).await,
            Err(ending) => self.failure = Some(ending),
        }
        let left_behind = self.destroy().await;
        self.report(left_behind)
    }

    async fn set_up(&mut self) -> Result<(), Ending> {
        let Shared { backend, task, scope, .. } = &*self.shared;
        let set_up = tokio::select! {
            biased;
            cause = scope.cancelled() => return Err(Ending::new(cause)),
            set_up = backend.setup_workflow(self.workflow, task) => set_up,
        };
        set_up.map_err(|error| {
            let text = self.shared.mask(&error);
            let ending = Ending::new(error.cause()).because(&text);
            if let Error::InvalidWorkflow { step: Some(step), .. } = &error {
                self.blame(step, &ending);
            }
            self.error = Some(text);
            ending
        })
    }

    /// A set-up that fails because of one step is that step's failure: it is shown as exited with code 1 (woodpecker.md 8,
    /// item 13).
    fn blame(&mut self, uuid: &StepUuid, ending: &Ending) {
        let Some(index) = self.steps.iter().position(|step| step.uuid == *uuid) else { return };
        let mut ending = ending.clone();
        ending.exit_code = Some(1);
        if let Err(error) = self.shared.observer.trace(self.steps[index], &Trace::Ended(ending.clone())) {
            tracing::warn!(step = %uuid, %error, "a step's state was not recorded");
        }
        self.endings[index] = Some(ending);
    }

    /// Starts what is ready, takes in what ended, until nothing is left of either; then ends the steps in the background.
    async fn run_steps(&mut self, mut plan: Plan) {
        let mut foreground = JoinSet::new();
        let mut background = JoinSet::new();
        let workflow_over = CancellationToken::new();
        loop {
            while self.shared.scope.cause().is_none()
                && let Some((index, failed_before)) = plan.next_ready()
            {
                foreground.spawn(self.live(index, failed_before));
            }
            match foreground.join_next().await {
                None => break,
                Some(Ok((index, Progressed::Over(result)))) => {
                    plan.finish(index, result.fails_workflow);
                    self.take_in(index, result);
                }
                Some(Ok((index, Progressed::InBackground(running)))) => {
                    plan.finish(index, false);
                    let over = workflow_over.clone();
                    background.spawn(async move { (index, running.finish_in_background(over).await) });
                }
                Some(Err(panic)) => self.failed_inside(&panic.to_string()),
            }
        }
        workflow_over.cancel();
        while let Some(ended) = background.join_next().await {
            match ended {
                Ok((index, result)) => self.take_in(index, result),
                Err(panic) => self.failed_inside(&panic.to_string()),
            }
        }
    }

    /// One step's way until its dependents need not wait for it any longer.
    fn live(
        &self,
        index: StepIndex,
        failed_before: bool,
    ) -> impl Future<Output = (StepIndex, Progressed)> + Send + 'static {
        let step = self.steps[index];
        let in_background = step.runs_in_background();
        let life = StepLife::new(Arc::clone(&self.shared), step, failed_before);
        async move {
            let progressed = match life.begin(failed_before).await {
                Start::Over(result) => Progressed::Over(result),
                Start::Running(running) if in_background => Progressed::InBackground(running),
                Start::Running(running) => Progressed::Over(running.finish().await),
            };
            (index, progressed)
        }
    }

    fn take_in(&mut self, index: StepIndex, result: StepResult) {
        if result.fails_workflow && self.failure.is_none() {
            self.failure = Some(result.ending.clone());
        }
        self.error = self.error.take().or(result.error);
        self.endings[index] = Some(result.ending);
    }

    /// A defect of ours must not pass for a success.
    fn failed_inside(&mut self, what: &str) {
        let text = self.shared.masker.mask_str(&format!("jobwright failed inside: {what}")).into_owned();
        self.failure.get_or_insert_with(|| Ending::new(Cause::StatusUnreadable).because(&text));
        self.error.get_or_insert(text);
    }

    /// Once on every way out, outside of any scope and under its own deadline.
    async fn destroy(&self) -> Option<String> {
        let Shared { backend, task, limits, .. } = &*self.shared;
        let destroyed = timeout(limits.cleanup, backend.destroy_workflow(self.workflow, task)).await;
        match destroyed.unwrap_or_else(|_| Err(limits.cleanup_overdue(&**backend))) {
            Ok(()) => {
                if let Err(error) = self.shared.record(&Record::TaskClosed { task: task.clone() }) {
                    tracing::warn!(%task, %error, "the end of a task was not journaled");
                }
                None
            }
            Err(error) => {
                let text = self.shared.mask(&error);
                self.shared.observer.notice(None, &format!("not everything could be removed: {text}"));
                Some(text)
            }
        }
    }

    fn report(self, left_behind: Option<String>) -> WorkflowReport {
        let cancelled = self.shared.scope.cause().map(|cause| self.cancelled(cause));
        let ending = cancelled.or(self.failure).unwrap_or_else(|| Ending::new(Cause::Success));
        let ending = ending.timed(self.shared.started, Timestamp::now());
        let report = |(step, own): (&&Step, Option<Ending>)| StepReport {
            uuid: step.uuid.clone(),
            name: step.name.clone(),
            ending: own.unwrap_or_else(|| Ending::new(ending.cause.clone())),
        };
        let steps = self.steps.iter().zip(self.endings).map(report).collect();
        WorkflowReport { error: self.error, left_behind, steps, ending }
    }

    fn cancelled(&self, cause: Cause) -> Ending {
        let ending = Ending::new(cause.clone());
        match (cause, self.shared.timeouts.total) {
            (Cause::Timeout, Some(limit)) => ending.because(format!("it ran longer than {limit:?}")),
            _ => ending,
        }
    }
}

/// What a step's task comes back with.
enum Progressed {
    Over(StepResult),
    InBackground(Box<crate::step::Running>),
}
