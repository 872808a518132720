//! A queued job's steps as a job of phases: docker steps in containers, then cli steps on this host, all on one workspace; before them git on this host
//! (sourcegraph.md 4.4 to 4.6). Not for how they are run.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jobwright_model::{Auth, HostAlias, Job, Phase, Stage, Step, StepUuid, Workflow};
use jobwright_queue::{Payload, directory_path};
use jobwright_redact::Masker;
use serde_json::{Map, Value, json};

use super::argv::{self, WORKSPACE, docker_run};
use super::checkout;
use super::files::script_name;
use super::observer::Known;
use crate::settings::HostRules;

/// A job, and what its log calls its steps.
pub(crate) struct Planned {
    pub(crate) job: Job,
    pub(crate) known: HashMap<StepUuid, Known>,
}

/// The workspace's volume, in a task's own words.
const VOLUME: &str = "data";

struct Planner<'a> {
    rules: &'a HostRules,
    masker: &'a Masker,
    known: HashMap<StepUuid, Known>,
}

impl Planner<'_> {
    fn step(&mut self, key: String, command: &[String]) -> Step {
        let step = Step::new(key.clone(), StepUuid::random());
        let command = command.iter().map(|word| self.masker.mask_str(word).into_owned()).collect();
        self.known.insert(step.uuid.clone(), Known { key, command });
        step
    }

    fn planned(self, name: &str, phases: Vec<Phase>) -> Planned {
        Planned { job: Job { name: name.to_owned(), phases, ..Job::default() }, known: self.known }
    }
}

/// Git, in the directory `into` itself.
pub(crate) fn checkout(
    payload: &Payload,
    into: &Path,
    url: &str,
    rules: &HostRules,
    masker: &Masker,
) -> Planned {
    let mut planner = Planner { rules, masker, known: HashMap::new() };
    let stages = checkout::steps(payload, into, url)
        .into_iter()
        .map(|(key, command)| {
            let mut step = planner.step(key.to_owned(), &command);
            step.environment =
                checkout::ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            step.entrypoint = command;
            Stage { steps: vec![step] }
        })
        .collect();
    let workflow = Workflow { stages, ..Workflow::default() };
    let phase = Phase { backend: rules.process_backend.clone(), workflow, ..Phase::default() };
    planner.planned("setup", vec![phase])
}

/// The steps of the job itself. `host_dir` is where its workspace was prepared.
pub(crate) fn steps(
    id: i64,
    payload: &Payload,
    host_dir: &Path,
    rules: &HostRules,
    masker: &Masker,
) -> Planned {
    let mut planner = Planner { rules, masker, known: HashMap::new() };
    let mut phases = Vec::new();
    if !payload.docker_steps.is_empty() {
        let stages = (0..payload.docker_steps.len()).map(|place| {
            let step = docker_step(&mut planner, id, place, payload, host_dir);
            Stage { steps: vec![step] }
        });
        let workflow =
            Workflow { stages: stages.collect(), volume: VOLUME.to_owned(), ..Workflow::default() };
        phases.push(Phase { backend: rules.docker_backend.clone(), workflow, ..Phase::default() });
    }
    if !payload.cli_steps.is_empty() {
        let stages = payload.cli_steps.iter().enumerate().map(|(place, cli)| {
            let command: Vec<String> = [rules.src.clone()].into_iter().chain(cli.commands.clone()).collect();
            let mut step = planner.step(key("src", &cli.key, place), &command);
            step.entrypoint = command;
            step.environment = variables(&cli.env);
            step.workspace_base = WORKSPACE.to_owned();
            step.working_dir = working_dir(&cli.dir);
            Stage { steps: vec![step] }
        });
        let workflow =
            Workflow { stages: stages.collect(), volume: VOLUME.to_owned(), ..Workflow::default() };
        phases.push(Phase { backend: rules.process_backend.clone(), workflow, ..Phase::default() });
    }
    planner.planned("steps", phases)
}

