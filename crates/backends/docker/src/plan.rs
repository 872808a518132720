//! What a workflow was set up with: under which names in the engine its network and its volume are found. Remembered by the
//! instance that made them, read back from their labels by one that comes after it.

use jobwright_model::{Auth, Step, Workflow};

/// The image of the carrier of a workflow that has no steps, and so none of their images. It is made when it is needed.
pub(crate) const EMPTY_IMAGE: &str = "jobwright-empty:latest";

/// A network or volume that was made for a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    /// The workflow's name for it.
    pub(crate) given: String,
    /// The engine's; of a network of Docker, which may have two of one name, its id.
    pub(crate) name: String,
}

/// How a container for the volume's files is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workspace {
    /// Where it is mounted: there, an engine fills an empty volume from the image.
    pub(crate) mount: String,
    /// The image, that of the first step that has the volume.
    pub(crate) image: String,
    /// What its registry wants; not known after a restart, when the image is here already.
    pub(crate) auth: Auth,
}

/// What a task has in its engine besides containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The network, where a step joins it.
    pub(crate) network: Option<Made>,
    /// The workspace volume, where a step mounts it.
    pub(crate) volume: Option<Made>,
    /// How the volume is reached when no step has it.
    pub(crate) workspace: Option<Workspace>,
}

impl Plan {
    /// The engine's name for what a step calls the network `given`.
    pub(crate) fn network_name<'a>(&'a self, given: &'a str) -> &'a str {
        translated(self.network.as_ref(), given)
    }

    /// The engine's name for what a step calls the volume `given`.
    pub(crate) fn volume_name<'a>(&'a self, given: &'a str) -> &'a str {
        translated(self.volume.as_ref(), given)
    }
}

fn translated<'a>(made: Option<&'a Made>, given: &'a str) -> &'a str {
    made.filter(|made| made.given == given).map_or(given, |made| made.name.as_str())
}

/// Whether some step of `workflow` joins its network. One that is named and joined by nobody is not made.
pub(crate) fn needs_network(workflow: &Workflow) -> bool {
    let named = |step: &Step| step.networks.iter().any(|network| network.name == workflow.network);
    let joins = |step: &Step| {
        if step.network_mode.is_empty() { named(step) } else { step.network_mode == workflow.network }
    };
    !workflow.network.is_empty() && workflow.steps().any(joins)
}

/// How the volume of `workflow` is reached, as the first step that has it says: by mounting it, or by saying where the
/// workspace is. None when there are steps and none of them has it; then it is not made.
pub(crate) fn workspace_of(workflow: &Workflow) -> Option<Workspace> {
    let mount = |step: &Step| {
        let mounted = step.volumes.iter().find_map(|volume| {
            let mut parts = volume.split(':');
            (parts.next() == Some(workflow.volume.as_str())).then(|| parts.next())?
        });
        Some(mounted.unwrap_or(&step.workspace_base).to_owned()).filter(|mount| !mount.is_empty())
    };
    let first = |step: &Step| {
        let (image, auth) = (step.image.clone(), step.auth_config.clone());
        Some(Workspace { mount: mount(step)?, image, auth })
    };
    if workflow.volume.is_empty() {
        return None;
    }
    if workflow.steps().next().is_none() {
        let (mount, image) = ("/workspace".to_owned(), EMPTY_IMAGE.to_owned());
        return Some(Workspace { mount, image, auth: Auth::default() });
    }
    workflow.steps().find_map(first)
}

#[cfg(test)]
mod tests {
    use jobwright_model::{Conn, Stage, StepUuid};

    use super::*;

    fn workflow(change: impl FnOnce(&mut Step)) -> Workflow {
        let mut step = Step::new("build", StepUuid::new("s1").unwrap());
        change(&mut step);
        Workflow {
            stages: vec![Stage::default(), Stage { steps: vec![step] }],
            network: "n".to_owned(),
            volume: "v".to_owned(),
            ..Workflow::default()
        }
    }

    #[test]
    fn a_network_that_nobody_joins_is_not_made() {
        let joined = vec![Conn { name: "n".to_owned(), aliases: Vec::new() }];
        assert!(!needs_network(&workflow(|_| {})));
        assert!(needs_network(&workflow(|step| step.networks = joined.clone())));
        assert!(needs_network(&workflow(|step| step.network_mode = "n".to_owned())));
        assert!(!needs_network(&workflow(|step| {
            step.networks = joined;
            step.network_mode = "host".to_owned();
        })));
        assert!(!needs_network(&Workflow { network: String::new(), ..workflow(|_| {}) }));
    }

    #[test]
    fn a_volume_that_nobody_mounts_is_not_made() {
        assert!(workspace_of(&workflow(|_| {})).is_none());
        let mount = |change: fn(&mut Step)| workspace_of(&workflow(change)).map(|workspace| workspace.mount);
        assert_eq!(mount(|step| step.volumes = vec!["v:/w:rw".to_owned()]).as_deref(), Some("/w"));
        assert_eq!(mount(|step| step.workspace_base = "/b".to_owned()).as_deref(), Some("/b"));
        assert!(workspace_of(&Workflow { volume: String::new(), ..workflow(|_| {}) }).is_none());
    }

    #[test]
    fn only_the_workflow_s_own_names_are_translated() {
        let made = Made { given: "v".to_owned(), name: "jw_o_t_v".to_owned() };
        let plan = Plan { volume: Some(made), ..Plan::default() };
        assert_eq!(
            (plan.volume_name("v"), plan.volume_name("/v"), plan.network_name("v")),
            ("jw_o_t_v", "/v", "v")
        );
    }
}
