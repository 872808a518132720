//! Runs single jobs with their attempts and events, and many at once as places allow. Which and when is decided by `sequence` and
//! `dag`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jobwright_events::{Bus, EventKind, ExecKind, Group, Name};
use jobwright_model::{Cause, Ending};
use jobwright_runtime::{Scope, Slot};
use tokio::task::unconstrained;
use tokio::time::Instant;

use crate::executor::{Begun, JobExecutor, JobOutcome, JobOutput};
use crate::job::PreparedJob;
use crate::places::{Held, Places};
use crate::report::JobReport;
use crate::shared_groups::SharedGroupsError;

/// What a schedule needs to have jobs run.
pub(crate) struct Crew {
    pub(crate) bus: Arc<Bus>,
    pub(crate) executor: Arc<dyn JobExecutor>,
    pub(crate) scope: Scope,
    pub(crate) places: Places,
    /// The places of the jobs that an owner of the run that died began: they run, whoever else waits.
    claimed: Mutex<HashMap<Name, (Held, Slot)>>,
}

impl Crew {
    /// A crew for `jobs`.
    pub(crate) fn new(
        bus: Arc<Bus>,
        executor: Arc<dyn JobExecutor>,
        scope: Scope,
        places: Places,
        jobs: &[PreparedJob],
    ) -> Self {
        let begun = |job: &&PreparedJob| executor.begun(&job.name) != Begun::No;
        let claim = |job: &PreparedJob| {
            let runs = executor.begun(&job.name) == Begun::Runs;
            (job.name.clone(), if runs { places.claim(job) } else { places.spare() })
        };
        let claimed = Mutex::new(jobs.iter().filter(begun).map(claim).collect());
        Self { bus, executor, scope, places, claimed }
    }

    fn claimed(&self, job: &PreparedJob) -> Option<(Held, Slot)> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner).remove(&job.name)
    }

    /// Runs one job to its end, once there is a place for it. One that the end of the run's scope overtakes, or whose condition does
    /// not hold, is reported and not begun.
    pub(crate) async fn run(&self, job: &PreparedJob, exec: ExecKind, group: Option<&Group>) -> JobReport {
        if let Some(unmet) = &job.unmet {
            return self.skip(job, group, self.scope.cause().map_or_else(|| unmet.clone(), Ending::new));
        }
        // Also when the run was cancelled: what runs has to be taken over to be ended.
        if let Some(claimed) = self.claimed(job) {
            return self.run_entered(job, exec, group, Ok(claimed)).await;
        }
        let entered = tokio::select! {
            biased;
            cause = self.scope.cancelled() => Err(cause),
            entered = unconstrained(self.enter(job, exec)) => Ok(entered),
        };
        match entered {
            Ok(entered) => self.run_entered(job, exec, group, entered).await,
            Err(cause) => self.skip(job, group, Ending::new(cause)),
        }
    }

    async fn enter(&self, job: &PreparedJob, exec: ExecKind) -> Result<(Held, Slot), SharedGroupsError> {
        let detached = exec == ExecKind::Detached;
        let waits = |group: &str| {
            let data = format!("Job {} waits for another run's job of the group {group}\n", job.name);
            self.bus.emit(EventKind::Diagnostic { data });
        };
        let held = self.places.take(job, detached, waits).await?;
        Ok((held, self.places.slot(detached).await))
    }

    async fn run_entered(
        &self,
        job: &PreparedJob,
        exec: ExecKind,
        group: Option<&Group>,
        entered: Result<(Held, Slot), SharedGroupsError>,
    ) -> JobReport {
        let group = group.cloned();
        let (name, stage) = (job.name.clone(), job.stage.clone());
        self.bus.emit(EventKind::JobStarted { job: name, stage, exec, group: group.clone(), attempt: 1 });
        let now = Instant::now();
        let begun = now.checked_sub(self.executor.ran_before(&job.name)).unwrap_or(now);
        let (outcome, attempts) = match entered {
            Ok((_held, slot)) => self.attempts(job, exec, slot).await,
            Err(error) => (JobOutcome::not_passed(Ending::new(Cause::Workspace), error.to_string()), 1),
        };
        // One that ended under an owner that died took as long as it did, whenever that is told.
        let before = outcome.ending.duration().filter(|_| self.executor.begun(&job.name) == Begun::Ended);
        let duration = before.unwrap_or_else(|| begun.elapsed());
        let error = outcome.told(&job.name);
        let passed_over = job.allow_failure.covers(&outcome.ending);
        let report = JobReport {
            name: job.name.clone(),
            stage: job.stage.clone(),
            ending: outcome.ending,
            error,
            duration,
            attempts,
            passed_over,
        };
        self.bus.emit(EventKind::JobFinished {
            job: report.name.clone(),
            stage: report.stage.clone(),
            exec,
            group,
            attempt: attempts,
            duration,
            error: report.error.clone(),
            ending: report.ending.clone(),
            allowed: passed_over,
        });
        report
    }

    /// Tries a job until it passes, its retry rule ends, or the run does.
    async fn attempts(&self, job: &PreparedJob, exec: ExecKind, slot: Slot) -> (JobOutcome, u32) {
        let (mut slot, mut attempt) = (slot, 1);
        loop {
            let output = JobOutput { bus: Arc::clone(&self.bus), job: Some(job.name.clone()), exec, attempt };
            let outcome = self.executor.execute(job, &output, &self.scope, slot).await;
            if self.scope.cause().is_some() || !job.retry.applies(&outcome.ending, attempt) {
                return (outcome, attempt);
            }
            self.tell_of_retry(job, &outcome, attempt);
            slot = tokio::select! {
                biased;
                _ = self.scope.cancelled() => return (outcome, attempt),
                slot = self.places.slot(exec == ExecKind::Detached) => slot,
            };
            attempt += 1;
        }
    }

    /// The notice is local-ci's; what failed is told beside it, as only the last attempt's error is in an event of its own.
    fn tell_of_retry(&self, job: &PreparedJob, outcome: &JobOutcome, attempt: u32) {
        if let Some(error) = outcome.told(&job.name) {
            self.bus.emit(EventKind::Diagnostic { data: format!("{error} (attempt {attempt})\n") });
        }
        let (next, all) = (attempt + 1, job.retry.max + 1);
        let notice = format!("Job {} failed, retrying (attempt {next}/{all})...\n", job.name);
        self.bus.emit(EventKind::notice(notice));
    }

    /// Runs all of `jobs` as one barrier, begun in their order, each to its end whatever becomes of the others.
    pub(crate) async fn run_group(&self, jobs: &[&PreparedJob], group: &Group) -> Vec<JobReport> {
        self.open_group(jobs, group);
        let reports = self.run_all(jobs, ExecKind::Concurrent, Some(group)).await;
        self.close_group(group);
        reports
    }

    /// Runs all of `jobs` at once, begun in their order. Their reports are in that order.
    pub(crate) async fn run_all(
        &self,
        jobs: &[&PreparedJob],
        exec: ExecKind,
        group: Option<&Group>,
    ) -> Vec<JobReport> {
        let numbered = jobs.iter().enumerate();
        let running: FuturesUnordered<_> =
            numbered.map(async |(index, job)| (index, self.run(job, exec, group).await)).collect();
        let mut reports: Vec<_> = running.collect().await;
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
        JobReport {
            name: job.name.clone(),
            stage: job.stage.clone(),
            ending,
            error: None,
            duration: Duration::ZERO,
            attempts: 0,
            passed_over: false,
        }
    }
}
