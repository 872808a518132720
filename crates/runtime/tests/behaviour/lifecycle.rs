//! One step from its start to its end, as the backend and the observer see it.

use std::sync::atomic::Ordering;

use jobwright_backend::dummy::Verb;
use jobwright_model::{Cause, Outcome, StepType};

use crate::support::{Event, Twist, World, ending, gist, step, with, workflow};

// covers: woodpecker 21
#[tokio::test(start_paused = true)]
async fn a_step_is_prepared_started_tailed_waited_for_and_destroyed_in_that_order() {
    let world = World::new();
    let report = world.run(&workflow([vec![step("a", &[("SLEEP", "3s")])]])).await;
    let order = [Verb::Prepare, Verb::Start, Verb::Tail, Verb::Wait, Verb::DestroyStep];
    assert_eq!(world.engine.calls().of_step("a"), order);
    assert!(report.ending.succeeded());
}

// covers: woodpecker 21
#[tokio::test(start_paused = true)]
async fn a_step_that_runs_is_traced_as_started_and_as_ended_and_no_more() {
    let world = World::new();
    let flow = workflow([vec![step("clone", &[])], vec![step("build", &[])], vec![step("deploy", &[])]]);
    world.run(&flow).await;
    let traces = |event: &Event| matches!(event, Event::Started | Event::Ended(_) | Event::Skipped(_));
    assert_eq!(
        world.seen.order(traces),
        ["clone", "clone", "build", "build", "deploy", "deploy"],
        "six traces, each step's after those of the one before"
    );
}

// covers: woodpecker 21, 60, local-ci 124
#[tokio::test(start_paused = true)]
async fn the_log_is_whole_before_the_end_is_traced_also_of_a_failure() {
    for code in ["0", "3"] {
        let world = World::new();
        let step = step("a", &[("DUMMY_OUTPUT_BYTES", "300000"), ("STEP_EXIT_CODE", code)]);
        world.run(&workflow([vec![step]])).await;
        let events = world.seen.of("a");
        assert!(matches!(events.last(), Some(Event::Ended(_))), "nothing comes after the end");
        assert!(world.seen.output("a").len() >= 300_000);
    }
}

// covers: woodpecker 22
#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_is_a_failure_to_start() {
    let world = World::new();
    let report = world.run(&workflow([vec![step("a", &[("STEP_TAIL_FAIL", "true")])]])).await;
    assert_eq!(gist(ending(&report, "a")), (Outcome::Failed, "start_failure", None));
    assert!(report.error.is_some(), "it is no step failure");
    assert!(world.engine.calls().of_step("a").contains(&Verb::DestroyStep));
    assert!(!world.engine.calls().of_step("a").contains(&Verb::Wait));
}

// covers: woodpecker 23
#[tokio::test(start_paused = true)]
async fn a_step_that_cannot_be_waited_for_is_lost_and_left_to_the_end_of_the_workflow() {
    let world = World::new();
    let report = world.run(&workflow([vec![step("a", &[("DUMMY_WAIT_FAIL", "broken")])]])).await;
    assert_eq!(gist(ending(&report, "a")), (Outcome::Lost, "status_unreadable", None));
    assert!(report.error.as_deref().is_some_and(|error| error.contains("broken")));
    assert!(!world.engine.calls().of_step("a").contains(&Verb::DestroyStep));
    assert_eq!(world.engine.calls().count(Verb::DestroyWorkflow), 1);
}

// covers: woodpecker 60
#[tokio::test(start_paused = true)]
async fn what_a_lost_step_had_printed_is_told_before_its_end() {
    let world = World::new();
    world.seen.pace.store(100, Ordering::Relaxed);
    let prints = [("DUMMY_OUTPUT", "\n"), ("DUMMY_OUTPUT_BYTES", "20000"), ("DUMMY_SPLIT", "100")];
    let lost = with(step("a", &prints), |step| {
        step.environment.insert("DUMMY_WAIT_FAIL".into(), "broken".into());
    });
    world.run(&workflow([vec![lost]])).await;
    assert_eq!(world.seen.output("a").len(), 20_001);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_fails_inside_makes_no_success() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[])]]);
    let report = world.finish(world.plan_on(world.twisted(Twist::WaitPanics), &flow)).await;
    assert_eq!(gist(&report.ending), (Outcome::Lost, "status_unreadable", None));
}

