//! The fixture: an engine, an observer that remembers, and short ways to write a workflow down.

mod build;
mod seen;
mod twisted;

use std::sync::Arc;
use std::time::Duration;

use jobwright_backend::Backend;
use jobwright_backend::dummy::{DummyEngine, DummyOptions};
use jobwright_model::{Ending, Outcome, Workflow};
use jobwright_runtime::{Backends, JobReport, JobRun, Limits, Scope, WorkflowReport, WorkflowRun};

pub(crate) use build::{job, on, phase, step, task, with, workflow};
pub(crate) use seen::{Event, Seen};
pub(crate) use twisted::{Twist, Twisted};

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// One test's surroundings.
pub(crate) struct World {
    pub(crate) engine: DummyEngine,
    pub(crate) seen: Arc<Seen>,
    pub(crate) scope: Scope,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_grace(seconds(1))
    }

    pub(crate) fn with_grace(grace: Duration) -> Self {
        let engine = DummyEngine::new(DummyOptions { grace });
        Self { engine, seen: Arc::new(Seen::default()), scope: Scope::new() }
    }

    pub(crate) fn backend(&self) -> Arc<dyn Backend> {
        Arc::new(self.engine.backend())
    }

    /// The engine's backend with something wrong with it.
    pub(crate) fn twisted(&self, twist: Twist) -> Arc<Twisted> {
        Arc::new(Twisted::new(self.engine.backend(), twist))
    }

    /// A run of `workflow` that is seen, within this world's scope.
    pub(crate) fn plan(&self, workflow: &Workflow) -> WorkflowRun {
        self.plan_on(self.backend(), workflow)
    }

    pub(crate) fn plan_on(&self, backend: Arc<dyn Backend>, workflow: &Workflow) -> WorkflowRun {
        WorkflowRun::new(workflow.clone(), backend, Arc::clone(&self.seen) as _).scope(&self.scope)
    }

    /// Runs `workflow` and checks what holds for every run: nothing is left of it, and each step was traced as often as it may.
    pub(crate) async fn run(&self, workflow: &Workflow) -> WorkflowReport {
        self.finish(self.plan(workflow)).await
    }

    pub(crate) async fn finish(&self, run: WorkflowRun) -> WorkflowReport {
        let report = run.run().await;
        assert_eq!(self.engine.leftovers(), Vec::<String>::new(), "something was left behind");
        self.check(&report);
        report
    }

    /// A run of `job` that is seen, on this world's engine under the name `dummy`.
    pub(crate) fn plan_job(&self, job: jobwright_model::Job) -> JobRun {
        let backends = Backends::from([("dummy".to_owned(), self.backend())]);
        JobRun::new(job, backends, Arc::clone(&self.seen) as _).scope(&self.scope)
    }

    pub(crate) async fn run_job(&self, job: jobwright_model::Job) -> JobReport {
        let report = self.plan_job(job).run().await;
        assert_eq!(self.engine.leftovers(), Vec::<String>::new(), "something was left behind");
        report.phases.iter().for_each(|phase| self.check(phase));
        report
    }

    /// A step is traced as skipped, as started and ended, as ended when it spoiled the set-up, or not at all; and what is
    /// reported of it is what was traced.
    pub(crate) fn check(&self, report: &WorkflowReport) {
        for step in &report.steps {
            let traces = self.seen.traces(&step.name);
            match traces.as_slice() {
                [] => assert!(!step.ending.succeeded(), "{} passed without a trace", step.name),
                [Event::Started, Event::Ended(ending)]
                | [Event::Skipped(ending)]
                | [Event::Ended(ending)] => {
                    assert_eq!(*ending, step.ending, "{}", step.name);
                }
                other => panic!("{} was traced as {other:?}", step.name),
            }
            self.seen.check_order(&step.name);
        }
    }
}

/// Short bounds, so that a test that takes longer than it should is seen.
pub(crate) fn tight() -> Limits {
    Limits { cleanup: seconds(5), patience: seconds(10), ..Limits::default() }
}

/// An ending in short: its outcome, its cause, and its code.
pub(crate) fn gist(ending: &Ending) -> (Outcome, &'static str, Option<i32>) {
    (ending.outcome, ending.cause.as_str(), ending.exit_code)
}

/// The ending of the step called `name`.
pub(crate) fn ending<'r>(report: &'r WorkflowReport, name: &str) -> &'r Ending {
    let step = report.steps.iter().find(|step| step.name == name);
    &step.unwrap_or_else(|| panic!("no step is called {name}")).ending
}
