//! A workflow's course: set up once, its steps started as they become ready and taken in as they end, what runs in the background
//! ended last, everything destroyed exactly once.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jobwright_backend::Error;
use jobwright_model::{Cause, Ending, Step, StepUuid, Workflow};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::handover::{self, Heirs, Legacy};
use crate::job::Slot;
use crate::keeping::Keeping;
use crate::kept::KeptStep;
use crate::observer::Trace;
use crate::outage::insist;
use crate::past::StepPast;
use crate::plan::{Plan, StepIndex};
use crate::record::Record;
use crate::running::Running;
use crate::shared::Shared;
use crate::step::{Start, StepLife, StepResult};
use crate::workflow::{StepReport, WorkflowReport};

/// A workflow on its way.
pub(crate) struct Course<'a> {
    shared: Arc<Shared>,
    workflow: &'a Workflow,
    /// The name of the job that it is a part of.
    job: String,
    steps: Vec<&'a Step>,
    endings: Vec<Option<Ending>>,
    /// The first ending that fails the workflow.
    failure: Option<Ending>,
    /// The first error that is no step's own failure.
    error: Option<String>,
    /// How the end of the scope ended it, if that came before the last step had ended.
    cut_short: Option<Ending>,
    /// Which of its steps had ended before this process looked.
    were_over: Vec<bool>,
    /// How far its steps came under an owner that died.
    past: HashMap<StepUuid, StepPast>,
    /// It was set up by that owner.
    is_set_up: bool,
}

impl<'a> Course<'a> {
    /// A workflow of which nothing has happened yet.
    pub(crate) fn new(shared: Arc<Shared>, workflow: &'a Workflow, job: String) -> Self {
        let steps: Vec<_> = workflow.steps().collect();
        Self {
            endings: vec![None; steps.len()],
            were_over: vec![false; steps.len()],
            shared,
            workflow,
            job,
            steps,
            failure: None,
            error: None,
            cut_short: None,
            past: HashMap::new(),
            is_set_up: false,
        }
    }

    /// A workflow that was set up and whose steps came so far.
    pub(crate) fn resuming(mut self, past: HashMap<StepUuid, StepPast>) -> Self {
        self.past = past;
        self.is_set_up = true;
        self
    }

    /// Runs it, gives its `slot` back, lets files be kept, and takes the workspace out for `heirs` before everything is destroyed.
    pub(crate) async fn run(
        mut self,
        plan: Plan,
        keeping: Option<Keeping>,
        heirs: Option<Heirs>,
        slot: Option<Slot>,
    ) -> (WorkflowReport, Legacy) {
        let set_up = if self.is_set_up { Ok(()) } else { self.set_up().await };
        match set_up {
            Ok(()) => self.run_steps(plan, slot).await,
            Err(ending) => {
                drop(slot);
                self.failure = Some(ending);
            }
        }
        if let Some(keeping) = keeping {
            self.keep(&keeping).await;
        }
        let legacy = self.hand_over(heirs).await;
        self.record_end(&legacy);
        let kept = self.keep_environment();
        let left_behind = if kept { None } else { self.destroy().await };
        (WorkflowReport { kept, ..self.report(left_behind) }, legacy)
    }

