//! The end of a scope: what runs is ended, what waits never starts, and nobody takes it for a failure.

use jobwright_backend::dummy::Verb;
use jobwright_model::{Cause, FailurePolicy, Outcome, Workflow};
use jobwright_runtime::WorkflowReport;
use tokio::time::Instant;

use crate::support::{Event, Twist, World, ending, gist, seconds, step, with, workflow};

/// Runs `flow` and cancels it once the backend was asked to `verb` the step `a`.
async fn cancelled_at(world: &World, flow: &Workflow, verb: Verb) -> WorkflowReport {
    let cancel = async {
        world.engine.calls().until(verb, "a").await;
        world.scope.cancel(Cause::ByUser);
    };
    tokio::join!(world.run(flow), cancel).0
}

// covers: woodpecker 45
#[tokio::test(start_paused = true)]
async fn what_comes_after_a_cancel_never_starts_and_is_not_traced() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("SLEEP", "1h")])], vec![step("b", &[])]]);
    let report = cancelled_at(&world, &flow, Verb::Wait).await;
    assert_eq!(gist(&report.ending), (Outcome::Cancelled, "by_user", None));
    assert!(world.seen.traces("b").is_empty() && world.engine.calls().of_step("b").is_empty());
    assert_eq!(gist(ending(&report, "b")).1, "by_user");
}

// covers: woodpecker 45, 49
#[tokio::test(start_paused = true)]
async fn a_cancel_during_a_long_step_ends_it_within_its_grace() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("SLEEP", "1h")])]]);
    let begun = Instant::now();
    cancelled_at(&world, &flow, Verb::Wait).await;
    assert!(begun.elapsed() <= seconds(1), "{:?}", begun.elapsed());
}

// covers: woodpecker 46, 50
#[tokio::test(start_paused = true)]
async fn a_start_that_a_cancel_broke_off_is_a_cancel_without_an_error() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[])]]);
    let run = world.plan_on(world.twisted(Twist::PrepareHangs), &flow);
    let cancel = async {
        world.seen.until("a", |event| *event == Event::Started).await;
        world.scope.cancel(Cause::ByUser);
    };
    let (report, ()) = tokio::join!(world.finish(run), cancel);
    assert_eq!(gist(ending(&report, "a")), (Outcome::Cancelled, "by_user", None));
    assert_eq!((report.error, ending_evidence(&world)), (None, None));
}

fn ending_evidence(world: &World) -> Option<String> {
    match world.seen.traces("a").last() {
        Some(Event::Ended(ending)) => ending.evidence.clone(),
        other => panic!("{other:?}"),
    }
}

// covers: woodpecker 46
#[tokio::test(start_paused = true)]
async fn an_engine_that_goes_away_with_a_cancel_does_not_turn_it_into_another_ending() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("SLEEP", "1h"), ("DUMMY_ENGINE_GONE", "1s")])]]);
    let cancel = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        tokio::time::sleep(seconds(2)).await;
        world.scope.cancel(Cause::ByUser);
    };
    let (report, ()) = tokio::join!(world.run(&flow), cancel);
    assert_eq!(gist(&report.ending), (Outcome::Cancelled, "by_user", None));
    assert_eq!(report.error, None);
}

// covers: woodpecker 47
#[tokio::test(start_paused = true)]
async fn a_step_that_a_cancel_killed_has_not_failed_whatever_it_exited_with() {
    for environment in [&[("SLEEP", "1h")][..], &[("SLEEP", "1h"), ("DUMMY_IGNORE_TERM", "1")]] {
        let world = World::new();
        let flow = workflow([vec![step("a", environment)]]);
        let report = cancelled_at(&world, &flow, Verb::Wait).await;
        assert_eq!(gist(ending(&report, "a")).0, Outcome::Cancelled);
        assert!(ending(&report, "a").signal.is_some(), "its signal is the evidence");
        assert_eq!(report.error, None);
    }
}