// covers: woodpecker 24
#[tokio::test(start_paused = true)]
async fn a_step_that_cannot_be_destroyed_has_not_passed() {
    let world = World::new();
    let report = world.run(&workflow([vec![step("a", &[("DUMMY_DESTROY_FAIL", "stuck")])]])).await;
    assert_eq!(gist(ending(&report, "a")), (Outcome::Failed, "cleanup", Some(0)));
    assert!(report.error.as_deref().is_some_and(|error| error.contains("stuck")));
}

// covers: woodpecker 25
#[tokio::test(start_paused = true)]
async fn a_step_that_did_not_start_is_destroyed_and_no_other_is_touched() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("STEP_START_FAIL", "true")]), step("b", &[("SLEEP", "9s")])]]);
    let report = world.run(&flow).await;
    assert!(world.engine.calls().of_step("a").contains(&Verb::DestroyStep));
    assert!(ending(&report, "b").succeeded());
}

// covers: woodpecker 26
#[tokio::test(start_paused = true)]
async fn output_is_told_while_the_step_runs_and_until_it_ends() {
    let world = World::new();
    let slow = step("a", &[("DUMMY_LINES", "3"), ("DUMMY_LINE_DELAY", "1m")]);
    let flow = workflow([vec![slow]]);
    let watch = async {
        world.seen.until_printed("a", "line 1\n").await;
        assert!(!world.seen.output("a").contains("line 2"));
        world.seen.until_printed("a", "line 3\n").await;
        assert_eq!(world.seen.traces("a").len(), 1, "it still runs");
    };
    let (report, ()) = tokio::join!(world.run(&flow), watch);
    assert!(report.ending.succeeded());
}

// covers: woodpecker 27
#[tokio::test(start_paused = true)]
async fn an_observer_that_fails_changes_nothing() {
    let flow = || {
        let failing = step("b", &[("STEP_EXIT_CODE", "3")]);
        let last = step("c", &[]);
        workflow([vec![step("a", &[("DUMMY_LINES", "9")])], vec![failing], vec![last]])
    };
    let gists = async |fails: bool| {
        let world = World::new();
        world.seen.fails.store(fails, Ordering::Relaxed);
        let report = world.run(&flow()).await;
        let calls: Vec<_> =
            world.engine.calls().all().into_iter().map(|call| (call.verb, call.step)).collect();
        let endings: Vec<_> = report.steps.iter().map(|step| gist(&step.ending)).collect();
        (gist(&report.ending), report.error, endings, calls, world.seen.all().len())
    };
    assert_eq!(gists(true).await, gists(false).await);
}

// covers: woodpecker 28
#[tokio::test(start_paused = true)]
async fn an_ending_says_when_its_step_began_and_ended() {
    let world = World::new();
    let flow = workflow([
        vec![step("a", &[]), step("bad", &[("STEP_START_FAIL", "true")])],
        vec![step("skipped", &[])],
    ]);
    let report = world.run(&flow).await;
    for name in ["a", "bad"] {
        let (started, finished) = (ending(&report, name).started, ending(&report, name).finished);
        assert!(started.is_some() && finished >= started, "{name}");
    }
    assert_eq!(ending(&report, "skipped").started, None);
    assert!(report.ending.started.is_some() && report.ending.finished.is_some());
}

// covers: woodpecker 32
#[tokio::test(start_paused = true)]
async fn a_step_of_an_unknown_type_is_refused_by_name() {
    let world = World::new();
    let odd = with(step("a", &[]), |step| step.kind = StepType::Unknown("quantum".into()));
    let report = world.run(&workflow([vec![odd]])).await;
    assert_eq!(ending(&report, "a").cause, Cause::StartFailure);
    assert!(report.error.as_deref().is_some_and(|error| error.contains("quantum")));
}

#[tokio::test(start_paused = true)]
async fn an_exit_that_nobody_can_read_is_lost_and_never_a_success() {
    let world = World::new();
    let report = world.run(&workflow([vec![step("a", &[("DUMMY_EXIT_UNKNOWN", "true")])]])).await;
    assert_eq!(gist(ending(&report, "a")), (Outcome::Lost, "status_unreadable", None));
    assert_eq!(report.ending.outcome, Outcome::Lost);
    assert!(report.error.is_some(), "nobody failed, so the run has an error");
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_had_is_its_own_cause() {
    let world = World::new();
    let report = world.run(&workflow([vec![step("a", &[("DUMMY_IMAGE_FAIL", "not-found")])]])).await;
    assert_eq!(gist(ending(&report, "a")), (Outcome::Failed, "image", None));
}
