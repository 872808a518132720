//! Setting a workflow up and taking it down: once each, in that order, whatever happens between.

use std::sync::Arc;

use jobwright_backend::dummy::{Act, DESTROY_SHOULD_FAIL, SETUP_SHOULD_FAIL, Verb, give_script};
use jobwright_model::{Cause, Outcome};
use tokio::time::Instant;

use crate::support::{Event, Twist, World, ending, gist, seconds, step, task, tight, with, workflow};

// covers: woodpecker 11
#[tokio::test(start_paused = true)]
async fn a_workflow_is_set_up_once_and_before_any_of_its_steps() {
    let world = World::new();
    world.run(&workflow([vec![step("a", &[]), step("b", &[])], vec![step("c", &[])]])).await;
    let calls = world.engine.calls();
    assert_eq!(calls.all().first().map(|call| call.verb), Some(Verb::SetUp));
    assert_eq!(calls.count(Verb::SetUp), 1);
}

// covers: woodpecker 11
#[tokio::test(start_paused = true)]
async fn two_runs_of_one_workflow_at_the_same_time_share_no_files() {
    let world = World::new();
    let script = [
        Act::PrintFile("made".into()),
        Act::WriteFile { path: "made".into(), bytes: b"x".to_vec() },
        Act::Sleep(seconds(5)),
    ];
    let only_writes = &script[1..];
    let flow = |acts: &[Act]| workflow([vec![with(step("a", &[]), |step| give_script(step, acts))]]);
    let (first, looks, second) = (flow(only_writes), flow(&script), flow(only_writes));
    let (one, other, third) = tokio::join!(
        world.plan(&first).run(),
        async {
            tokio::time::sleep(seconds(1)).await;
            world.plan(&looks).run().await
        },
        world.plan(&second).run()
    );
    assert!(one.ending.succeeded() && third.ending.succeeded());
    assert_eq!(gist(&other.ending), (Outcome::Failed, "exit_code", Some(1)), "it saw the other's file");
    assert!(world.engine.leftovers().is_empty());
}

// covers: woodpecker 12
#[tokio::test(start_paused = true)]
async fn a_set_up_that_fails_fails_the_run_and_is_destroyed_once() {
    let world = World::new();
    let run = world.plan(&workflow([vec![step("a", &[])]])).task(task(SETUP_SHOULD_FAIL));
    let report = world.finish(run).await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "start_failure", None));
    assert!(report.error.as_deref().is_some_and(|error| error.contains(SETUP_SHOULD_FAIL)));
    assert_eq!(world.engine.calls().count(Verb::DestroyWorkflow), 1);
    assert!(world.seen.traces("a").is_empty());
}

// covers: woodpecker 13
#[tokio::test(start_paused = true)]
async fn a_step_that_spoils_the_set_up_is_shown_as_exited_with_code_1() {
    let world = World::new();
    let spoiled = step("bad", &[("DUMMY_SETUP_FAIL", "no such option")]);
    let report = world.run(&workflow([vec![step("good", &[])], vec![spoiled]])).await;
    assert!(
        matches!(world.seen.traces("bad").as_slice(), [Event::Ended(ending)] if ending.exit_code == Some(1))
    );
    assert!(world.seen.traces("good").is_empty(), "nothing else is traced");
    assert!(report.error.as_deref().is_some_and(|error| error.contains("no such option")));
    assert_eq!(ending(&report, "bad").exit_code, Some(1));
}

// covers: woodpecker 14
#[tokio::test(start_paused = true)]
async fn a_workflow_is_destroyed_exactly_once_on_success_failure_and_cancel() {
    for environment in [&[][..], &[("STEP_EXIT_CODE", "1")], &[("STEP_START_FAIL", "true")]] {
        let world = World::new();
        world.run(&workflow([vec![step("a", environment)], vec![step("b", &[])]])).await;
        assert_eq!(world.engine.calls().count(Verb::DestroyWorkflow), 1, "{environment:?}");
    }
    let world = World::new();
    let flow = workflow([vec![step("a", &[("SLEEP", "1h")])]]);
    let cancel = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        world.scope.cancel(Cause::ByUser);
    };
    let (report, ()) = tokio::join!(world.run(&flow), cancel);
    assert_eq!(report.ending.cause, Cause::ByUser);
    assert_eq!(world.engine.calls().count(Verb::DestroyWorkflow), 1);
}

// covers: woodpecker 15, 48
#[tokio::test(start_paused = true)]
async fn cleanup_is_not_ended_by_the_scope_that_ended_the_work() {
    let world = World::with_grace(seconds(3));
    let flow = workflow([vec![step("a", &[("SLEEP", "1h"), ("DUMMY_IGNORE_TERM", "true")])]]);
    let begun = Instant::now();
    let cancel = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        world.scope.cancel(Cause::ByShutdown);
    };
    let (report, ()) = tokio::join!(world.run(&flow), cancel);
    assert_eq!(ending(&report, "a").signal, Some(9), "it was given the whole grace, and then killed");
    assert!(begun.elapsed() >= seconds(3), "{:?}", begun.elapsed());
    assert!(report.left_behind.is_none());
}

