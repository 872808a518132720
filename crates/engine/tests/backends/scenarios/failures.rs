//! How steps end by themselves, and what that does to their workflow.

use jobwright_backend::conformance::Script;
use jobwright_model::{Cause, FailurePolicy, Outcome, Step, TaskUuid};
use serde_json::json;

use super::scenario;
use crate::suite::Scenario;
use crate::world::{World, ending, gist, while_running};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_failure_stops_what_comes_later_and_nothing_beside_it),
        scenario!(a_step_for_failures_is_skipped_when_all_passed),
        scenario!(an_ignored_failure_changes_nothing_for_the_others),
        scenario!(exit_codes_come_out_as_they_are),
        scenario!(a_death_by_signal_is_a_failure),
        scenario!(the_memory_limit_is_told, memory_limit),
    ]
}

fn mourner(world: &World) -> Step {
    let mut step = world.step("mourner", &Script::new().print_variable("CI_PIPELINE_STATUS"));
    (step.on_success, step.on_failure) = (false, true);
    step
}

// covers: woodpecker 14, 33, 34, 35, 36, 44
async fn a_failure_stops_what_comes_later_and_nothing_beside_it(world: World) {
    let fails = world.step("fails", &Script::new().exit(3));
    let sibling = world.step("sibling", &Script::new().await_file("go").print("still here"));
    let later = world.step("later", &Script::new());
    let mut always = world.step("always", &Script::new());
    always.on_failure = true;
    let workflow = world.workflow([vec![fails, sibling], vec![later], vec![mourner(&world), always]]);
    let task = TaskUuid::random();
    let run = world.finish(world.plan(&workflow).task(task.clone()));
    let report = while_running(run, world.touch_after("fails", &task, "go")).await;
    assert_eq!(gist(&report, "fails"), (Outcome::Failed, "exit_code", Some(3)));
    assert_eq!(world.seen.output("sibling"), "still here");
    assert!(ending(&report, "sibling").succeeded());
    assert_eq!(gist(&report, "later"), (Outcome::Skipped, "condition", None));
    assert_eq!(world.seen.output("mourner"), "failure");
    assert!(ending(&report, "always").succeeded());
    assert_eq!(report.ending.exit_code, Some(3));
    assert_eq!(report.error, None, "a step's own failure is no error of the run");
}

// covers: woodpecker 36
async fn a_step_for_failures_is_skipped_when_all_passed(world: World) {
    let passes = world.step("passes", &Script::new());
    let report = world.run(&world.workflow([vec![passes], vec![mourner(&world)]])).await;
    assert!(report.ending.succeeded());
    assert_eq!(gist(&report, "mourner"), (Outcome::Skipped, "condition", None));
}

// covers: woodpecker 37
async fn an_ignored_failure_changes_nothing_for_the_others(world: World) {
    let mut fails = world.step("fails", &Script::new().exit(9));
    fails.failure = Some(FailurePolicy::Ignore);
    let later = world.step("later", &Script::new().print_variable("CI_PIPELINE_STATUS"));
    let report = world.run(&world.workflow([vec![fails], vec![later], vec![mourner(&world)]])).await;
    assert!(report.ending.succeeded());
    assert_eq!(gist(&report, "fails"), (Outcome::Failed, "exit_code", Some(9)));
    assert_eq!(world.seen.output("later"), "success");
    assert_eq!(ending(&report, "mourner").outcome, Outcome::Skipped);
}

// covers: woodpecker 34
async fn exit_codes_come_out_as_they_are(world: World) {
    let codes = [0, 1, 42, 127, 128, 255];
    let step = |code: u8| {
        let mut step = world.step(&format!("exits-{code}"), &Script::new().exit(code));
        step.failure = Some(FailurePolicy::Ignore);
        step
    };
    let report = world.run(&world.workflow([codes.map(step).into()])).await;
    for code in codes {
        let step = ending(&report, &format!("exits-{code}"));
        assert_eq!((step.exit_code, step.succeeded()), (Some(code.into()), code == 0));
    }
}

/// An engine that does not tell a death by signal tells it as a shell does.
async fn a_death_by_signal_is_a_failure(world: World) {
    let tells = world.backend.capabilities().signals;
    let signals = [9, 15];
    let step = |signal| {
        let mut step = world.step(&format!("dies-{signal}"), &Script::new().die(signal));
        step.failure = Some(FailurePolicy::Ignore);
        // The first process of a container would be spared by its own signal.
        if !tells {
            step.entrypoint = world.shell("", &format!("sh -c 'kill -{signal} $$'; exit $?")).entrypoint;
        }
        step
    };
    let report = world.run(&world.workflow([signals.map(step).into()])).await;
    for signal in signals {
        let step = ending(&report, &format!("dies-{signal}"));
        assert_eq!(step.outcome, Outcome::Failed);
        let expected = if tells { (Some(signal), None) } else { (None, Some(128 + signal)) };
        assert_eq!((step.signal, step.exit_code), expected);
    }
}

fn memory_limit(world: &World) -> Option<&'static str> {
    (!world.backend.capabilities().oom).then_some("memory limit")
}

// covers: woodpecker 39
async fn the_memory_limit_is_told(world: World) {
    let mut greedy = world.step("greedy", &Script::new().fill_memory());
    greedy.backend_options.insert(world.backend.name().to_owned(), json!({ "memory": 32 << 20 }));
    let later = world.step("later", &Script::new());
    let report = world.run(&world.workflow([vec![greedy], vec![later]])).await;
    let greedy = ending(&report, "greedy");
    assert!(greedy.oom && greedy.cause == Cause::OutOfMemory, "{greedy:?}");
    assert_eq!(greedy.exit_code.or(greedy.signal.map(|signal| 128 + signal)), Some(137));
    assert_eq!(ending(&report, "later").outcome, Outcome::Skipped);
}