    async fn set_up(&mut self) -> Result<(), Ending> {
        let Shared { backend, task, scope, .. } = &*self.shared;
        let set_up = tokio::select! {
            biased;
            cause = scope.cancelled() => {
                self.cut_short = Some(self.shared.ended_by(cause.clone()));
                return Err(self.shared.ended_by(cause));
            }
            set_up = async {
                match &self.shared.in_place {
                    Some(directory) => backend.setup_in_place(self.workflow, task, directory).await,
                    None => backend.setup_workflow(self.workflow, task).await,
                }
            } => set_up,
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
        self.shared.trace(self.steps[index], &Trace::Ended(ending.clone()));
        self.endings[index] = Some(ending);
    }

    /// Starts what is ready, takes in what ended, until nothing is left of either; then ends the steps in the background. The `slot` goes when
    /// nothing runs any more, which of a single step is known before it is removed.
    async fn run_steps(&mut self, mut plan: Plan, mut slot: Option<Slot>) {
        let mut foreground = JoinSet::new();
        let mut background = JoinSet::new();
        let workflow_over = CancellationToken::new();
        loop {
            while let Some((index, failed_before)) = self.next_step(&mut plan) {
                let own = if self.steps.len() == 1 { slot.take() } else { None };
                foreground.spawn(self.live(index, failed_before, own));
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
        let ended_by = self.shared.scope.cause().filter(|_| !self.was_over());
        self.cut_short = ended_by.map(|cause| self.shared.ended_by(cause));
        workflow_over.cancel();
        while let Some(ended) = background.join_next().await {
            match ended {
                Ok((index, result)) => self.take_in(index, result),
                Err(panic) => self.failed_inside(&panic.to_string()),
            }
        }
    }

    /// The next step to start, or to take over; the end of the scope keeps from being started what was not before.
    fn next_step(&self, plan: &mut Plan) -> Option<(StepIndex, bool)> {
        std::iter::from_fn(|| plan.next_ready()).find(|(index, _)| {
            self.shared.scope.cause().is_none() || self.past.contains_key(&self.steps[*index].uuid)
        })
    }

    /// Whether all that it waits for had ended before this process looked: then nothing was left to be cut short.
    fn was_over(&self) -> bool {
        self.steps.iter().zip(&self.were_over).all(|(step, over)| *over || step.runs_in_background())
    }

    /// Whether a process that died had seen all of them ready that are waited for: something that came after them was begun.
    fn was_all_ready(&self) -> bool {
        self.past.keys().any(|uuid| !self.shared.ready.contains_key(uuid))
    }

    /// One step's way until its dependents need not wait for it any longer.
    fn live(
        &self,
        index: StepIndex,
        failed_before: bool,
        slot: Option<Slot>,
    ) -> impl Future<Output = (StepIndex, Progressed)> + Send + 'static {
        let step = self.steps[index];
        let in_background = step.runs_in_background();
        let awaited = !self.was_all_ready();
        let life = StepLife::new(Arc::clone(&self.shared), step, failed_before);
        let past = self.past.get(&step.uuid).cloned();
        async move {
            let start = match past {
                Some(past) => life.take_over(past, failed_before).await,
                None => life.begin(failed_before).await,
            };
            let progressed = match start {
                Start::Over(result) => Progressed::Over(result),
                Start::Running(running) if in_background && awaited => match running.until_ready().await {
                    Ok(running) => Progressed::InBackground(running),
                    Err(result) => Progressed::Over(result),
                },
                Start::Running(running) if in_background => Progressed::InBackground(running),
                Start::Running(running) => Progressed::Over(running.finish(slot).await),
            };
            (index, progressed)
        }
    }

    fn take_in(&mut self, index: StepIndex, result: StepResult) {
        if result.fails_workflow && self.failure.is_none() {
            self.failure = Some(result.ending.clone());
        }
        self.error = self.error.take().or(result.error);
        self.were_over[index] = result.was_over;
        self.endings[index] = Some(result.ending);
    }

    /// A defect of ours must not pass for a success.
    fn failed_inside(&mut self, what: &str) {
        let text = self.shared.masker.mask_str(&format!("jobwright failed inside: {what}")).into_owned();
        self.failure.get_or_insert_with(|| Ending::new(Cause::StatusUnreadable).because(&text));
        self.error.get_or_insert(text);
    }

    /// Lets files be taken out of the workspace, if any step had one.
    async fn keep(&mut self, Keeping { keeper, before }: &Keeping) {
        let Shared { backend, task, scope, limits, .. } = &*self.shared;
        if self.workflow.volume.is_empty() || self.shared.workspace_is_untouched() {
            return;
        }
        let bad = before.as_ref().or(self.cut_short.as_ref()).or(self.failure.as_ref()).cloned();
        if let Some(bad) = bad {
            // The job is told to have ended as it stands, whatever comes of this.
            let kept = timeout(limits.cleanup, keeper.keep(&**backend, task, &bad)).await;
            if kept.is_err() {
                self.shared
                    .notice(None, "taking files out of the workspace took too long and was broken off");
            }
            return;
        }
        let well = Ending::new(Cause::Success);
        let kept = tokio::select! {
            biased;
            kept = keeper.keep(&**backend, task, &well) => kept,
            cause = scope.cancelled() => {
                self.cut_short = Some(self.shared.ended_by(cause));
                return;
            }
        };
        if let Err(mut ending) = kept {
            ending.evidence = ending.evidence.map(|text| self.shared.masker.mask_str(&text).into_owned());
            self.error = self.error.take().or_else(|| ending.evidence.clone());
            self.failure = Some(ending);
        }
    }

    /// Takes the workspace out for `heirs`. It goes on for a while after the scope has ended, if they come whatever happens.
    async fn hand_over(&self, heirs: Option<Heirs>) -> Legacy {
        let Shared { backend, task, scope, limits, .. } = &*self.shared;
        let passed = self.failure.is_none() && self.cut_short.is_none();
        let Some(heirs) = heirs.filter(|heirs| passed || heirs.whatever_happens) else {
            return Legacy::Unchanged;
        };
        if self.workflow.volume.is_empty() || self.shared.workspace_is_untouched() {
            return Legacy::Unchanged;
        }
        let grace = if heirs.whatever_happens { limits.cleanup } else { Duration::ZERO };
        let taken = tokio::select! {
            biased;
            taken = insist(&**backend, limits.patience, || handover::take(&**backend, task, &heirs.spool)) => taken,
            () = async { scope.cancelled().await; sleep(grace).await } => {
                Err(Error::Workspace("taking the files out was broken off".to_owned()))
            }
        };
        match taken {
            Ok(legacy) => legacy,
            Err(error) => Legacy::Lost(self.shared.mask(&error)),
        }
    }

    /// What is removed next cannot be asked again.
    fn record_end(&self, legacy: &Legacy) {
        let ending = self.ending().timed(self.shared.started, Timestamp::now());
        let (task, error) = (self.shared.task.clone(), self.error.clone());
        let ended = Record::TaskEnded { task, ending, error, inheritance: legacy.recorded() };
        if let Err(error) = self.shared.record(&ended) {
            tracing::warn!(task = %self.shared.task, %error, "the end of a task's steps was not journaled");
        }
    }

    fn ending(&self) -> Ending {
        let bad = self.cut_short.as_ref().or(self.failure.as_ref());
        bad.cloned().unwrap_or_else(|| Ending::new(Cause::Success))
    }

    /// Writes down that the environment stays, if it is to. What cannot be written down cannot stay: nobody would find it.
    fn keep_environment(&self) -> bool {
        let Shared { task, kept, journal, masker, .. } = &*self.shared;
        let (Some(step), Some(journal)) = (kept.get(), journal) else { return false };
        let folder = journal.path().parent().unwrap_or_else(|| Path::new("."));
        let record = Record::TaskKept { task: task.clone(), job: self.job.clone(), step: step.uuid.clone() };
        let written = KeptStep::write(folder, task, step, masker)
            .map_err(|error| error.to_string())
            .and_then(|()| journal.append(&record).map_err(|error| error.to_string()));
        match written {
            Ok(()) => true,
            Err(error) => {
                self.shared.notice(None, &format!("the environment cannot be kept: {error}"));
                if let Err(error) = KeptStep::forget(folder, task) {
                    tracing::warn!(%task, %error, "what was written of an environment is still there");
                }
                false
            }
        }
    }

    /// Once on every way out, outside of any scope and under its own deadline.
    async fn destroy(&self) -> Option<String> {
        let Shared { backend, task, .. } = &*self.shared;
        match self.shared.clean_up(|| backend.destroy_workflow(self.workflow, task)).await {
            Ok(()) => {
                if let Err(error) = self.shared.record(&Record::TaskClosed { task: task.clone() }) {
                    tracing::warn!(%task, %error, "the end of a task was not journaled");
                }
                None
            }
            Err(error) => {
                let text = self.shared.mask(&error);
                self.shared.notice(None, &format!("not everything could be removed: {text}"));
                Some(text)
            }
        }
    }

    fn report(self, left_behind: Option<String>) -> WorkflowReport {
        let ending = self.ending().timed(self.shared.started, Timestamp::now());
        let report = |(step, own): (&&Step, Option<Ending>)| StepReport {
            uuid: step.uuid.clone(),
            name: step.name.clone(),
            ending: own.unwrap_or_else(|| Ending::new(ending.cause.clone())),
        };
        let steps = self.steps.iter().zip(self.endings).map(report).collect();
        WorkflowReport { error: self.error, left_behind, kept: false, steps, ending }
    }
}

/// What a step's task comes back with.
enum Progressed {
    Over(StepResult),
    InBackground(Box<Running>),
}
