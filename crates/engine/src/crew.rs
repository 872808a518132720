//! Runs single jobs with their events, and many at once up to a limit. Which and when is decided by `sequence` and `dag`.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use jobwright_events::{Bus, EventKind, ExecKind, Group};
use jobwright_model::{Cause, Ending};
use jobwright_runtime::Scope;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::executor::{JobExecutor, JobOutput};
use crate::prepare::PreparedJob;
use crate::report::JobReport;

/// What a schedule needs to have jobs run.
pub(crate) struct Crew {
    pub(crate) bus: Arc<Bus>,
    pub(crate) executor: Arc<dyn JobExecutor>,
    pub(crate) scope: Scope,
    slots: Arc<Semaphore>,
    in_flight: usize,
}

impl Crew {
    /// A crew of whose jobs at most `limit` run at the same time; at least 1. As many again may be cleaning up after themselves, but
    /// one at a time means just that.
    pub(crate) fn new(bus: Arc<Bus>, executor: Arc<dyn JobExecutor>, scope: Scope, limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS / 2);
        let in_flight = if limit == 1 { 1 } else { limit * 2 };
        Self { bus, executor, scope, slots: Arc::new(Semaphore::new(limit)), in_flight }
    }

    /// How many jobs may be on their way at the same time: running, or ended and cleaning up.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Runs one job to its end, once there is a slot for it. One that the end of the run's scope overtakes is reported and not begun.
    pub(crate) async fn run(&self, job: &PreparedJob, exec: ExecKind, group: Option<&Group>) -> JobReport {
        let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the slots are never closed");
        if let Some(cause) = self.scope.cause() {
            return self.skip(job, group, Ending::new(cause));
        }
        const ATTEMPT: u32 = 1;
        let group = group.cloned();
        let (name, stage) = (job.name.clone(), job.stage.clone());
        self.bus.emit(EventKind::JobStarted {
            job: name.clone(),
            stage,
            exec,
            group: group.clone(),
            attempt: ATTEMPT,
        });
        let begun = Instant::now();
        let output = JobOutput { bus: Arc::clone(&self.bus), job: name, exec, attempt: ATTEMPT };
        let outcome = self.executor.execute(job, &output, &self.scope, slot).await;
        let duration = begun.elapsed();
        let error = outcome.told(&job.name);
        let report = JobReport {
            name: job.name.clone(),
            stage: job.stage.clone(),
            ending: outcome.ending,
            error,
            duration,
        };
        self.bus.emit(EventKind::JobFinished {
            job: report.name.clone(),
            stage: report.stage.clone(),
            exec,
            group,
            attempt: ATTEMPT,
            duration,
            error: report.error.clone(),
            ending: report.ending.clone(),
        });
        report
    }

    /// Runs all of `jobs` as one barrier, begun in their order, each to its end whatever becomes of the others.
    pub(crate) async fn run_group(&self, jobs: &[&PreparedJob], group: &Group) -> Vec<JobReport> {
        self.open_group(jobs, group);
        let mut reports: Vec<_> = stream::iter(jobs.iter().enumerate())
            .map(async |(index, job)| (index, self.run(job, ExecKind::Concurrent, Some(group)).await))
            .buffer_unordered(self.in_flight)
            .collect()
            .await;
        self.close_group(group);
        reports.sort_by_key(|(index, _)| *index);
        reports.into_iter().map(|(_, report)| report).collect()
    }

    pub(crate) fn open_group(&self, jobs: &[&PreparedJob], group: &Group) {
        let order = jobs.iter().map(|job| job.name.clone()).collect();
        self.bus.emit(EventKind::GroupStarted { group: group.clone(), order });
    }

    pub(crate) fn close_group(&self, group: &Group) {
        self.bus.emit(EventKind::GroupFinished { group: group.clone() });
    }

    /// Tells that `job` never began because `dependency` did not pass.
    pub(crate) fn skip_after(&self, job: &PreparedJob, group: Option<&Group>, dependency: &str) -> JobReport {
        if let Some(cause) = self.scope.cause() {
            return self.skip(job, group, Ending::new(cause));
        }
        let ending = Ending::new(Cause::Dependency(dependency.to_owned()));
        self.skip(job, group, ending.because(format!("{dependency} did not pass")))
    }

    fn skip(&self, job: &PreparedJob, group: Option<&Group>, ending: Ending) -> JobReport {
        self.bus.emit(EventKind::JobSkipped {
            job: job.name.clone(),
            stage: job.stage.clone(),
            group: group.cloned(),
            ending: ending.clone(),
        });
        let (name, stage) = (job.name.clone(), job.stage.clone());
        JobReport { name, stage, ending, error: None, duration: std::time::Duration::ZERO }
    }
}
