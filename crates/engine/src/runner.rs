//! The second of a run's two steps: schedules the prepared jobs and tells it as events, from `run_started` to `run_finished`.

use std::sync::Arc;

use jobwright_events::{Bus, EventKind, RunMode};
use jobwright_model::{Cause, Ending, Outcome};
use jobwright_runtime::Scope;
use tokio::time::Instant;

use crate::crew::Crew;
use crate::executor::JobExecutor;
use crate::prepare::RunPlan;
use crate::report::{JobReport, RunError, RunReport};
use crate::spec::Spec;
use crate::{dag, sequence};

/// Schedules one run (`Runner` of the local-ci interface document). Owns no presentation: what is shown is up to the bus's sinks.
pub struct Runner {
    bus: Arc<Bus>,
    scope: Scope,
    limit: usize,
    begun: Instant,
}

impl Runner {
    /// A run that begins now, on `bus`, that ends early when `scope` does. At most `limit` jobs run at the same time.
    #[must_use]
    pub fn new(bus: Arc<Bus>, scope: Scope, limit: usize) -> Self {
        Self { bus, scope, limit: limit.max(1), begun: Instant::now() }
    }

    /// Emits the run's first event.
    pub fn start(&self, plan: &RunPlan) {
        self.bus.emit(EventKind::RunStarted {
            mode: plan.mode,
            has_matrix: false,
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
    pub async fn run(self, plan: &RunPlan, executor: Arc<dyn JobExecutor>) -> RunReport {
        let crew = Crew::new(Arc::clone(&self.bus), executor, self.scope.clone(), self.limit);
        let RunPlan { stages, jobs, mode, .. } = plan;
        let as_graph = jobs.iter().any(|job| !job.needs.is_empty());
        let reports = match mode {
            _ if as_graph => dag::run(&crew, stages, jobs).await,
            RunMode::Sequential => sequence::sequential(&crew, jobs).await,
            RunMode::Parallel => sequence::parallel(&crew, jobs).await,
            RunMode::ParallelStages => sequence::parallel_stages(&crew, stages, jobs).await,
        };
        let error = joined(&reports, as_graph);
        let ending = self.ending(&reports);
        self.finish(ending, error, reports)
    }

    /// A run that was cancelled is cancelled, also when a job failed before; else it ends as its first job that did not pass.
    fn ending(&self, reports: &[JobReport]) -> Ending {
        let all_passed = reports.iter().all(|report| report.ending.succeeded());
        if let Some(cause) = self.scope.cause().filter(|_| !all_passed) {
            return Ending::new(cause);
        }
        let failed = reports
            .iter()
            .find(|report| !matches!(report.ending.outcome, Outcome::Succeeded | Outcome::Skipped));
        failed.map_or_else(|| Ending::new(Cause::Success), |report| report.ending.clone())
    }

    fn finish(self, ending: Ending, error: Option<String>, jobs: Vec<JobReport>) -> RunReport {
        let duration = self.begun.elapsed();
        self.bus.emit(EventKind::RunFinished { duration, error, ending: ending.clone() });
        RunReport { ending, error: None, jobs, duration }
    }
}

/// The errors of all jobs, one per line, and in a graph how many were skipped (local-ci.md 2.4).
fn joined(reports: &[JobReport], as_graph: bool) -> Option<String> {
    let mut lines: Vec<String> = reports.iter().filter_map(|report| report.error.clone()).collect();
    let skipped = reports.iter().filter(|report| report.ending.outcome == Outcome::Skipped).count();
    if as_graph && skipped > 0 {
        lines.push(format!("{skipped} job(s) skipped because a dependency failed"));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}
