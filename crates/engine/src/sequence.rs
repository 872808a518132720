//! The three modes without `needs` (local-ci.md 2.4): one after the other, all at once, one stage after the other.

use std::collections::HashMap;

use jobwright_events::{EventKind, ExecKind, Group, Name};

use crate::crew::Crew;
use crate::job::PreparedJob;
use crate::report::JobReport;

/// One job after the other, beside them from the start those that are detached. What does not pass in the chain stops the rest of it,
/// and no detached job; what does not pass beside it stops nothing. Both are waited for.
pub(crate) async fn sequential(crew: &Crew, jobs: &[PreparedJob]) -> Vec<JobReport> {
    let (beside, in_chain): (Vec<_>, Vec<_>) = jobs.iter().partition(|job| job.detached);
    if beside.is_empty() {
        return chain(crew, &in_chain).await;
    }
    let chain = async {
        let reports = chain(crew, &in_chain).await;
        crew.bus.emit(EventKind::notice("Waiting for detached jobs to finish...\n"));
        reports
    };
    let detached = crew.run_all(&beside, ExecKind::Detached, None);
    let (of_detached, of_chain) = futures_util::future::join(detached, chain).await;
    let (mut of_detached, mut of_chain) = (of_detached.into_iter(), of_chain.into_iter());
    let mut next = |job: &PreparedJob| if job.detached { of_detached.next() } else { of_chain.next() };
    jobs.iter().filter_map(&mut next).collect()
}

/// The variants of a matrix that follow each other form one barrier; every other job is alone.
async fn chain(crew: &Crew, jobs: &[&PreparedJob]) -> Vec<JobReport> {
    let mut reports = Vec::with_capacity(jobs.len());
    let mut broken_by: Option<Name> = None;
    for link in jobs.chunk_by(|one, next| one.matrix.is_some() && one.matrix_name() == next.matrix_name()) {
        let of_link = match (&broken_by, link[0].matrix_name()) {
            (Some(failed), _) => link.iter().map(|job| crew.skip_after(job, None, failed)).collect(),
            (None, Some(matrix)) => crew.run_group(link, &Group::Matrix(matrix.clone())).await,
            (None, None) => crew.run_all(link, ExecKind::Standalone, None).await,
        };
        broken_by = broken_by.or_else(|| first_broken(&of_link));
        reports.extend(of_link);
    }
    reports
}

/// All jobs as one barrier.
pub(crate) async fn parallel(crew: &Crew, jobs: &[PreparedJob]) -> Vec<JobReport> {
    crew.run_group(&jobs.iter().collect::<Vec<_>>(), &Group::Parallel).await
}

/// A barrier for each stage that has jobs, in the order of `stages`; each runs to its end, and one that fails stops the rest.
pub(crate) async fn parallel_stages(crew: &Crew, stages: &[String], jobs: &[PreparedJob]) -> Vec<JobReport> {
    let mut of_stage: HashMap<&str, Vec<&PreparedJob>> = HashMap::new();
    for job in jobs {
        of_stage.entry(&job.stage).or_default().push(job);
    }
    let mut reports = Vec::with_capacity(jobs.len());
    let mut broken_by: Option<Name> = None;
    for stage in stages {
        let Some(members) = of_stage.remove(stage.as_str()) else { continue };
        let of_members = match &broken_by {
            None => crew.run_group(&members, &Group::Stage(stage.as_str().into())).await,
            Some(failed) => members.iter().map(|job| crew.skip_after(job, None, failed)).collect(),
        };
        broken_by = broken_by.or_else(|| first_broken(&of_members));
        reports.extend(of_members);
    }
    reports
}

/// The first that stops what comes after it.
fn first_broken(reports: &[JobReport]) -> Option<Name> {
    reports.iter().find(|report| !report.holds_nobody_up()).map(|report| report.name.clone())
}
