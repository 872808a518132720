//! What marks a thing in an engine as ours: labels, and the names of networks and volumes (DESIGN rule 5). Container names are
//! `jobwright_backend::names`.
//!
//! A step's `workflow_labels` go on its container under their own keys, but for the empty key, Woodpecker's two and all that
//! begin with `dev.jobwright.`, which only we set; the run id is taken from among them.

use std::collections::HashMap;

use jobwright_backend::labels;
use jobwright_model::{OwnerId, Step, StepType, TaskUuid, Workflow};

/// The forge's organisation, for people.
pub(crate) const ORGANISATION: &str = "dev.jobwright.org";
/// On a volume: an image that a container for its files can be made from.
pub(crate) const IMAGE: &str = "dev.jobwright.image";
/// On a volume and on a container: where the workspace is mounted, or is.
pub(crate) const WORKSPACE: &str = "dev.jobwright.workspace";
/// On a container that only carries files: that it is one.
pub(crate) const CARRIER: &str = "dev.jobwright.carrier";

/// On a service's container: that it is one.
pub(crate) const SERVICE: &str = "dev.jobwright.service";

const OWN_PREFIX: &str = "dev.jobwright.";

/// Labels as an engine takes them.
pub(crate) type Labels = HashMap<String, String>;

/// Filters as an engine takes them.
pub(crate) type Filters = HashMap<String, Vec<String>>;

/// Labels of everything that belongs to `task`.
pub(crate) fn task_labels(owner: &OwnerId, task: &TaskUuid) -> Labels {
    [(labels::OWNER, owner.as_str()), (labels::TASK, task.as_str())]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Labels of the container of `step`.
pub(crate) fn container_labels(owner: &OwnerId, task: &TaskUuid, step: &Step) -> Labels {
    let foreign = step.workflow_labels.iter().filter(|(key, _)| {
        let ours = key.starts_with(OWN_PREFIX) && *key != labels::RUN;
        !ours && !key.is_empty() && *key != labels::WOODPECKER_UUID && *key != labels::WOODPECKER_STEP
    });
    let mut all: Labels = foreign.map(|(key, value)| (key.clone(), value.clone())).collect();
    all.extend(task_labels(owner, task));
    let own = [
        (labels::STEP, step.uuid.as_str()),
        (labels::NAME, &step.name),
        (labels::WOODPECKER_UUID, step.uuid.as_str()),
        (labels::WOODPECKER_STEP, &step.name),
    ];
    all.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    if step.kind == StepType::Service {
        all.insert(SERVICE.to_owned(), "true".to_owned());
    }
    if step.org_id != 0 {
        all.insert(ORGANISATION.to_owned(), step.org_id.to_string());
    }
    all
}

/// Labels of a network or volume that the workflow knows as `given`.
pub(crate) fn shared_labels(owner: &OwnerId, task: &TaskUuid, workflow: &Workflow, given: &str) -> Labels {
    let mut all = task_labels(owner, task);
    all.insert(labels::NAME.to_owned(), given.to_owned());
    if let Some(run) = workflow.steps().find_map(|step| step.workflow_labels.get(labels::RUN)) {
        all.insert(labels::RUN.to_owned(), run.clone());
    }
    all
}

/// The name in the engine of a network or volume that the workflow knows as `given`. It holds the owner too: engines answer
/// the creation of a volume that exists with that volume, and two owners may number their tasks alike.
pub(crate) fn shared_name(owner: &OwnerId, task: &TaskUuid, given: &str) -> String {
    let safe = given
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' });
    format!("jw_{owner}_{task}_{}", safe.take(60).collect::<String>())
}

/// Whether a thing that carries `labels` carries all of `marks`. Every answer to a filter is held against it: Podman gives
/// volumes that have *any* of the labels asked for.
pub(crate) fn carries(labels: Option<&Labels>, marks: &[(&str, &str)]) -> bool {
    marks
        .iter()
        .all(|(key, value)| labels.and_then(|labels| labels.get(*key)).is_some_and(|found| found == value))
}

/// The filter for things that carry all of `labels`.
pub(crate) fn having(labels: &[(&str, &str)]) -> Filters {
    let labels = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    HashMap::from([("label".to_owned(), labels)])
}

#[cfg(test)]
mod tests {
    use jobwright_model::StepUuid;

    use super::*;

    // covers: woodpecker 62
    #[test]
    fn a_container_carries_our_labels_woodpecker_s_and_the_workflow_s_that_do_not_pretend_to_be_ours() {
        let mut step = Step::new("build", StepUuid::new("s1").unwrap());
        step.org_id = 7;
        for (key, value) in [
            ("team", "core"),
            (labels::RUN, "20261120T132503Z-567825"),
            (labels::OWNER, "somebody-else"),
            ("dev.jobwright.carrier", "x"),
            ("wp_uuid", "x"),
            ("", "x"),
        ] {
            step.workflow_labels.insert(key.to_owned(), value.to_owned());
        }
        let labels = container_labels(&OwnerId::new("o1").unwrap(), &TaskUuid::new("t1").unwrap(), &step);
        let mut labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        labels.sort();
        let expected = [
            "dev.jobwright.name=build",
            "dev.jobwright.org=7",
            "dev.jobwright.owner=o1",
            "dev.jobwright.run=20261120T132503Z-567825",
            "dev.jobwright.step=s1",
            "dev.jobwright.task=t1",
            "team=core",
            "wp_step=build",
            "wp_uuid=s1",
        ];
        assert_eq!(labels, expected);
    }

    #[test]
    fn a_service_is_known_as_one_after_a_restart() {
        let mut step = Step::new("db", StepUuid::new("s1").unwrap());
        let carried = |step: &Step| {
            let labels = container_labels(&OwnerId::new("o1").unwrap(), &TaskUuid::new("t1").unwrap(), step);
            labels.contains_key(SERVICE)
        };
        assert!(!carried(&step));
        step.kind = StepType::Service;
        assert!(carried(&step));
    }

    #[test]
    fn half_of_the_marks_is_not_enough() {
        let labels = Labels::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        assert!(carries(Some(&labels), &[("a", "1"), ("b", "2")]));
        assert!(!carries(Some(&labels), &[("a", "1"), ("b", "3")]));
        assert!(!carries(None, &[("a", "1")]));
    }

    // covers: woodpecker 11
    #[test]
    fn two_tasks_and_two_owners_never_share_a_name() {
        let name = |owner, task| {
            shared_name(&OwnerId::new(owner).unwrap(), &TaskUuid::new(task).unwrap(), "wp default/1")
        };
        assert_eq!(name("o1", "t1"), "jw_o1_t1_wp-default-1");
        assert_ne!(name("o1", "t1"), name("o1", "t2"));
        assert_ne!(name("o1", "t1"), name("o2", "t1"));
    }
}