fn docker_step(planner: &mut Planner<'_>, id: i64, place: usize, payload: &Payload, host_dir: &Path) -> Step {
    let (docker, rules) = (&payload.docker_steps[place], planner.rules);
    let script = script_name(id, place, payload);
    let auth = auth_for(&docker.image, payload, rules);
    let shown = docker_run(docker, &script, &host_dir.to_string_lossy(), auth.is_complete(), rules);
    let mut step = planner.step(key("docker", &docker.key, place), &shown);
    step.image.clone_from(&docker.image);
    step.entrypoint = vec!["/bin/sh".to_owned(), argv::script_path(&script)];
    step.workspace_base = WORKSPACE.to_owned();
    step.working_dir = working_dir(&docker.dir);
    step.environment = variables(&docker.env);
    step.auth_config = auth;
    if rules.add_host_gateway {
        step.extra_hosts = vec![HostAlias { name: "host.docker.internal".into(), ip: "host-gateway".into() }];
    }
    let mut options = Map::new();
    if rules.cpus > 0.0 {
        options.insert("cpus".to_owned(), json!(rules.cpus));
    }
    if !matches!(rules.memory.as_str(), "" | "0") {
        options.insert("memory".to_owned(), json!(rules.memory.to_lowercase()));
    }
    if !options.is_empty() {
        step.backend_options.insert("docker".to_owned(), Value::Object(options));
    }
    step
}

/// `step.KIND.KEY`, or its number where it has no key.
fn key(kind: &str, key: &str, place: usize) -> String {
    if key.is_empty() { format!("step.{kind}.{place}") } else { format!("step.{kind}.{key}") }
}

/// It was checked when the job was taken.
fn working_dir(dir: &str) -> String {
    argv::directory(&directory_path(dir).unwrap_or_default())
}

fn variables(env: &[String]) -> BTreeMap<String, String> {
    let pairs = env.iter().filter_map(|variable| variable.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The credentials for an image's registry: the job's own before the agent's.
fn auth_for(image: &str, payload: &Payload, rules: &HostRules) -> Auth {
    let names = registries(image);
    if payload.docker_auths.is_empty() {
        return names.iter().find_map(|name| rules.auths.get(*name)).cloned().unwrap_or_default();
    }
    let own = names.iter().find_map(|name| payload.docker_auths.get(*name));
    let text = own.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
    let (username, password) = text.split_once(':').unwrap_or_default();
    Auth { username: username.to_owned(), password: password.to_owned() }
}

/// The names that an image's registry has in a configuration of docker.
fn registries(image: &str) -> Vec<&str> {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => vec![host],
        _ => vec!["https://index.docker.io/v1/", "index.docker.io", "docker.io"],
    }
}

#[cfg(test)]
mod tests {
    use jobwright_queue::{CliStep, DockerStep};

    use super::*;

    fn payload() -> Payload {
        let docker = |key: &str| DockerStep {
            key: key.to_owned(),
            image: "alpine".to_owned(),
            ..DockerStep::default()
        };
        let cli = |key: &str| CliStep {
            key: key.to_owned(),
            commands: vec!["version".to_owned()],
            ..CliStep::default()
        };
        Payload {
            docker_steps: vec![docker(""), docker("x.run")],
            cli_steps: vec![cli(""), cli("batch-exec")],
            ..Payload::default()
        }
    }

    fn no_secrets() -> Masker {
        Masker::builder().build().masker
    }

    // covers: sourcegraph 42, 62
    #[test]
    fn docker_steps_come_before_cli_steps_each_under_its_key_or_its_number() {
        let planned = steps(7, &payload(), Path::new("/w"), &HostRules::default(), &no_secrets());
        let names: Vec<Vec<&str>> = planned
            .job
            .phases
            .iter()
            .map(|phase| phase.workflow.steps().map(|step| step.name.as_str()).collect())
            .collect();
        assert_eq!(names, [["step.docker.0", "step.docker.x.run"], ["step.src.0", "step.src.batch-exec"]]);
        assert!(
            planned.job.phases.iter().all(|phase| phase.workflow.stages.len() == 2),
            "one after the other"
        );
    }

    #[test]
    fn a_jobs_own_credentials_beat_the_agents() {
        let mut rules = HostRules::default();
        rules
            .auths
            .insert("registry.example".into(), Auth { username: "agent".into(), password: "a".into() });
        let user = |payload: &Payload, image| auth_for(image, payload, &rules).username;
        assert_eq!(user(&payload(), "registry.example/x:1"), "agent");
        assert_eq!(user(&payload(), "other.example/x:1"), "");
        let mut own = payload();
        own.docker_auths.insert("registry.example".into(), b"job:p:w".to_vec());
        assert_eq!(user(&own, "registry.example/x:1"), "job");
        assert_eq!(auth_for("registry.example/x", &own, &rules).password, "p:w");
        own.docker_auths.insert("https://index.docker.io/v1/".into(), b"hub:x".to_vec());
        assert_eq!(user(&own, "alpine"), "hub");
    }
}
