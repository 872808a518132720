//! Environments of failed steps that are kept on purpose.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jobwright_backend::ExecRequest;
use jobwright_backend::dummy::Verb;
use jobwright_journal::Journal;
use jobwright_model::{Cause, Ending, FailurePolicy, Outcome, StepExit, Timeouts};
use jobwright_redact::Masker;
use jobwright_runtime::{KeepWhen, KeptStep, Limits, Record, Revisit, Visited, Visitor, open_tasks};

use crate::support::{World, ending, gist, job, phase, seconds, step, with, workflow};

fn journal(dir: &Path) -> Arc<Journal<Record>> {
    Arc::new(Journal::open(&dir.join("journal")).unwrap().0)
}

fn always() -> KeepWhen {
    Arc::new(|_| true)
}

/// Looks around and leaves.
struct Looks;

#[async_trait]
impl Visitor for Looks {
    async fn visit(&self, Visited { control, step, task }: Visited<'_>) -> Result<StepExit, Ending> {
        let argv = vec!["printenv".to_owned(), "OWN".to_owned()];
        let request = ExecRequest { argv, ..ExecRequest::default() };
        let failed = |error: jobwright_backend::Error| Ending::new(error.cause()).because(error.to_string());
        control.exec(step, task, request).await.map_err(failed)?.wait().await.map_err(failed)
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_step_leaves_stays_with_its_services_and_can_be_visited() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let service = with(step("db", &[("SLEEP", "1000h")]), |step| step.detached = true);
    let failing = step("test", &[("STEP_EXIT_CODE", "3"), ("OWN", "x")]);
    let flow = workflow([vec![service], vec![failing], vec![step("later", &[])]]);
    let run = world.plan(&flow).job("build").journal(journal(dir.path())).keep_when(always());
    let report = run.run().await;
    assert!(report.kept);
    assert_eq!(gist(&report.ending), (Outcome::Failed, "exit_code", Some(3)));
    assert_eq!(gist(ending(&report, "db")).1, "workflow_ended");
    world.check(&report);
    assert!(!world.engine.leftovers().is_empty());
    for name in ["db", "test"] {
        assert!(!world.engine.calls().of_step(name).contains(&Verb::DestroyStep), "{name} is gone");
    }

    let records = Journal::<Record>::read(&dir.path().join("journal")).unwrap().records;
    let (task, place) = open_tasks(&records).pop_first().unwrap();
    assert_eq!(place.kept.unwrap().job, "build");
    let (step, lost) = KeptStep::read(dir.path(), &task).unwrap();
    assert_eq!(lost, [""; 0]);
    let revisit = Revisit {
        backend: world.backend(),
        task: task.clone(),
        step: with(step, |step| drop(step.environment.insert("SLEEP".into(), "1000h".into()))),
        observer: Arc::clone(&world.seen) as _,
        masker: Masker::builder().build().masker,
        limits: Limits::default(),
        journal: journal(dir.path()),
    };
    let (ended, error) = revisit.run(Arc::new(Looks), &world.scope).await;
    assert_eq!((ended.cause, error), (Cause::Success, None));
    world.backend().destroy_workflow(&flow, &task).await.unwrap();
    assert_eq!(world.engine.leftovers(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_takes_too_long_is_ended_and_kept() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let flow = workflow([vec![step("slow", &[("SLEEP", "1000h")])]]);
    let timeouts = Timeouts { step: Some(seconds(5)), ..Timeouts::default() };
    let run = world.plan(&flow).timeouts(timeouts).journal(journal(dir.path())).keep_when(always());
    let report = run.run().await;
    assert!(report.kept);
    assert_eq!((&report.ending.cause, report.ending.signal), (&Cause::Timeout, Some(15)));
}

#[tokio::test(start_paused = true)]
async fn what_did_not_fail_or_is_not_to_be_kept_is_removed_as_ever() {
    for (policy, code, keep_when, cancelled) in [
        (FailurePolicy::Fail, "0", always(), false),
        (FailurePolicy::Ignore, "3", always(), false),
        (FailurePolicy::Fail, "3", Arc::new(|_: &Ending| false) as KeepWhen, false),
        (FailurePolicy::Fail, "3", always(), true),
    ] {
        let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
        let one = with(step("one", &[("STEP_EXIT_CODE", code), ("SLEEP", "1s")]), |step| {
            step.failure = Some(policy)
        });
        if cancelled {
            world.scope.cancel(Cause::ByUser);
        }
        let flow = workflow([vec![one]]);
        let run = world.plan(&flow).journal(journal(dir.path())).keep_when(keep_when);
        assert!(!world.finish(run).await.kept);
        let records = Journal::<Record>::read(&dir.path().join("journal")).unwrap().records;
        assert!(open_tasks(&records).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_down_is_not_kept() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("kept"), "in the way").unwrap();
    let flow = workflow([vec![step("one", &[("STEP_EXIT_CODE", "3")])]]);
    let report = world.finish(world.plan(&flow).journal(journal(dir.path())).keep_when(always())).await;
    assert!(!report.kept);
}

#[tokio::test(start_paused = true)]
async fn of_a_job_the_phase_that_failed_it_is_kept_and_the_others_are_not() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let fails = |name| phase(workflow([vec![step(name, &[("STEP_EXIT_CODE", "3")])]]));
    let mut after = fails("after");
    after.always = true;
    let job = job([phase(workflow([vec![step("before", &[])]])), fails("script"), after]);
    let report = world.plan_job(job).journal(journal(dir.path())).keep_when(always()).run().await;
    let kept: Vec<bool> = report.phases.iter().map(|phase| phase.kept).collect();
    assert_eq!(kept, [false, true, false]);
    let records = Journal::<Record>::read(&dir.path().join("journal")).unwrap().records;
    assert_eq!(open_tasks(&records).len(), 1);
}
