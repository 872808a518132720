//! The steps of one job. Not for the phases that they stand in.

use std::collections::BTreeMap;

use jobwright_model::{Conn, FailurePolicy, HostAlias, Step, StepType, StepUuid};
use serde_json::{Map, Value, json};

use crate::compile::environment::Environment;
use crate::compile::{DEFAULT_WORKDIR, Target};
use crate::job::{PipelineJob, Resources, Service};

/// What a host shell is called where a backend without images is asked to run a script.
const HOST_SHELL: &str = "sh";
/// Images that are also names of host shells: a job that asks for one of them gets it on a backend without images too.
const HOST_SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "ksh", "ash"];

/// The name under which a container reaches the host, and what engines take for the host's address.
const HOST_ALIAS: (&str, &str) = ("host.docker.internal", "host-gateway");
/// The network mode of a job that is on the host's own network.
const HOST_MODE: &str = "host";

/// Makes one job's steps.
pub(super) struct Steps<'a> {
    pub(super) job: &'a PipelineJob,
    pub(super) environment: &'a Environment,
    pub(super) labels: &'a BTreeMap<String, String>,
}

impl Steps<'_> {
    pub(super) fn service(&self, service: &Service, uuid: StepUuid, network: &str) -> Step {
        let mut step = Step::new(self.name_of(service), uuid);
        step.kind = StepType::Service;
        step.detached = true;
        step.image.clone_from(&service.image);
        step.environment.clone_from(&service.variables);
        step.networks = vec![Conn { name: network.to_owned(), aliases: vec![service.alias.clone()] }];
        step.workflow_labels.clone_from(self.labels);
        step
    }

    /// A service is named after its alias; one whose alias is the job's name too is told apart from the script.
    fn name_of(&self, service: &Service) -> String {
        if service.alias == self.job.name {
            format!("{}-service", service.alias)
        } else {
            service.alias.clone()
        }
    }

    pub(super) fn script(&self, uuid: StepUuid, network: &str, target: Target<'_>) -> Step {
        let mut step = self.commands(&self.job.name, uuid, &self.job.script);
        self.place(&mut step, target);
        if !network.is_empty() {
            step.networks = vec![Conn { name: network.to_owned(), aliases: Vec::new() }];
        }
        step
    }

    pub(super) fn after_script(&self, uuid: StepUuid, target: Target<'_>) -> Step {
        let mut step = self.commands("after_script", uuid, &self.job.after_script);
        self.place(&mut step, target);
        step.failure = Some(FailurePolicy::Ignore);
        step
    }

    pub(super) fn on_the_host(&self, name: String, uuid: StepUuid, command: &str) -> Step {
        let mut step = self.commands(&name, uuid, &[command.to_owned()]);
        HOST_SHELL.clone_into(&mut step.image);
        step
    }

    /// A step with commands in the job's workspace and environment.
    fn commands(&self, name: &str, uuid: StepUuid, commands: &[String]) -> Step {
        let workdir = self.job.workdir.as_deref().unwrap_or(DEFAULT_WORKDIR);
        commands_in(workdir, self.environment, self.labels, name, uuid, commands)
    }

    /// Puts a step into the job's image, network and limits.
    fn place(&self, step: &mut Step, target: Target<'_>) {
        let given = self.job.image.as_deref().unwrap_or_default();
        // On a backend without images the field names the shell.
        let image = if target.images || HOST_SHELLS.contains(&given) { given } else { HOST_SHELL };
        image.clone_into(&mut step.image);
        if self.job.network.host_access {
            let (name, ip) = HOST_ALIAS;
            step.extra_hosts = vec![HostAlias { name: name.to_owned(), ip: ip.to_owned() }];
        }
        if self.job.network.host_mode && target.images {
            HOST_MODE.clone_into(&mut step.network_mode);
        }
        let limits = limits(self.job.resources);
        if !limits.is_empty() {
            // The backends call them the same, each among its own options.
            step.backend_options.insert(target.backend.to_owned(), Value::Object(limits));
        }
    }
}

/// A step with commands on the host, in its workspace.
pub(super) fn on_the_host(
    environment: &Environment,
    labels: &BTreeMap<String, String>,
    name: &str,
    uuid: StepUuid,
    command: &str,
) -> Step {
    let mut step = commands_in(DEFAULT_WORKDIR, environment, labels, name, uuid, &[command.to_owned()]);
    HOST_SHELL.clone_into(&mut step.image);
    step
}

fn commands_in(
    workdir: &str,
    environment: &Environment,
    labels: &BTreeMap<String, String>,
    name: &str,
    uuid: StepUuid,
    commands: &[String],
) -> Step {
    let mut step = Step::new(name, uuid);
    step.kind = StepType::Commands;
    step.commands = commands.to_vec();
    step.working_dir = workdir.to_owned();
    step.workspace_base = workdir.to_owned();
    step.environment.clone_from(&environment.all);
    step.secret_mapping.clone_from(&environment.secrets);
    step.workflow_labels.clone_from(labels);
    step
}

fn limits(resources: Resources) -> Map<String, Value> {
    let cpus = resources.cpu_millis.map(|millis| ("cpus".to_owned(), json!(f64::from(millis) / 1000.0)));
    let memory = resources.memory.map(|bytes| ("memory".to_owned(), json!(bytes)));
    cpus.into_iter().chain(memory).collect()
}
