//! One step until it runs: asked for, prepared, started; or skipped, or failed to start. Its life from then on is in
//! `running.rs`; both end in a [`StepResult`].

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jobwright_backend::{Error, LogPosition};
use jobwright_model::{Cause, Ending, Fault, Outcome, Step};

use crate::clock::BootTime;
use crate::environment;
use crate::gate::{Situation, Verdict};
use crate::observer::{ResumePoint, Trace};
use crate::progress::Forward;
use crate::record::Record;
use crate::running::{Running, Watch};
use crate::shared::Shared;

/// What the workflow learns of a step.
#[derive(Debug)]
pub(crate) struct StepResult {
    pub(crate) ending: Ending,
    /// Whether the workflow fails by it.
    pub(crate) fails_workflow: bool,
    /// What went wrong that is not the step's own failure: then the run itself has an error (woodpecker.md 8, item 44).
    pub(crate) error: Option<String>,
    /// It had ended before this process looked: nothing that ends its scope can have ended it.
    pub(crate) was_over: bool,
}

impl StepResult {
    /// What the ending of a step that ran means for its workflow.
    pub(crate) fn of(ending: Ending) -> Self {
        let infrastructure =
            ending.outcome != Outcome::Cancelled && ending.cause.fault() == Fault::Infrastructure;
        let own = || ending.evidence.clone().unwrap_or_else(|| ending.cause.as_str().replace('_', " "));
        let error = infrastructure.then(own);
        Self { fails_workflow: !ending.succeeded(), ending, error, was_over: false }
    }

    /// The same for a step whose failure is not to count.
    pub(crate) fn unless(self, ignored: bool) -> Self {
        Self { fails_workflow: self.fails_workflow && !ignored, ..self }
    }

    /// The same for a step that had ended before this process looked.
    pub(crate) fn that_was_over(self) -> Self {
        Self { was_over: true, ..self }
    }
}

/// What came of the attempt to start a step.
pub(crate) enum Start {
    /// It runs.
    Running(Box<Running>),
    /// It does not, and will not.
    Over(StepResult),
}

/// A step before it runs.
pub(crate) struct StepLife {
    pub(crate) shared: Arc<Shared>,
    pub(crate) step: Arc<Step>,
}

impl StepLife {
    /// A step that is next, with the environment that only this moment can give it.
    pub(crate) fn new(shared: Arc<Shared>, step: &Step, failed_before: bool) -> Self {
        let step = Arc::new(environment::at_start(step, failed_before, shared.started));
        Self { shared, step }
    }

    /// Asks the gates, then starts the step. One that is not reached before the scope ends is never traced.
    pub(crate) async fn begin(self, failed_before: bool) -> Start {
        if self.shared.secrets_are_gone {
            return Start::Over(self.without_secrets());
        }
        let not_run =
            |ending| Start::Over(StepResult { ending, fails_workflow: false, error: None, was_over: false });
        let verdict = tokio::select! {
            biased;
            cause = self.shared.scope.cancelled() => return not_run(self.shared.ended_by(cause)),
            verdict = self.ask_gates(failed_before) => verdict,
        };
        match verdict {
            Verdict::Run => self.start().await,
            Verdict::Skip(cause) => {
                let ending = Ending::new(not_passed(cause));
                self.shared.trace(&self.step, &Trace::Skipped(ending.clone()));
                not_run(ending)
            }
            Verdict::Stop(cause) => {
                let cause = not_passed(cause);
                self.shared.scope.cancel(cause.clone());
                not_run(Ending::new(cause))
            }
        }
    }

    fn without_secrets(&self) -> StepResult {
        let ending = Ending::new(Cause::StartFailure).because("the values of the job's secrets are gone");
        self.record_end(&ending);
        self.trace_end(&ending);
        StepResult::of(ending)
    }

    async fn ask_gates(&self, failed_before: bool) -> Verdict {
        for gate in &self.shared.gates {
            let Shared { backend, task, .. } = &*self.shared;
            let situation = Situation { step: &self.step, failed_before, backend: &**backend, task };
            let verdict = gate.ask(situation).await;
            if verdict != Verdict::Run {
                return verdict;
            }
        }
        Verdict::Run
    }

