//! Services and detached steps: they hold nothing up, fail nothing, and end with their workflow.

use jobwright_backend::dummy::Verb;
use jobwright_model::{Cause, Outcome, Step, StepType};
use tokio::time::Instant;

use crate::support::{Event, World, ending, gist, seconds, step, with, workflow};

fn service(name: &str, environment: &[(&str, &str)]) -> Step {
    with(step(name, environment), |step| step.kind = StepType::Service)
}

fn detached(name: &str, environment: &[(&str, &str)]) -> Step {
    with(step(name, environment), |step| step.detached = true)
}

// covers: woodpecker 17
#[tokio::test(start_paused = true)]
async fn what_never_ends_in_the_background_is_ended_with_the_last_stage() {
    let world = World::new();
    let begun = Instant::now();
    let flow = workflow([
        vec![service("db", &[]), detached("watch", &[("SLEEP", "3m")])],
        vec![step("test", &[("SLEEP", "2s")])],
    ]);
    let report = world.run(&flow).await;
    assert!(report.ending.succeeded());
    assert!(begun.elapsed() < seconds(3), "{:?}", begun.elapsed());
    for name in ["db", "watch"] {
        assert_eq!(gist(ending(&report, name)).1, "workflow_ended");
        assert_eq!(ending(&report, name).signal, Some(15), "its exit is the evidence");
        assert_eq!(world.engine.calls().of_step(name).last(), Some(&Verb::DestroyStep));
    }
}

// covers: woodpecker 40
#[tokio::test(start_paused = true)]
async fn a_failure_in_the_background_is_traced_and_fails_nothing() {
    for background in [service as fn(&str, &[(&str, &str)]) -> Step, detached] {
        let world = World::new();
        let flow = workflow([
            vec![background("bg", &[("SLEEP", "1s"), ("STEP_EXIT_CODE", "5")])],
            vec![step("a", &[("SLEEP", "9s")])],
            vec![step("b", &[])],
        ]);
        let report = world.run(&flow).await;
        assert!(report.ending.succeeded() && ending(&report, "b").succeeded());
        assert_eq!(gist(ending(&report, "bg")), (Outcome::Failed, "exit_code", Some(5)));
        assert_eq!(report.error, None);
    }
}

// covers: woodpecker 40
#[tokio::test(start_paused = true)]
async fn the_end_of_a_background_step_is_traced_before_the_run_returns() {
    let world = World::with_grace(seconds(10));
    let flow = workflow([vec![service("db", &[("DUMMY_IGNORE_TERM", "true")])], vec![step("a", &[])]]);
    let run = world.plan(&flow).run();
    let report = run.await;
    assert!(matches!(world.seen.traces("db").as_slice(), [Event::Started, Event::Ended(_)]));
    assert_eq!(ending(&report, "db").signal, Some(9));
}

// covers: woodpecker 41
#[tokio::test(start_paused = true)]
async fn a_failure_to_start_in_the_background_fails_the_workflow() {
    for background in [service as fn(&str, &[(&str, &str)]) -> Step, detached] {
        let world = World::new();
        let report = world
            .run(&workflow([vec![background("bg", &[("STEP_START_FAIL", "1")])], vec![step("a", &[])]]))
            .await;
        assert_eq!(gist(&report.ending).1, "start_failure");
        assert!(report.error.is_some());
        assert_eq!(gist(ending(&report, "a")).1, "condition");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_background_step_printed_is_told_to_its_end() {
    let world = World::new();
    let flow = workflow([
        vec![service("db", &[("DUMMY_OUTPUT", "go\n"), ("DUMMY_LINES", "60"), ("DUMMY_LINE_DELAY", "1s")])],
        vec![step("a", &[("SLEEP", "5500ms")])],
    ]);
    world.run(&flow).await;
    assert!(world.seen.output("db").contains("line 4\n"), "{}", world.seen.output("db"));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_the_background_for_its_own_reason() {
    let world = World::new();
    let flow = workflow([vec![service("db", &[])], vec![step("a", &[("SLEEP", "1h")])]]);
    let cancel = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        world.scope.cancel(Cause::ByUser);
    };
    let (report, ()) = tokio::join!(world.run(&flow), cancel);
    assert_eq!(gist(ending(&report, "db")).1, "by_user");
}

#[tokio::test(start_paused = true)]
async fn a_workflow_of_background_steps_alone_passes() {
    let world = World::new();
    let report = world.run(&workflow([vec![service("db", &[]), detached("d", &[("SLEEP", "1h")])]])).await;
    assert!(report.ending.succeeded());
}
