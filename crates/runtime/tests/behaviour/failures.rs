//! What a step's failure is, and what it does to its workflow.

use jobwright_model::{FailurePolicy, Outcome, Step};

use crate::support::{Event, World, ending, gist, on, step, with, workflow};

fn ignored(step: Step) -> Step {
    with(step, |step| step.failure = Some(FailurePolicy::Ignore))
}

// covers: woodpecker 34, 44
#[tokio::test(start_paused = true)]
async fn an_exit_code_fails_the_workflow_and_is_no_error_of_the_run() {
    let world = World::new();
    let report = world.run(&workflow([vec![step("a", &[("STEP_EXIT_CODE", "42")])]])).await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "exit_code", Some(42)));
    assert_eq!(report.error, None);
}

// covers: woodpecker 44
#[tokio::test(start_paused = true)]
async fn what_the_machines_did_is_an_error_of_the_run() {
    let causes = [
        ("DUMMY_PREPARE_FAIL", "no room"),
        ("STEP_START_FAIL", "true"),
        ("STEP_TAIL_FAIL", "true"),
        ("DUMMY_WAIT_FAIL", "gone"),
        ("DUMMY_DESTROY_FAIL", "stuck"),
        ("DUMMY_IMAGE_FAIL", "pull-failed"),
        ("DUMMY_ENGINE_GONE", "1s"),
    ];
    for (name, value) in causes {
        let world = World::new();
        let report = world.run(&workflow([vec![step("a", &[(name, value), ("SLEEP", "1m")])]])).await;
        assert!(!report.ending.succeeded(), "{name}");
        assert!(report.error.as_deref().is_some_and(|error| !error.is_empty()), "{name}");
    }
}

// covers: woodpecker 39
#[tokio::test(start_paused = true)]
async fn the_memory_limit_is_a_cause_of_its_own_that_keeps_the_exit_code() {
    let world = World::new();
    let report = world.run(&workflow([vec![step("a", &[("STEP_OOM_KILLED", "true")])]])).await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "out_of_memory", Some(137)));
    assert!(ending(&report, "a").oom);
    assert_eq!(report.error, None);
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_we_did_not_send_is_told_from_an_exit_code() {
    let world = World::new();
    let report = world.run(&workflow([vec![step("a", &[("DUMMY_SIGNAL", "11")])]])).await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "signal", None));
    assert_eq!(report.ending.signal, Some(11));
}

// covers: woodpecker 37
#[tokio::test(start_paused = true)]
async fn an_ignored_failure_shows_its_code_and_the_workflow_goes_on_as_if_it_had_passed() {
    let world = World::new();
    let flow = workflow([
        vec![ignored(step("flaky", &[("STEP_EXIT_CODE", "3")]))],
        vec![step("next", &[]), on(false, true, step("on-failure", &[]))],
    ]);
    let report = world.run(&flow).await;
    assert!(report.ending.succeeded());
    assert_eq!(gist(ending(&report, "flaky")), (Outcome::Failed, "exit_code", Some(3)));
    assert!(ending(&report, "next").succeeded());
    assert!(matches!(world.seen.traces("on-failure").as_slice(), [Event::Skipped(_)]));
}

// covers: woodpecker 38
#[tokio::test(start_paused = true)]
async fn a_failure_to_start_is_not_ignored() {
    for fault in ["DUMMY_PREPARE_FAIL", "STEP_START_FAIL", "STEP_TAIL_FAIL"] {
        let world = World::new();
        let report =
            world.run(&workflow([vec![ignored(step("a", &[(fault, "true")]))], vec![step("b", &[])]])).await;
        assert_eq!(gist(&report.ending).1, "start_failure", "{fault}");
        assert!(report.error.is_some());
        assert_eq!(gist(ending(&report, "b")).1, "condition");
    }
}

// covers: woodpecker 43
#[tokio::test(start_paused = true)]
async fn a_failure_that_should_cancel_the_pipeline_is_to_the_runtime_a_failure() {
    let world = World::new();
    let cancels =
        with(step("a", &[("STEP_EXIT_CODE", "1")]), |step| step.failure = Some(FailurePolicy::Cancel));
    let report = world.run(&workflow([vec![cancels, step("b", &[("SLEEP", "5s")])]])).await;
    assert_eq!(gist(&report.ending).1, "exit_code");
    assert!(ending(&report, "b").succeeded());
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_is_the_workflows_ending() {
    let world = World::new();
    let flow = workflow([
        vec![
            step("late", &[("SLEEP", "9s"), ("STEP_EXIT_CODE", "9")]),
            step("early", &[("STEP_EXIT_CODE", "1")]),
        ],
        vec![on(false, true, step("after", &[("STEP_EXIT_CODE", "7")]))],
    ]);
    assert_eq!(gist(&world.run(&flow).await.ending), (Outcome::Failed, "exit_code", Some(1)));
}
