//! What a step is told when it starts.

use jobwright_backend::conformance::Script;
use jobwright_model::StepType;

use super::scenario;
use crate::suite::Scenario;
use crate::world::{World, ending};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![scenario!(a_step_is_told_of_its_workflow), scenario!(a_plugin_is_told_in_drones_words)]
}

/// Variables in turn, with a space behind each.
fn print_all(names: &[&str]) -> Script {
    names.iter().fold(Script::new(), |script, name| script.print_variable(name).print(" "))
}

// covers: woodpecker 28, 29, 30
async fn a_step_is_told_of_its_workflow(world: World) {
    let names =
        ["CI_STEP_NAME", "CI_STEP_TYPE", "CI_PIPELINE_STATUS", "CI_PIPELINE_STARTED", "CI_STEP_STARTED"];
    let step = world.step("build", &print_all(&names));
    let report = world.run(&world.workflow([vec![step]])).await;
    let output = world.seen.output("build");
    let told: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(told[..3], ["build", "commands", "success"]);
    let started = ending(&report, "build").started.expect("it began").as_second();
    let [of_pipeline, of_step]: [i64; 2] = [told[3].parse().unwrap(), told[4].parse().unwrap()];
    assert!(of_pipeline <= of_step && of_step <= started, "{told:?}, {started}");
}

// covers: woodpecker 30
async fn a_plugin_is_told_in_drones_words(world: World) {
    let mut step = world.step("publish", &print_all(&["DRONE_STEP_NAME", "DRONE_BUILD_STATUS"]));
    step.kind = StepType::Plugin;
    let report = world.run(&world.workflow([vec![step]])).await;
    assert!(report.ending.succeeded(), "{report:?}");
    assert_eq!(world.seen.output("publish"), "publish success ");
}
