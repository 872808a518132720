//! From a request to the job that the runtime runs: everything that can be wrong with a request is found here, before anything is made.
//! Which ids are taken is not known here.

mod graphics;
mod spec;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use jobwright_backend::Backend;
use jobwright_model::labels;
use jobwright_model::{
    ExecutionRequest, Job, Phase, PortToBind, Resources, Secret, Stage, Step, StepUuid, Timeouts, Workflow,
};
use jobwright_redact::MIN_SECRET_BYTES;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::provision;
use spec::Spec;

/// More variables than this are a mistake.
const MOST_VARIABLES: usize = 4096;
/// The longest variable, name and value, that Linux passes on.
const LONGEST_VARIABLE: usize = 128 << 10;
/// All variables together; the kernel's limit for them and the arguments is not much higher.
const MOST_BYTES: usize = 1 << 20;
/// The name server besides the gateway (nunet.md 2.7).
const SECOND_NAME_SERVER: &str = "1.1.1.1";

/// The job of a request that `backend` is to run.
pub(crate) fn job(request: &ExecutionRequest, backend: &dyn Backend) -> Result<Job> {
    let target = Target::of(backend);
    let spec = Spec::of(&request.engine_spec, target)?;
    let mut step = Step::new("execution", StepUuid::random());
    step.image.clone_from(&spec.image);
    step.working_dir.clone_from(&spec.working_directory);
    step.privileged = spec.privileged;
    step.environment = environment(request, &spec)?;
    step.secret_mapping.clone_from(&request.secrets);
    step.volumes = volumes::of(request, target)?;
    check_results_dir(request)?;
    check_secrets(request)?;
    if request.timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Err(Error::invalid("timeout", "it is 0; leave it out for none"));
    }
    let mut options = limits(&request.resources, backend)?;
    graphics::add(&request.resources.gpus, target, &mut step, &mut options)?;
    provision::check(request, target)?;
    let command = provision::command(request, target, spec.command(), &mut step.working_dir);
    set_command(&mut step, command, target, &mut options);
    reach(request, target, &mut step, &mut options)?;
    if let Some(user) = &spec.user {
        options.insert("user".to_owned(), json!(user));
    }
    if !options.is_empty() {
        step.backend_options.insert(target.options().to_owned(), Value::Object(options));
    }
    step.workflow_labels = BTreeMap::from([(labels::JOB.to_owned(), request.job_id.to_string())]);
    Ok(whole(request, target, step))
}

/// What of a backend decides how it is told things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// It runs images; else the programs of this host.
    pub(crate) images: bool,
}

impl Target {
    fn of(backend: &dyn Backend) -> Self {
        Self { name: backend.name(), images: backend.capabilities().images }
    }

    /// Under which name it looks for its options in a step.
    fn options(self) -> &'static str {
        if self.images { "docker" } else { self.name }
    }

    pub(crate) fn unsupported(self, what: impl Into<String>) -> Error {
        Error::Unsupported { backend: self.name.to_owned(), what: what.into() }
    }
}

/// The program and its arguments; an image's own entrypoint comes before a `cmd` that stands alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) entrypoint: Vec<String>,
    pub(crate) cmd: Vec<String>,
}

fn set_command(step: &mut Step, command: Command, target: Target, options: &mut Map<String, Value>) {
    let Command { entrypoint, cmd } = command;
    if target.images && entrypoint.is_empty() {
        if !cmd.is_empty() {
            options.insert("cmd".to_owned(), json!(cmd));
        }
        return;
    }
    step.entrypoint = entrypoint.into_iter().chain(cmd).collect();
}

fn whole(request: &ExecutionRequest, target: Target, step: Step) -> Job {
    let secrets = request.secrets.iter();
    let secrets = secrets.map(|(name, value)| Secret { name: name.clone(), value: value.clone() }).collect();
    // Only what brings files of its own needs a workspace.
    let needs_workspace = !target.images && !request.provision_scripts.is_empty();
    let volume = if needs_workspace { format!("jw_{}", step.uuid) } else { String::new() };
    let workflow =
        Workflow { stages: vec![Stage { steps: vec![step] }], secrets, volume, ..Workflow::default() };
    let phase = Phase { backend: target.name.to_owned(), workflow, ..Phase::default() };
    Job {
        name: request.execution_id.to_string(),
        phases: vec![phase],
        timeouts: Timeouts { total: request.timeout, ..Timeouts::default() },
        labels: BTreeMap::new(),
    }
}

/// The engine's own variables, below the request's; secrets are apart.
fn environment(request: &ExecutionRequest, spec: &Spec) -> Result<BTreeMap<String, String>> {
    let mut environment = spec.environment.clone();
    environment.extend(request.environment.clone());
    let all = environment.iter().map(|variable| ("environment", variable));
    let all = all.chain(request.secrets.iter().map(|variable| ("secrets", variable)));
    let (mut count, mut bytes) = (0, 0);
    for (field, (name, value)) in all {
        // The value may be secret: it is not shown.
        let wrong = |reason: &str| Error::invalid(format!("{field}.{name}"), reason);
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Error::invalid(field, format!("{name:?} cannot be a variable's name")));
        }
        if value.contains('\0') {
            return Err(wrong("its value holds a zero byte"));
        }
        let length = name.len() + value.len() + 2;
        if length > LONGEST_VARIABLE {
            return Err(wrong("it is longer than the 128 KiB that a program can be given"));
        }
        count += 1;
        bytes += length;
    }
    if count > MOST_VARIABLES || bytes > MOST_BYTES {
        let reason = format!(
            "{count} variables of {bytes} bytes are more than an execution gets: at most {MOST_VARIABLES} of {MOST_BYTES} bytes"
        );
        return Err(Error::invalid("environment", reason));
    }
    if let Some(name) = environment.keys().find(|name| request.secrets.contains_key(*name)) {
        return Err(Error::invalid(
            format!("secrets.{name}"),
            "a variable of that name is in the environment too",
        ));
    }
    Ok(environment)
}

