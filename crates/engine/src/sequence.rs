//! The three modes without `needs` (local-ci.md 2.4): one after the other, all at once, one stage after the other.

use jobwright_events::{ExecKind, Group, Name};

use crate::crew::Crew;
use crate::prepare::PreparedJob;
use crate::report::JobReport;

/// One job after the other; the first that does not pass stops the rest.
pub(crate) async fn sequential(crew: &Crew, jobs: &[PreparedJob]) -> Vec<JobReport> {
    let mut reports = Vec::with_capacity(jobs.len());
    let mut broken_by: Option<Name> = None;
    for job in jobs {
        let report = match &broken_by {
            None => crew.run(job, ExecKind::Standalone, None).await,
            Some(failed) => crew.skip_after(job, None, failed),
        };
        if broken_by.is_none() && !report.ending.succeeded() {
            broken_by = Some(job.name.clone());
        }
        reports.push(report);
    }
    reports
}

/// All jobs as one barrier.
pub(crate) async fn parallel(crew: &Crew, jobs: &[PreparedJob]) -> Vec<JobReport> {
    crew.run_group(&jobs.iter().collect::<Vec<_>>(), &Group::Parallel).await
}

/// A barrier for each stage that has jobs, in the order of `stages`; each runs to its end, and one that fails stops the rest.
pub(crate) async fn parallel_stages(crew: &Crew, stages: &[String], jobs: &[PreparedJob]) -> Vec<JobReport> {
    let mut reports = Vec::with_capacity(jobs.len());
    let mut broken_by: Option<Name> = None;
    for stage in stages {
        let members: Vec<_> = jobs.iter().filter(|job| *job.stage == **stage).collect();
        if members.is_empty() {
            continue;
        }
        let of_stage = match &broken_by {
            None => crew.run_group(&members, &Group::Stage(stage.as_str().into())).await,
            Some(failed) => members.iter().map(|job| crew.skip_after(job, None, failed)).collect(),
        };
        if broken_by.is_none() {
            broken_by =
                of_stage.iter().find(|report| !report.ending.succeeded()).map(|report| report.name.clone());
        }
        reports.extend(of_stage);
    }
    reports
}