// covers: woodpecker 15
#[tokio::test(start_paused = true)]
async fn a_cleanup_that_hangs_is_given_up_at_its_own_deadline_and_told() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[])]]);
    let begun = Instant::now();
    let run = world.plan_on(world.twisted(Twist::DestroyWorkflowHangs), &flow).limits(tight());
    let report = run.run().await;
    assert_eq!(begun.elapsed(), tight().cleanup);
    assert!(report.ending.succeeded(), "what the step came to stands");
    assert!(report.left_behind.as_deref().is_some_and(|what| what.contains("took longer than 5s")));
    assert!(world.seen.notices().iter().any(|notice| notice.contains("not everything could be removed")));
}

// covers: woodpecker 15, 54
#[tokio::test(start_paused = true)]
async fn a_step_that_cannot_be_destroyed_in_time_holds_neither_the_cancel_nor_the_workflow() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("SLEEP", "1h")])]]);
    let begun = Instant::now();
    let cancel = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        world.scope.cancel(Cause::ByUser);
    };
    let run = world.plan_on(world.twisted(Twist::DestroyStepHangs), &flow).limits(tight());
    let (report, ()) = tokio::join!(run.run(), cancel);
    assert_eq!(gist(ending(&report, "a")).1, "by_user");
    assert!(begun.elapsed() <= tight().cleanup + seconds(5), "{:?}", begun.elapsed());
    assert!(world.engine.leftovers().is_empty(), "the workflow's destruction took the step along");
}

// covers: woodpecker 16
#[tokio::test(start_paused = true)]
async fn a_task_uuid_can_be_used_again_after_success_failure_and_a_spoiled_set_up() {
    let world = World::new();
    let spoiled = workflow([vec![step("bad", &[("DUMMY_SETUP_FAIL", "x")])]]);
    let failing = workflow([vec![step("a", &[("STEP_EXIT_CODE", "1")])]]);
    for flow in [&spoiled, &failing, &failing] {
        let report = world.plan(flow).task(task("11301")).run().await;
        assert_eq!(report.left_behind, None);
        assert!(world.engine.leftovers().is_empty());
    }
    let again = workflow([vec![step("b", &[])]]);
    assert!(world.plan(&again).task(task("11301")).run().await.ending.succeeded());
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_removed_is_told_and_does_not_change_the_ending() {
    let world = World::new();
    let run = world.plan(&workflow([vec![step("a", &[])]])).task(task(DESTROY_SHOULD_FAIL));
    let report = world.finish(run).await;
    assert!(report.ending.succeeded());
    assert!(report.left_behind.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_set_up_that_hangs_ends_with_its_scope_and_is_destroyed() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[])]]);
    let run = world.plan_on(world.twisted(Twist::SetUpHangs), &flow);
    let cancel = async {
        tokio::time::sleep(seconds(60)).await;
        world.scope.cancel(Cause::ByQueue);
    };
    let (report, ()) = tokio::join!(world.finish(run), cancel);
    assert_eq!((report.ending.cause, report.error), (Cause::ByQueue, None));
}

// covers: woodpecker 19
#[tokio::test(start_paused = true)]
async fn no_stages_are_a_success_without_traces_and_an_empty_first_stage_is_none() {
    let world = World::new();
    assert!(world.run(&workflow([])).await.ending.succeeded());
    assert!(world.seen.all().is_empty());
    let report = world.run(&workflow([vec![], vec![step("a", &[])], vec![]])).await;
    assert!(report.ending.succeeded() && ending(&report, "a").succeeded());
}

// covers: woodpecker 31
#[tokio::test(start_paused = true)]
async fn what_has_no_order_is_refused_before_anything_is_done() {
    let world = World::new();
    let twice = with(step("b", &[]), |step| step.uuid = self::step("a", &[]).uuid);
    let unknown = with(step("c", &[]), |step| step.depends_on = vec!["nobody".into()]);
    for flow in [workflow([vec![step("a", &[]), twice]]), workflow([vec![unknown]])] {
        let report = world.run(&flow).await;
        assert_eq!(report.ending.cause, Cause::StartFailure);
        assert!(report.error.is_some());
    }
    assert!(world.engine.calls().all().is_empty() && world.seen.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_has_ended_already_starts_nothing() {
    let world = World::new();
    world.scope.cancel(Cause::BySibling);
    let report = world.run(&workflow([vec![step("a", &[])]])).await;
    assert_eq!(gist(&report.ending), (Outcome::Cancelled, "by_sibling", None));
    assert_eq!(world.engine.calls().count(Verb::SetUp), 0);
    assert!(world.seen.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_leaves_no_task_of_ours_running() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("SLEEP", "1h")])]]);
    let run = world.plan(&flow).run();
    tokio::select! {
        _ = run => panic!("it ended"),
        () = world.engine.calls().until(Verb::Wait, "a") => {}
    }
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(Arc::strong_count(&world.seen), 1, "a task still holds the observer");
}
