//! Which steps run when.

use jobwright_backend::conformance::Script;
use jobwright_model::Workflow;

use super::scenario;
use crate::seen::Event;
use crate::suite::Scenario;
use crate::world::World;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(stages_follow_each_other),
        scenario!(steps_of_a_stage_run_at_the_same_time),
        scenario!(a_step_with_dependencies_waits_for_these_alone),
        scenario!(steps_that_wait_for_each_other_are_refused),
        scenario!(a_workflow_without_steps_passes),
    ]
}

// covers: woodpecker 11, 21, 33
async fn stages_follow_each_other(world: World) {
    let first = world.step("first", &Script::new().write_file("made", "by first"));
    let second = world.step("second", &Script::new().print_file("made"));
    let report = world.run(&world.workflow([vec![first], vec![second]])).await;
    assert!(report.ending.succeeded(), "{report:?}");
    assert_eq!(world.seen.output("second"), "by first");
    let order = world.seen.order(|event| matches!(event, Event::Started | Event::Ended(_)));
    assert_eq!(order, ["first", "first", "second", "second"]);
}

/// Each waits for what the other makes.
// covers: woodpecker 20, 33
async fn steps_of_a_stage_run_at_the_same_time(world: World) {
    let one = world.step("one", &Script::new().write_file("one", "").await_file("two"));
    let two = world.step("two", &Script::new().write_file("two", "").await_file("one"));
    let report = world.run(&world.workflow([vec![one, two]])).await;
    assert!(report.ending.succeeded(), "{report:?}");
}

/// What waits for `quick` ends what `slow` waits for, so it cannot have waited for the stage.
async fn a_step_with_dependencies_waits_for_these_alone(world: World) {
    let slow = world.step("slow", &Script::new().await_file("go"));
    let quick = world.step("quick", &Script::new());
    let mut free = world.step("free", &Script::new().write_file("go", ""));
    free.depends_on = vec!["quick".to_owned()];
    let last = world.step("last", &Script::new());
    let report = world.run(&world.workflow([vec![slow, quick], vec![free], vec![last]])).await;
    assert!(report.ending.succeeded(), "{report:?}");
    let ended = world.seen.order(|event| matches!(event, Event::Ended(_)));
    assert_eq!((ended[0].as_str(), ended[3].as_str()), ("quick", "last"), "{ended:?}");
}

async fn steps_that_wait_for_each_other_are_refused(world: World) {
    let mut one = world.step("one", &Script::new());
    one.depends_on = vec!["two".to_owned()];
    let mut two = world.step("two", &Script::new());
    two.depends_on = vec!["one".to_owned()];
    let report = world.run(&world.workflow([vec![one, two]])).await;
    assert_eq!(report.error.as_deref(), Some("steps wait for each other: one, two"));
    assert!(world.seen.all().is_empty());
}

// covers: woodpecker 14, 19
async fn a_workflow_without_steps_passes(world: World) {
    for workflow in [Workflow::default(), world.workflow([vec![], vec![]])] {
        assert!(world.run(&workflow).await.ending.succeeded());
    }
    assert!(world.seen.all().is_empty());
    let late = world.workflow([vec![], vec![world.step("late", &Script::new().print("here"))]]);
    assert!(world.run(&late).await.ending.succeeded());
    assert_eq!(world.seen.output("late"), "here");
}