    async fn start(self) -> Start {
        let started = Timestamp::now();
        self.shared.trace(&self.step, &Trace::Started(started));
        let attempt = tokio::select! {
            biased;
            cause = self.shared.scope.cancelled() => Err((self.shared.ended_by(cause), None)),
            attempt = self.prepare_and_start() => attempt.map_err(|error| self.start_failure(&error)),
        };
        match attempt {
            Ok(watch) => Start::Running(Box::new(Running::new(self, watch, started, Duration::ZERO))),
            Err((ending, error)) => {
                Start::Over(self.not_started(ending.timed(started, Timestamp::now()), error).await)
            }
        }
    }

    fn start_failure(&self, error: &Error) -> (Ending, Option<String>) {
        let text = self.shared.mask(error);
        (Ending::new(error.cause()).because(&text), Some(text))
    }

    /// A log that cannot be read is a failure to start (woodpecker.md 8, item 22).
    async fn prepare_and_start(&self) -> Result<Watch, Arc<Error>> {
        let Shared { backend, task, observer, masker, .. } = &*self.shared;
        let progress = Forward { observer: &**observer, masker, step: &self.step };
        backend.prepare_step(&self.step, task, &progress).await?;
        self.shared.deliver_files().await?;
        self.shared.bring_into(&self.step).await?;
        let (task_uuid, step) = (task.clone(), self.step.uuid.clone());
        let intent = Record::StepStarting { task: task_uuid, step, at: BootTime::now() };
        self.shared.record(&intent).map_err(|error| Error::start(&self.step, error.to_string()))?;
        if let Some(until) = self.shared.until(&self.step) {
            backend.bound_step(&self.step, task, until);
        }
        backend.start_step(&self.step, task).await?;
        let log = backend.tail_step(&self.step, task, LogPosition::START).await?;
        // Before anything that it prints.
        observer.runs(&self.step);
        Ok(Watch::over(&self.shared, &self.step, log, ResumePoint::default()))
    }

    /// The end of a step that does not run. It is removed, because an attempt that was broken off may have got half-way.
    async fn not_started(self, ending: Ending, error: Option<String>) -> StepResult {
        if let Err(error) = self.destroy().await {
            self.notice(&format!("what a failed start left behind could not be removed yet: {error}"));
        }
        self.record_end(&ending);
        self.trace_end(&ending);
        StepResult { ending, fails_workflow: true, error, was_over: false }
    }

    /// Ends the step in its backend.
    pub(crate) async fn destroy(&self) -> Result<(), Error> {
        let Shared { backend, task, .. } = &*self.shared;
        self.shared.clean_up(|| backend.destroy_step(&self.step, task)).await
    }

    pub(crate) fn notice(&self, text: &str) {
        self.shared.notice(Some(&self.step), text);
    }

    /// Journals that the step is about to be ended.
    pub(crate) fn record_stop(&self, ending: &Ending) {
        let (task, step) = (self.shared.task.clone(), self.step.uuid.clone());
        self.record(&Record::StepStopping { task, step, ending: ending.clone() });
    }

    /// Journals how the step ended.
    pub(crate) fn record_end(&self, ending: &Ending) {
        let (task, step) = (self.shared.task.clone(), self.step.uuid.clone());
        self.record(&Record::StepEnded { task, step, ending: ending.clone() });
    }

    fn record(&self, record: &Record) {
        if let Err(error) = self.shared.record(record) {
            tracing::warn!(step = %self.step.uuid, %error, "a step's end was not journaled");
        }
    }

    /// Traces how the step ended.
    pub(crate) fn trace_end(&self, ending: &Ending) {
        self.shared.trace(&self.step, &Trace::Ended(ending.clone()));
    }
}

/// A gate can keep a step from running, but it cannot make it pass (DESIGN rule 1).
fn not_passed(cause: Cause) -> Cause {
    if cause.outcome() == Outcome::Succeeded { Cause::Condition } else { cause }
}
