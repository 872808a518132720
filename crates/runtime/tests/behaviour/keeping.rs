//! Taking files out of a job's workspace: when somebody is asked to, what he is told, and what becomes of a job when he fails.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::StreamExt;
use globset::Glob;
use jobwright_backend::Backend;
use jobwright_backend::dummy::{Act, Verb, give_script};
use jobwright_model::{Cause, Ending, Outcome, Phase, Step, TaskUuid};
use jobwright_runtime::WorkspaceKeeper;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::support::{World, gist, job, phase, seconds, step, tight, with, workflow};

/// What to do when asked.
#[derive(Default)]
enum Way {
    #[default]
    Well,
    Fail(Ending),
    Hang,
}

#[derive(Default)]
struct Keeper {
    way: Way,
    asked: Notify,
    /// How the job stood, and the bytes of the workspace.
    seen: Mutex<Vec<(Cause, usize)>>,
}

#[async_trait]
impl WorkspaceKeeper for Keeper {
    async fn keep(&self, backend: &dyn Backend, task: &TaskUuid, so_far: &Ending) -> Result<(), Ending> {
        let mut archive = backend.get(task, &[Glob::new("**").unwrap()]).await.expect("it is there still");
        let mut bytes = 0;
        while let Some(piece) = archive.next().await {
            bytes += piece.unwrap().len();
        }
        self.seen.lock().unwrap().push((so_far.cause.clone(), bytes));
        self.asked.notify_one();
        match &self.way {
            Way::Well => Ok(()),
            Way::Fail(ending) => Err(ending.clone()),
            Way::Hang => std::future::pending().await,
        }
    }
}

impl Keeper {
    fn new(way: Way) -> Arc<Self> {
        Arc::new(Self { way, ..Self::default() })
    }

    fn seen(&self) -> Vec<Cause> {
        let seen = self.seen.lock().unwrap();
        assert!(seen.iter().all(|(_, bytes)| *bytes > 0), "the workspace is empty");
        seen.iter().map(|(cause, _)| cause.clone()).collect()
    }
}

fn writes(name: &str, environment: &[(&str, &str)]) -> Step {
    let act = Act::WriteFile { path: name.into(), bytes: b"x".to_vec() };
    with(step(name, environment), |step| give_script(step, &[act]))
}

fn fails(name: &str) -> Step {
    let acts = [Act::WriteFile { path: name.into(), bytes: b"x".to_vec() }, Act::Exit(3)];
    with(step(name, &[]), |step| give_script(step, &acts))
}

fn runs(step: Step) -> Phase {
    phase(workflow([vec![step]]))
}

fn always(step: Step) -> Phase {
    Phase { always: true, ..runs(step) }
}

#[tokio::test(start_paused = true)]
async fn files_are_taken_once_after_the_phase_that_was_named() {
    let (world, keeper) = (World::new(), Keeper::new(Way::Well));
    let job = job([runs(writes("a", &[])), runs(writes("b", &[])), runs(writes("c", &[]))]);
    let report = world.plan_job(job).keeper(1, Arc::clone(&keeper) as _).run().await;
    assert!(report.ending.succeeded(), "{report:?}");
    assert_eq!(keeper.seen(), [Cause::Success]);
    assert_eq!(world.engine.leftovers(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn how_the_job_stands_is_told_also_after_a_later_phase() {
    let (world, keeper) = (World::new(), Keeper::new(Way::Well));
    let flow = job([runs(fails("a")), always(writes("b", &[]))]);
    let report = world.plan_job(flow).keeper(1, Arc::clone(&keeper) as _).run().await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "exit_code", Some(3)));
    assert_eq!(keeper.seen(), [Cause::ExitCode]);
    let keeper = Keeper::new(Way::Well);
    world.plan_job(job([runs(fails("a"))])).keeper(0, Arc::clone(&keeper) as _).run().await;
    assert_eq!(keeper.seen(), [Cause::ExitCode]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_stands_well_fails_by_what_cannot_be_kept_and_one_that_failed_stays_as_it_is() {
    let missing = || Keeper::new(Way::Fail(Ending::new(Cause::ArtifactMissing).because("nothing matches")));
    let world = World::new();
    let flow = job([runs(writes("a", &[])), runs(writes("b", &[])), always(writes("c", &[]))]);
    let report = world.plan_job(flow).keeper(0, missing() as _).run().await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "artifact_missing", None));
    assert_eq!(report.ending.evidence.as_deref(), Some("nothing matches"));
    assert!(world.seen.traces("b").is_empty() && !world.seen.traces("c").is_empty());
    let report = world.plan_job(job([runs(fails("d"))])).keeper(0, missing() as _).run().await;
    assert_eq!(gist(&report.ending).1, "exit_code");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_the_keeping_at_once() {
    let (world, keeper) = (World::new(), Keeper::new(Way::Hang));
    let run = world.plan_job(job([runs(writes("a", &[]))])).keeper(0, Arc::clone(&keeper) as _);
    let cancel = async {
        keeper.asked.notified().await;
        world.scope.cancel(Cause::ByUser);
        Instant::now()
    };
    let (report, cancelled) = tokio::join!(run.run(), cancel);
    assert_eq!(gist(&report.ending).1, "by_user");
    assert!(cancelled.elapsed() < seconds(1));
    assert_eq!(world.engine.leftovers(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn files_of_a_cancelled_job_are_taken_within_the_time_of_a_cleanup() {
    let (world, keeper) = (World::new(), Keeper::new(Way::Hang));
    let flow = job([runs(with(step("a", &[("SLEEP", "1h")]), |_| {}))]);
    let writing = Phase { ..runs(writes("w", &[])) };
    let flow = jobwright_model::Job { phases: vec![writing, flow.phases[0].clone()], ..flow };
    let run = world.plan_job(flow).limits(tight()).keeper(1, Arc::clone(&keeper) as _);
    let cancel = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        world.scope.cancel(Cause::ByUser);
        Instant::now()
    };
    let (report, cancelled) = tokio::join!(run.run(), cancel);
    assert_eq!(gist(&report.ending).1, "by_user");
    assert_eq!(keeper.seen(), [Cause::ByUser]);
    assert!(cancelled.elapsed() <= seconds(10), "{:?}", cancelled.elapsed());
    assert_eq!(world.engine.leftovers(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_about_a_workspace_that_no_step_got_files_in() {
    let (world, keeper) = (World::new(), Keeper::new(Way::Well));
    world.scope.cancel(Cause::ByUser);
    world.plan_job(job([runs(writes("a", &[]))])).keeper(0, Arc::clone(&keeper) as _).run().await;
    assert_eq!(keeper.seen(), []);
}
