//! Short ways to write steps, workflows and jobs down.

use jobwright_model::{Job, Phase, Stage, Step, StepUuid, TaskUuid, Workflow};

/// A step that the dummy plays as `environment` asks.
pub(crate) fn step(name: &str, environment: &[(&str, &str)]) -> Step {
    let mut step = Step::new(name, StepUuid::new(format!("uuid-{name}")).unwrap());
    step.environment =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    step
}

/// `step` after `change`.
pub(crate) fn with(mut step: Step, change: impl FnOnce(&mut Step)) -> Step {
    change(&mut step);
    step
}

/// A step that runs on success, on failure, or on both.
pub(crate) fn on(success: bool, failure: bool, step: Step) -> Step {
    with(step, |step| (step.on_success, step.on_failure) = (success, failure))
}

/// A workflow of these stages, with a workspace.
pub(crate) fn workflow<const N: usize>(stages: [Vec<Step>; N]) -> Workflow {
    let stages = stages.into_iter().map(|steps| Stage { steps }).collect();
    Workflow { stages, volume: "workspace".to_owned(), ..Workflow::default() }
}

pub(crate) fn task(text: &str) -> TaskUuid {
    TaskUuid::new(text).unwrap()
}

/// A phase on the dummy.
pub(crate) fn phase(workflow: Workflow) -> Phase {
    Phase { backend: "dummy".to_owned(), workflow, ..Phase::default() }
}

pub(crate) fn job<const N: usize>(phases: [Phase; N]) -> Job {
    Job { name: "job".to_owned(), phases: phases.into(), ..Job::default() }
}
