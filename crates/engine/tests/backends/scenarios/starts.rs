//! Steps that cannot be started.

use jobwright_backend::conformance::Script;
use jobwright_model::{FailurePolicy, Outcome, Step, StepType};

use super::scenario;
use crate::suite::Scenario;
use crate::world::{Site, World, ending};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_missing_program_is_a_start_failure),
        scenario!(a_start_failure_is_not_ignored),
        scenario!(a_missing_image_is_told_as_such),
        scenario!(an_unknown_type_of_step_is_refused_by_name),
    ]
}

/// Runs it before one that runs after failures, which says so.
async fn run_unstartable(world: &World, step: Step) -> jobwright_runtime::WorkflowReport {
    let mut mourner = world.step("mourner", &Script::new().print("alas"));
    (mourner.on_success, mourner.on_failure) = (false, true);
    let report = world.run(&world.workflow([vec![step], vec![mourner]])).await;
    assert_eq!(world.seen.output("mourner"), "alas");
    assert!(report.error.is_some(), "the run has an error: {report:?}");
    assert_eq!(report.ending.outcome, Outcome::Failed);
    report
}

// covers: woodpecker 22, 36, 44
async fn a_missing_program_is_a_start_failure(world: World) {
    let report = run_unstartable(&world, world.unstartable("build")).await;
    let ending = ending(&report, "build");
    assert_eq!((ending.cause.as_str(), ending.exit_code), ("start_failure", None), "{ending:?}");
    if !matches!(world.site(), Site::Dummy) {
        let evidence = ending.evidence.as_deref().unwrap_or_default();
        assert!(evidence.contains("/no/such/program"), "{evidence}");
    }
}

// covers: woodpecker 38
async fn a_start_failure_is_not_ignored(world: World) {
    let mut step = world.unstartable("build");
    step.failure = Some(FailurePolicy::Ignore);
    let report = run_unstartable(&world, step).await;
    assert_eq!(report.ending.cause.as_str(), "start_failure");
}

/// Where there are no images, the field names the shell.
async fn a_missing_image_is_told_as_such(world: World) {
    let (image, cause) = match world.site() {
        Site::Process => ("/no/such/sh", "start_failure"),
        _ => ("registry.jobwright.invalid/none:latest", "image"),
    };
    let mut step = world.empty_step("build");
    step.commands = vec!["true".to_owned()];
    step.image = image.to_owned();
    let report = run_unstartable(&world, step).await;
    let ending = ending(&report, "build");
    assert_eq!(ending.cause.as_str(), cause, "{ending:?}");
    assert!(ending.evidence.as_deref().unwrap_or_default().contains(image), "{ending:?}");
}

// covers: woodpecker 32
async fn an_unknown_type_of_step_is_refused_by_name(world: World) {
    let mut step = world.step("build", &Script::new());
    step.kind = StepType::Unknown("tea".to_owned());
    let report = run_unstartable(&world, step).await;
    let ending = ending(&report, "build");
    assert_eq!(ending.cause.as_str(), "start_failure");
    assert!(ending.evidence.as_deref().unwrap_or_default().contains("tea"), "{ending:?}");
}
