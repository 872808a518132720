//! The second of a run's two steps: schedules the prepared jobs and tells it as events, from `run_started` to `run_finished`.

use std::sync::Arc;
use std::time::Duration;

use jobwright_events::{Bus, EventKind, RunMode};
use jobwright_model::{Cause, Ending, Outcome};
use jobwright_runtime::Scope;
use tokio::time::Instant;

use crate::around::{Around, NotBegun};
use crate::crew::Crew;
use crate::executor::JobExecutor;
use crate::places::Places;
use crate::prepare::RunPlan;
use crate::report::{JobReport, RunError, RunReport};
use crate::shared_groups::SharedGroups;
use crate::spec::Spec;
use crate::{dag, sequence};

/// Schedules one run (`Runner` of the local-ci interface document). Owns no presentation: what is shown is up to the bus's sinks.
pub struct Runner {
    bus: Arc<Bus>,
    scope: Scope,
    limit: usize,
    groups: Option<SharedGroups>,
    around: Option<Around>,
    begun: Instant,
}

impl Runner {
    /// A run that begins now, on `bus`, that ends early when `scope` does. At most `limit` jobs run at the same time.
    #[must_use]
    pub fn new(bus: Arc<Bus>, scope: Scope, limit: usize) -> Self {
        Self { bus, scope, limit: limit.max(1), groups: None, around: None, begun: Instant::now() }
    }

    /// Sharing the limits of concurrency groups with other runs.
    #[must_use]
    pub fn groups(mut self, groups: SharedGroups) -> Self {
        self.groups = Some(groups);
        self
    }

    /// With at most `limit` jobs at the same time, at least 1.
    pub(crate) fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.max(1);
        self
    }

    /// With commands on the host before the first job and after the last.
    #[must_use]
    pub(crate) fn around(mut self, around: Around) -> Self {
        self.around = Some(around);
        self
    }

    /// Begun so long ago, by an owner that died.
    pub(crate) fn begun(mut self, ago: Duration) -> Self {
        self.begun = self.begun.checked_sub(ago).unwrap_or(self.begun);
        self
    }

    /// Emits the run's first event.
    pub fn start(&self, plan: &RunPlan) {
        self.bus.emit(EventKind::RunStarted {
            mode: plan.mode,
            has_matrix: plan.jobs.iter().any(|job| job.matrix.is_some()),
            has_detached: plan.jobs.iter().any(|job| job.detached),
            order: plan.jobs.iter().map(|job| job.name.clone()).collect(),
            config_path: plan.config_path.display().to_string(),
            project_path: plan.project.display().to_string(),
            commit: plan.commit.clone(),
            branch: plan.branch.clone(),
        });
    }

    /// The whole stream of a run that could not be prepared: its first event and its last (DESIGN section 6).
    pub fn refuse(self, spec: &Spec, error: RunError) -> RunReport {
        self.bus.emit(EventKind::RunStarted {
            mode: spec.mode,
            has_matrix: false,
            has_detached: false,
            order: Vec::new(),
            config_path: spec.config_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            project_path: spec.project.display().to_string(),
            commit: String::new(),
            branch: String::new(),
        });
        self.abandon(error)
    }

    /// The end of a run that was started and cannot run its jobs.
    pub fn abandon(self, error: RunError) -> RunReport {
        let text = error.to_string();
        let ending = Ending::new(error.cause()).because(&text);
        let mut report = self.finish(ending, Some(text), Vec::new());
        report.error = Some(error);
        report
    }

    /// Runs the jobs of a run that was [started](Self::start) and emits its last event.
    pub async fn run(mut self, plan: &RunPlan, executor: Arc<dyn JobExecutor>) -> RunReport {
        // What is over before it began has nothing to clean up.
        let around = self.around.take().filter(|around| self.scope.cause().is_none() || around.was_begun());
        let begun = match &around {
            Some(around) => around.begin(&self.bus, &self.scope).await,
            None => Ok(()),
        };
        let (ending, error, reports) = match begun {
            Ok(()) => self.run_jobs(plan, executor).await,
            Err(why) => self.skip_jobs(plan, executor, why),
        };
        if let Some(around) = &around {
            around.end(&self.bus, &self.scope).await;
        }
        self.finish(ending, error, reports)
    }

    fn crew(&self, plan: &RunPlan, executor: Arc<dyn JobExecutor>) -> Crew {
        let places = Places::new(self.limit, &plan.jobs, self.groups.clone());
        Crew::new(Arc::clone(&self.bus), executor, self.scope.clone(), places, &plan.jobs)
    }

    async fn run_jobs(
        &self,
        plan: &RunPlan,
        executor: Arc<dyn JobExecutor>,
    ) -> (Ending, Option<String>, Vec<JobReport>) {
        let RunPlan { stages, jobs, mode, .. } = plan;
        let crew = self.crew(plan, executor);
        let as_graph = jobs.iter().any(|job| !job.needs.is_empty());
        let reports = match mode {
            _ if as_graph => dag::run(&crew, stages, jobs).await,
            RunMode::Sequential => sequence::sequential(&crew, jobs).await,
            RunMode::Parallel => sequence::parallel(&crew, jobs).await,
            RunMode::ParallelStages => sequence::parallel_stages(&crew, stages, jobs).await,
        };
        let error = joined(&reports, as_graph);
        (self.ending(&reports), error, reports)
    }

    /// None of the jobs begins, because what comes before all of them did not pass.
    fn skip_jobs(
        &self,
        plan: &RunPlan,
        executor: Arc<dyn JobExecutor>,
        NotBegun { ending, error }: NotBegun,
    ) -> (Ending, Option<String>, Vec<JobReport>) {
        let crew = self.crew(plan, executor);
        let reports = plan.jobs.iter().map(|job| crew.skip_after(job, None, "bootstrap")).collect();
        let ending = self.scope.cause().map_or(ending, Ending::new);
        (ending, Some(error), reports)
    }

    /// A run that was cancelled is cancelled, also when a job failed before; else it ends as its first job that did not pass and is
    /// not passed over.
    fn ending(&self, reports: &[JobReport]) -> Ending {
        let all_passed = reports.iter().all(JobReport::holds_nobody_up);
        if let Some(cause) = self.scope.cause().filter(|_| !all_passed) {
            return Ending::new(cause);
        }
        let failed = reports
            .iter()
            .find(|report| !report.holds_nobody_up() && report.ending.outcome != Outcome::Skipped);
        failed.map_or_else(|| Ending::new(Cause::Success), |report| report.ending.clone())
    }

    fn finish(self, ending: Ending, error: Option<String>, jobs: Vec<JobReport>) -> RunReport {
        let duration = self.begun.elapsed();
        self.bus.emit(EventKind::RunFinished { duration, error, ending: ending.clone() });
        RunReport { ending, error: None, jobs, duration }
    }
}

/// The errors of all jobs that count, one per line, and in a graph how many were skipped (local-ci.md 2.4).
fn joined(reports: &[JobReport], as_graph: bool) -> Option<String> {
    let counting = reports.iter().filter(|report| !report.passed_over);
    let mut lines: Vec<String> = counting.filter_map(|report| report.error.clone()).collect();
    let was_held_up = |report: &&JobReport| matches!(report.ending.cause, Cause::Dependency(_));
    let skipped = reports.iter().filter(was_held_up).count();
    if as_graph && skipped > 0 {
        lines.push(format!("{skipped} job(s) skipped because a dependency failed"));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}
