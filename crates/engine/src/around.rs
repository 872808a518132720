//! The commands on the host around all jobs of a run: `bootstrap` before the first, `cleanup` after the last (local-ci.md 1.2 and 2.6).
//! They work in the project's own directory and their output is the run's own. Not for those around one job.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jobwright_events::{Bus, EventKind, EventLog, ExecKind};
use jobwright_journal::Journal;
use jobwright_model::{Ending, Job};
use jobwright_pipeline::{self as pipeline, Pipeline};
use jobwright_redact::Masker;
use jobwright_runtime::{Backends, JobReport, JobRun, Limits, Past, Record, Scope};
use serde::{Deserialize, Serialize};

use crate::executor::JobOutput;
use crate::observer::JobObserver;
use crate::runtime_executor::{RuntimeExecutor, told};

/// What runs before and after the jobs of a run, as it is written down.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct JobsAround {
    before: Option<Timed>,
    after: Option<Timed>,
}

/// What runs before and after the jobs of one run.
pub(crate) struct Around {
    jobs: JobsAround,
    past: Past,
    secrets_are_gone: bool,
    directory: PathBuf,
    backends: Backends,
    masker: Masker,
    limits: Limits,
    quota: u64,
    journal: Arc<Journal<Record>>,
    log: Arc<EventLog>,
}

/// A job and how long it may take.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Timed {
    job: Job,
    limit: Duration,
}

/// How what runs before the jobs ended when they must not run.
pub(crate) struct NotBegun {
    pub(crate) ending: Ending,
    /// What to tell a person.
    pub(crate) error: String,
}

impl JobsAround {
    /// The jobs `around` those of `pipeline`.
    pub(crate) fn new(around: pipeline::Around, pipeline: &Pipeline) -> Self {
        let timed = |job: Option<Job>, commands: &Option<pipeline::HostCommands>| {
            let limit = commands.as_ref()?.timeout;
            Some(Timed { job: job?, limit })
        };
        Self {
            before: timed(around.before, &pipeline.bootstrap),
            after: timed(around.after, &pipeline.cleanup),
        }
    }

    /// All of them.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.before.iter().chain(&self.after).map(|timed| &timed.job)
    }
}

impl Around {
    /// Whether an owner of the run that died had begun with them.
    pub(crate) fn was_begun(&self) -> bool {
        self.jobs.jobs().any(|job| self.past.was_begun(&job.name))
    }

    /// `jobs` working in `directory`, with all else as `executor` has it.
    pub(crate) fn new(jobs: JobsAround, directory: PathBuf, executor: &RuntimeExecutor) -> Self {
        let settings = executor.settings();
        let (past, secrets_are_gone) = executor.past();
        Self {
            jobs,
            past: past.clone(),
            secrets_are_gone,
            directory,
            backends: settings.backends.clone(),
            masker: executor.masker().clone(),
            limits: settings.limits,
            quota: settings.quota,
            journal: Arc::clone(&settings.journal),
            log: Arc::clone(&settings.log),
        }
    }

    /// Runs what comes before the jobs.
    pub(crate) async fn begin(&self, bus: &Arc<Bus>, scope: &Scope) -> Result<(), NotBegun> {
        let Some(before) = &self.jobs.before else { return Ok(()) };
        let report = self.run(before, bus, scope).await;
        match failed(&report) {
            None => Ok(()),
            Some(why) => {
                let error = format!("Bootstrap failed: {why}");
                bus.emit(EventKind::notice(format!("{error}\n")));
                Err(NotBegun { ending: report.ending, error })
            }
        }
    }

    /// Runs what comes after them. What fails of it is only told.
    pub(crate) async fn end(&self, bus: &Arc<Bus>, scope: &Scope) {
        let Some(after) = &self.jobs.after else { return };
        let report = self.run(after, bus, scope).await;
        let steps = report.phases.iter().flat_map(|phase| &phase.steps);
        let mut failures: Vec<String> =
            steps.filter_map(|step| Some(format!("{}: {}", step.name, told(&step.ending, false)?))).collect();
        if failures.is_empty() {
            failures.extend(failed(&report));
        }
        for failure in failures {
            bus.emit(EventKind::notice(format!("Cleanup failed: {failure}\n")));
        }
    }

    async fn run(&self, timed: &Timed, bus: &Arc<Bus>, scope: &Scope) -> JobReport {
        let output = JobOutput { bus: Arc::clone(bus), job: None, exec: ExecKind::Standalone, attempt: 1 };
        let observer = Arc::new(JobObserver::new(output, self.quota, Arc::clone(&self.log)));
        let mut run = JobRun::new(timed.job.clone(), self.backends.clone(), observer)
            .masker(self.masker.clone())
            .limits(self.limits)
            .scope(scope)
            .in_place(&self.directory)
            .phase_limit(0, timed.limit)
            .journal(Arc::clone(&self.journal));
        if let Some(past) = self.past.attempt_at(&timed.job.name, 1) {
            run = run.resuming(past.clone());
        }
        if self.secrets_are_gone {
            run = run.without_secrets();
        }
        run.run().await
    }
}

/// What failed of a job and how; nothing when it passed.
fn failed(report: &JobReport) -> Option<String> {
    let why = told(&report.ending, false)?;
    let steps = report.phases.iter().flat_map(|phase| &phase.steps);
    let failed = steps.into_iter().find(|step| !step.ending.succeeded());
    Some(failed.map_or_else(|| why.clone(), |step| format!("{}: {why}", step.name)))
}
