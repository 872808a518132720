//! What a step is told about the run it is part of, at the moment of its start.

use jobwright_model::StepType;

use crate::support::{World, on, step, with, workflow};

const ASKED: &str =
    "CI_PIPELINE_STATUS,CI_PIPELINE_STARTED,CI_STEP_STARTED,CI_STEP_TYPE,CI_STEP_NAME,DRONE_REPO_SCM";

/// The value of the variable `name` as `step` printed it.
fn told(world: &World, step: &str, name: &str) -> String {
    let output = world.seen.output(step);
    let line = output.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    line.unwrap_or_else(|| panic!("{step} printed no {name}: {output}")).to_owned()
}

// covers: woodpecker 30
#[tokio::test(start_paused = true)]
async fn a_step_is_told_its_own_name_and_type_and_the_state_of_the_workflow() {
    let world = World::new();
    let asks = |name| step(name, &[("DUMMY_PRINT_ENV", ASKED)]);
    let failing =
        with(asks("bad"), |step| drop(step.environment.insert("STEP_EXIT_CODE".into(), "1".into())));
    world.run(&workflow([vec![asks("a")], vec![failing], vec![on(false, true, asks("after"))]])).await;
    assert_eq!(told(&world, "a", "CI_PIPELINE_STATUS"), "success");
    assert_eq!(told(&world, "bad", "CI_PIPELINE_STATUS"), "success");
    assert_eq!(told(&world, "after", "CI_PIPELINE_STATUS"), "failure");
    assert_eq!(told(&world, "a", "CI_STEP_NAME"), "a");
    assert_eq!(told(&world, "a", "CI_STEP_TYPE"), "commands");
    assert!(told(&world, "a", "CI_STEP_STARTED").parse::<u64>().unwrap() > 1_000_000_000);
    let (first, last) =
        (told(&world, "a", "CI_PIPELINE_STARTED"), told(&world, "after", "CI_PIPELINE_STARTED"));
    assert_eq!(first, last);
    assert_eq!(told(&world, "a", "DRONE_REPO_SCM"), "");
}

// covers: woodpecker 30
#[tokio::test(start_paused = true)]
async fn a_plugin_is_told_by_drones_names_too() {
    let world = World::new();
    let plugin = with(step("notify", &[("DUMMY_PRINT_ENV", "DRONE_BUILD_STATUS,DRONE_REPO_SCM")]), |step| {
        step.kind = StepType::Plugin;
    });
    world.run(&workflow([vec![plugin]])).await;
    assert_eq!(told(&world, "notify", "DRONE_BUILD_STATUS"), "success");
    assert_eq!(told(&world, "notify", "DRONE_REPO_SCM"), "git");
}

// covers: woodpecker 29
#[tokio::test(start_paused = true)]
async fn a_step_without_an_environment_runs() {
    let world = World::new();
    assert!(world.run(&workflow([vec![step("a", &[])]])).await.ending.succeeded());
}