// covers: woodpecker 47
#[tokio::test(start_paused = true)]
async fn an_exit_that_tells_of_a_signal_while_the_scope_ends_is_no_failure_and_another_one_is() {
    for (code, outcome) in [("130", Outcome::Cancelled), ("137", Outcome::Cancelled), ("2", Outcome::Failed)]
    {
        let world = World::new();
        let held = [("STEP_EXIT_CODE", code), ("DUMMY_LOG_OPEN", "true")];
        let flow = workflow([vec![step("a", &held)]]);
        let cancel = async {
            world.engine.calls().until(Verb::Wait, "a").await;
            tokio::time::sleep(seconds(1) / 2).await;
            world.scope.cancel(Cause::ByUser);
        };
        let (report, ()) = tokio::join!(world.run(&flow), cancel);
        assert_eq!(gist(ending(&report, "a")).0, outcome, "exit code {code}");
    }
}

// covers: woodpecker 49
#[tokio::test(start_paused = true)]
async fn a_cancel_does_not_wait_for_a_log_that_outlives_its_step() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("SLEEP", "1h"), ("DUMMY_LINES", "2")])]]);
    let begun = Instant::now();
    let run = world.plan_on(world.twisted(Twist::LogOutlivesItsStep), &flow);
    let cancel = async {
        world.seen.until_printed("a", "line 2\n").await;
        world.scope.cancel(Cause::ByUser);
    };
    tokio::join!(world.finish(run), cancel);
    assert!(begun.elapsed() <= seconds(3), "{:?}", begun.elapsed());
    assert!(world.seen.output("a").ends_with("line 2\n"));
}

// covers: woodpecker 49
#[tokio::test(start_paused = true)]
async fn a_cancel_does_not_wait_for_what_still_writes_after_its_step_has_exited() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("DUMMY_LOG_ENDLESS", "300ms"), ("STEP_EXIT_CODE", "3")])]]);
    let begun = Instant::now();
    let cancel = async {
        tokio::time::sleep(seconds(5)).await;
        world.scope.cancel(Cause::ByUser);
    };
    let (report, ()) = tokio::join!(world.run(&flow), cancel);
    assert!(begun.elapsed() <= seconds(7), "{:?}", begun.elapsed());
    assert_eq!(gist(ending(&report, "a")), (Outcome::Failed, "exit_code", Some(3)), "it had exited before");
}

// covers: woodpecker 50
#[tokio::test(start_paused = true)]
async fn a_cancelled_run_has_no_error() {
    let world = World::new();
    let ignored = with(step("a", &[("SLEEP", "1h")]), |step| step.failure = Some(FailurePolicy::Ignore));
    let flow = workflow([vec![ignored, step("b", &[("SLEEP", "1h")])]]);
    let report = cancelled_at(&world, &flow, Verb::Wait).await;
    assert_eq!((report.ending.outcome, report.error), (Outcome::Cancelled, None));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_after_the_last_step_has_ended_changes_nothing() {
    let world = World::with_grace(seconds(10));
    let stubborn =
        with(step("db", &[("SLEEP", "1h"), ("DUMMY_IGNORE_TERM", "true")]), |step| step.detached = true);
    let flow = workflow([vec![stubborn], vec![step("a", &[])]]);
    let cancel = async {
        world.seen.until("a", |event| matches!(event, Event::Ended(_))).await;
        tokio::time::sleep(seconds(2)).await;
        world.scope.cancel(Cause::ByUser);
    };
    let (report, ()) = tokio::join!(world.run(&flow), cancel);
    assert!(report.ending.succeeded(), "{:?}", report.ending);
}

#[tokio::test(start_paused = true)]
async fn the_first_reason_for_a_cancel_is_the_one_that_is_told() {
    let world = World::with_grace(seconds(5));
    let flow = workflow([vec![step("a", &[("SLEEP", "1h"), ("DUMMY_IGNORE_TERM", "true")])]]);
    let cancel = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        world.scope.cancel(Cause::BySibling);
        tokio::time::sleep(seconds(1)).await;
        world.scope.cancel(Cause::ByUser);
    };
    let (report, ()) = tokio::join!(world.run(&flow), cancel);
    assert_eq!(report.ending.cause, Cause::BySibling);
}
