//! A job of several phases: in order, stopped by the first that does not pass, but for those that always run.

use std::sync::Arc;

use jobwright_backend::dummy::Verb;
use jobwright_journal::Journal;
use jobwright_model::{Cause, Outcome, Phase, Secret, Timeouts};
use jobwright_runtime::{Backends, JobRun, Limits, Record, open_tasks};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::support::{Event, Twist, World, gist, job, phase, seconds, step, workflow};

fn runs(name: &str, environment: &[(&str, &str)]) -> Phase {
    phase(workflow([vec![step(name, environment)]]))
}

fn always(name: &str, environment: &[(&str, &str)]) -> Phase {
    Phase { always: true, ..runs(name, environment) }
}

fn ran(world: &World) -> Vec<String> {
    world.seen.order(|event| *event == Event::Started)
}

#[tokio::test(start_paused = true)]
async fn phases_run_in_order_each_under_a_task_of_its_own() {
    let world = World::new();
    let report = world.run_job(job([runs("a", &[]), runs("b", &[]), always("c", &[])])).await;
    assert!(report.ending.succeeded());
    assert_eq!(ran(&world), ["a", "b", "c"]);
    let calls = world.engine.calls().all();
    let mut tasks: Vec<_> =
        calls.iter().filter(|call| call.verb == Verb::SetUp).map(|call| &call.task).collect();
    tasks.dedup();
    assert_eq!(tasks.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_first_phase_that_does_not_pass_stops_the_rest_and_gives_the_ending() {
    let world = World::new();
    let phases = [
        runs("a", &[]),
        runs("bad", &[("STEP_EXIT_CODE", "5")]),
        runs("c", &[]),
        always("after", &[("STEP_EXIT_CODE", "9")]),
    ];
    let report = world.run_job(job(phases)).await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "exit_code", Some(5)));
    assert_eq!(ran(&world), ["a", "bad", "after"]);
    assert_eq!(report.error, None);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_a_phase_that_always_runs_fails_the_job() {
    let world = World::new();
    let report = world.run_job(job([runs("a", &[]), always("after", &[("STEP_EXIT_CODE", "9")])])).await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "exit_code", Some(9)));
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_always_runs_does_so_after_a_cancel() {
    let world = World::new();
    let job = job([runs("a", &[("SLEEP", "1h")]), runs("b", &[]), always("after", &[("SLEEP", "9s")])]);
    let cancel = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        world.scope.cancel(Cause::ByUser);
    };
    let (report, ()) = tokio::join!(world.run_job(job), cancel);
    assert_eq!(report.ending.cause, Cause::ByUser);
    assert_eq!(ran(&world), ["a", "after"]);
    assert!(report.phases[1].ending.succeeded());
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_always_runs_has_no_more_than_the_time_of_a_cleanup_once_the_job_was_ended() {
    let world = World::new();
    let job = job([runs("a", &[("SLEEP", "1h")]), always("after", &[("SLEEP", "1h")])]);
    let begun = Instant::now();
    let cancel = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        world.scope.cancel(Cause::ByUser);
    };
    let (report, ()) = tokio::join!(world.run_job(job), cancel);
    assert_eq!(report.phases[1].ending.cause, Cause::Timeout);
    assert_eq!(begun.elapsed(), Limits::default().cleanup);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_wants_a_backend_which_is_not_there_does_not_begin() {
    let world = World::new();
    let elsewhere = Phase { backend: "moon".to_owned(), ..runs("b", &[]) };
    let report = world.run_job(job([runs("a", &[]), elsewhere, always("c", &[])])).await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "start_failure", None));
    assert!(report.error.is_some_and(|error| error.contains("\"moon\"") && error.contains("not loaded")));
    assert!(world.engine.calls().all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_with_a_phase_that_has_no_order_does_not_begin() {
    let world = World::new();
    let mut knotted = step("b", &[]);
    knotted.depends_on = vec!["b".to_owned()];
    let report = world.run_job(job([runs("a", &[]), phase(workflow([vec![knotted]]))])).await;
    assert_eq!(report.ending.cause, Cause::StartFailure);
    assert!(report.error.is_some_and(|error| error.contains("wait for each other")));
    assert!(world.engine.calls().all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_is_that_of_the_whole_job() {
    let world = World::new();
    let mut job = job([
        runs("a", &[("SLEEP", "40s")]),
        runs("b", &[("SLEEP", "40s")]),
        always("c", &[("SLEEP", "5s")]),
    ]);
    job.timeouts = Timeouts { total: Some(seconds(60)), ..Timeouts::default() };
    let begun = Instant::now();
    let report = world.run_job(job).await;
    assert_eq!(report.ending.cause, Cause::Timeout);
    assert_eq!(report.ending.evidence.as_deref(), Some("the job ran longer than 60s"));
    assert_eq!(begun.elapsed(), seconds(65), "60 for the job, 5 for what always runs");
    assert!(report.phases[2].ending.succeeded());
}

#[tokio::test(start_paused = true)]
async fn what_is_secret_in_one_phase_is_so_in_all() {
    let world = World::new();
    let mut first = runs("a", &[]);
    first.workflow.secrets = vec![Secret { name: "TOKEN".into(), value: "hunter2".into() }];
    world.run_job(job([first, runs("b", &[("DUMMY_OUTPUT", "it is hunter2\n")])])).await;
    assert_eq!(world.seen.output("b"), "it is ********\n");
}

#[tokio::test(start_paused = true)]
async fn every_task_of_a_job_is_written_down_under_its_name_and_closed() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("journal");
    let journal = Arc::new(Journal::<Record>::open(&path).unwrap().0);
    world.plan_job(job([runs("a", &[]), runs("b", &[])])).journal(journal).run().await;
    let records = Journal::<Record>::read(&path).unwrap().records;
    let opened =
        records.iter().filter(|record| matches!(record, Record::TaskOpened { job, .. } if job == "job"));
    assert_eq!(opened.count(), 2);
    assert!(open_tasks(&records).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_without_phases_passes() {
    let world = World::new();
    let run = JobRun::new(job([]), Backends::new(), Arc::clone(&world.seen) as _);
    assert!(run.run().await.ending.succeeded());
}

#[tokio::test(start_paused = true)]
async fn the_slot_of_a_job_is_free_when_the_last_step_of_its_last_phase_has_ended() {
    let world = World::new();
    let slots = Arc::new(Semaphore::new(1));
    let slot = Arc::clone(&slots).acquire_owned().await.unwrap();
    let backend = world.twisted(Twist::DestroyWorkflowHangs);
    let run = JobRun::new(
        job([runs("a", &[("SLEEP", "5s")]), always("after", &[("SLEEP", "3s")])]),
        Backends::from([("dummy".to_owned(), backend as _)]),
        Arc::clone(&world.seen) as _,
    );
    let limits = Limits { cleanup: seconds(60), ..Limits::default() };
    let begun = Instant::now();
    let free = async {
        drop(slots.acquire().await);
        begun.elapsed()
    };
    let (report, free) = tokio::join!(run.slot(slot).limits(limits).run(), free);
    assert!(report.phases.iter().all(|phase| phase.left_behind.is_some()));
    assert_eq!(free, seconds(5 + 60 + 3), "after the first phase's cleanup, before the last one's");
    assert_eq!(begun.elapsed(), seconds(5 + 60 + 3 + 60));
}

// covers: local-ci 66 (what the timeout covers), 68
#[tokio::test(start_paused = true)]
async fn a_phase_with_a_time_of_its_own_ends_by_that_whatever_the_jobs_is() {
    for total in [None, Some(30), Some(3)] {
        let world = World::new();
        let mut job = job([runs("a", &[("SLEEP", "1h")]), runs("b", &[]), always("after", &[])]);
        job.timeouts = Timeouts { total: total.map(seconds), ..Timeouts::default() };
        let begun = Instant::now();
        let report = world.plan_job(job).phase_limit(0, seconds(5)).run().await;
        assert_eq!(begun.elapsed(), seconds(5));
        assert_eq!(gist(&report.ending), (Outcome::Failed, "timeout", None));
        assert_eq!(report.ending.evidence.as_deref(), Some("the job ran longer than 5s"));
        assert_eq!(ran(&world), ["a", "after"]);
    }
}

// covers: local-ci 66 (what the timeout covers)
#[tokio::test(start_paused = true)]
async fn the_jobs_time_begins_behind_the_phases_that_have_a_time_of_their_own() {
    let world = World::new();
    let mut job =
        job([runs("before", &[("SLEEP", "4s")]), runs("a", &[("SLEEP", "1h")]), always("after", &[])]);
    job.timeouts = Timeouts { total: Some(seconds(3)), ..Timeouts::default() };
    let begun = Instant::now();
    let report = world.plan_job(job).phase_limit(0, seconds(5)).run().await;
    assert_eq!(begun.elapsed(), seconds(4 + 3));
    assert_eq!(report.ending.evidence.as_deref(), Some("the job ran longer than 3s"));
    assert_eq!(ran(&world), ["before", "a", "after"]);
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_always_runs_has_a_time_of_its_own_too() {
    let world = World::new();
    let job = job([runs("a", &[]), always("after", &[("SLEEP", "1h")])]);
    let begun = Instant::now();
    let report = world.plan_job(job).phase_limit(1, seconds(5)).run().await;
    assert_eq!(begun.elapsed(), seconds(5));
    assert_eq!(gist(&report.ending), (Outcome::Failed, "timeout", None));
}
