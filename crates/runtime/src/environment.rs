//! What a step is told about the run it is part of: the variables that Woodpecker's runtime sets at the moment of the start
//! (woodpecker.md 3.2), and for plugins the names that they had in Drone.

use jiff::Timestamp;
use jobwright_model::{Step, StepType};

/// A plugin's variables: Drone's name, and the variable whose value it gets.
const DRONE: [(&str, &str); 24] = [
    ("DRONE_BRANCH", "CI_COMMIT_BRANCH"),
    ("DRONE_BUILD_CREATED", "CI_PIPELINE_CREATED"),
    ("DRONE_BUILD_EVENT", "CI_PIPELINE_EVENT"),
    ("DRONE_BUILD_LINK", "CI_PIPELINE_URL"),
    ("DRONE_BUILD_NUMBER", "CI_PIPELINE_NUMBER"),
    ("DRONE_BUILD_PARENT", "CI_PIPELINE_PARENT"),
    ("DRONE_BUILD_STARTED", "CI_PIPELINE_STARTED"),
    ("DRONE_BUILD_STATUS", "CI_PIPELINE_STATUS"),
    ("DRONE_COMMIT", "CI_COMMIT_SHA"),
    ("DRONE_COMMIT_AUTHOR", "CI_COMMIT_AUTHOR"),
    ("DRONE_COMMIT_AUTHOR_AVATAR", "CI_COMMIT_AUTHOR_AVATAR"),
    ("DRONE_COMMIT_AUTHOR_EMAIL", "CI_COMMIT_AUTHOR_EMAIL"),
    ("DRONE_COMMIT_BRANCH", "CI_COMMIT_BRANCH"),
    ("DRONE_COMMIT_LINK", "CI_PIPELINE_FORGE_URL"),
    ("DRONE_COMMIT_MESSAGE", "CI_COMMIT_MESSAGE"),
    ("DRONE_COMMIT_REF", "CI_COMMIT_REF"),
    ("DRONE_COMMIT_SHA", "CI_COMMIT_SHA"),
    ("DRONE_PULL_REQUEST", "CI_COMMIT_PULL_REQUEST"),
    ("DRONE_REPO", "CI_REPO"),
    ("DRONE_REPO_NAME", "CI_REPO_NAME"),
    ("DRONE_REPO_OWNER", "CI_REPO_OWNER"),
    ("DRONE_SOURCE_BRANCH", "CI_COMMIT_SOURCE_BRANCH"),
    ("DRONE_STEP_NAME", "CI_STEP_NAME"),
    ("DRONE_TAG", "CI_COMMIT_TAG"),
];

/// `step` with what only the moment of its start can tell.
pub(crate) fn at_start(step: &Step, failed_before: bool, workflow_started: Timestamp) -> Step {
    let mut step = step.clone();
    let status = if failed_before { "failure" } else { "success" };
    let facts = [
        ("CI_PIPELINE_STATUS", status.to_owned()),
        ("CI_PIPELINE_STARTED", workflow_started.as_second().to_string()),
        ("CI_STEP_STARTED", Timestamp::now().as_second().to_string()),
        ("CI_STEP_TYPE", step.kind.as_str().to_owned()),
        ("CI_STEP_NAME", step.name.clone()),
    ];
    step.environment.extend(facts.map(|(name, value)| (name.to_owned(), value)));
    if step.kind == StepType::Plugin {
        add_drone_names(&mut step);
    }
    step
}

/// A name that the workflow's author set stays as it was set.
fn add_drone_names(step: &mut Step) {
    for (drone, ci) in DRONE {
        if let Some(value) = step.environment.get(ci).cloned() {
            step.environment.entry(drone.to_owned()).or_insert(value);
        }
    }
    step.environment.entry("DRONE_REPO_SCM".to_owned()).or_insert_with(|| "git".to_owned());
}

#[cfg(test)]
mod tests {
    use jobwright_model::StepUuid;

    use super::*;

    fn step(kind: StepType) -> Step {
        let mut step = Step::new("build", StepUuid::new("s1").unwrap());
        step.kind = kind;
        step.environment.insert("CI_COMMIT_SHA".into(), "2de5".into());
        step
    }

    // covers: woodpecker 29, 30
    #[test]
    fn a_step_is_told_the_state_of_its_workflow_even_without_an_environment_of_its_own() {
        let at = Timestamp::from_second(1_700_000_000).unwrap();
        let started = at_start(&Step::new("build", StepUuid::new("s1").unwrap()), true, at);
        assert_eq!(started.environment["CI_PIPELINE_STATUS"], "failure");
        assert_eq!(started.environment["CI_PIPELINE_STARTED"], "1700000000");
        assert_eq!(started.environment["CI_STEP_TYPE"], "commands");
        assert_eq!(started.environment["CI_STEP_NAME"], "build");
        assert!(started.environment.contains_key("CI_STEP_STARTED"));
    }

    // covers: woodpecker 30
    #[test]
    fn only_a_plugin_gets_drones_names() {
        let at = Timestamp::UNIX_EPOCH;
        let plugin = at_start(&step(StepType::Plugin), false, at);
        assert_eq!(plugin.environment["DRONE_COMMIT_SHA"], "2de5");
        assert_eq!(plugin.environment["DRONE_BUILD_STATUS"], "success");
        assert!(!plugin.environment.contains_key("DRONE_TAG"), "what is not known is not set");
        let commands = at_start(&step(StepType::Commands), false, at);
        assert!(!commands.environment.keys().any(|name| name.starts_with("DRONE_")));
    }
}