/// An id is seen by everybody, so nothing secret may be in it; and what cannot be masked is not taken for a secret (DESIGN rule 3).
fn check_secrets(request: &ExecutionRequest) -> Result<()> {
    let ids = [request.execution_id.as_str(), request.job_id.as_str()];
    for (name, value) in request.secrets.iter().filter(|(_, value)| !value.is_empty()) {
        if value.len() < MIN_SECRET_BYTES {
            let reason =
                format!("its value is shorter than {MIN_SECRET_BYTES} bytes, and would not be masked");
            return Err(Error::invalid(format!("secrets.{name}"), reason));
        }
        if ids.iter().any(|id| id.contains(value.as_str())) {
            return Err(Error::invalid(
                format!("secrets.{name}"),
                "its value is in an id, which is not masked",
            ));
        }
    }
    Ok(())
}

fn check_results_dir(request: &ExecutionRequest) -> Result<()> {
    let wrong = |reason: String| Err(Error::invalid("results_dir", reason));
    let Some(dir) = &request.results_dir else {
        return if request.outputs.is_empty() { Ok(()) } else { wrong("outputs need one".to_owned()) };
    };
    if !dir.is_absolute() || volumes::has_dots(dir) || dir.as_os_str().as_encoded_bytes().contains(&0) {
        return wrong(format!("{} is not an absolute path without `..`", dir.display()));
    }
    match fs::symlink_metadata(dir) {
        Ok(data) if data.is_dir() => Ok(()),
        Ok(_) => wrong(format!("{} is not a directory (links are not followed)", dir.display())),
        Err(_) if dir.parent().is_some_and(Path::is_dir) => Ok(()),
        Err(error) => wrong(format!("{} cannot be made: {error}", dir.display())),
    }
}

/// What the backend is told of the processors and the memory; a limit that it does not keep is refused (nunet.md 8, items 56 to 58).
fn limits(resources: &Resources, backend: &dyn Backend) -> Result<Map<String, Value>> {
    let Resources { cpu_cores, ram_bytes, disk_bytes, .. } = resources;
    let target = Target::of(backend);
    let mut options = Map::new();
    if disk_bytes.is_some() {
        return Err(target.unsupported("a limit on disk"));
    }
    if let Some(cores) = cpu_cores {
        if !(0.001..=4096.0).contains(cores) {
            return Err(Error::invalid("resources.cpu_cores", format!("{cores} is not from 0.001 to 4096")));
        }
        options.insert("cpus".to_owned(), json!(cores));
    }
    if let Some(bytes) = ram_bytes {
        let wrong = |reason: &str| Error::invalid("resources.ram_bytes", format!("{bytes} bytes {reason}"));
        let size = i64::try_from(*bytes).map_err(|_| wrong("are more than there can be"))?;
        if size < 1 << 20 {
            return Err(wrong("are too few: no program starts in less than 1 MiB"));
        }
        options.insert("memory".to_owned(), json!(size));
    }
    if !options.is_empty() && !backend.capabilities().limits {
        return Err(target.unsupported("limits on processors and memory"));
    }
    Ok(options)
}

/// Ports into it, and whom it asks for names (nunet.md 2.7).
fn reach(
    request: &ExecutionRequest,
    target: Target,
    step: &mut Step,
    options: &mut Map<String, Value>,
) -> Result<()> {
    check_ports(&request.ports_to_bind)?;
    if !target.images && !request.ports_to_bind.is_empty() {
        return Err(target.unsupported("ports: what it runs has the host's own"));
    }
    if !target.images && request.gateway_ip.is_some() {
        return Err(target.unsupported("name servers: what it runs has the host's own"));
    }
    if !request.ports_to_bind.is_empty() {
        options.insert("bindings".to_owned(), request.ports_to_bind.iter().map(binding).collect());
    }
    if let Some(gateway) = request.gateway_ip {
        step.dns = vec![gateway.to_string(), SECOND_NAME_SERVER.to_owned()];
        step.dns_search = vec!["internal".to_owned()];
        options.insert("dns_options".to_owned(), json!(["ndots:1", "timeout:2", "attempts:1"]));
    }
    Ok(())
}

fn binding(port: &PortToBind) -> Value {
    let mut binding = json!({"host_port": port.host_port, "port": port.executor_port});
    if let Some(ip) = port.ip {
        binding["ip"] = json!(ip.to_string());
    }
    binding
}

fn check_ports(ports: &[PortToBind]) -> Result<()> {
    let mut taken = BTreeSet::new();
    for (place, port) in ports.iter().enumerate() {
        let wrong = |reason: String| Err(Error::invalid(format!("ports_to_bind[{place}]"), reason));
        if port.executor_port == 0 {
            return wrong("executor_port is 0; it is 1 to 65535".to_owned());
        }
        if port.host_port != 0 && !taken.insert((port.ip, port.host_port)) {
            return wrong(format!("the host's port {} is bound twice", port.host_port));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
