//! From a step to the container that the engine is asked for. Pure: everything that can be wrong with how a step is written
//! is found here, before the engine hears of it. Not for talking to the engine (`prepare`).

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointSettings, HostConfig, HostConfigLogConfig, NetworkingConfig,
};
use jobwright_backend::{Error, Result};
use jobwright_model::{Conn, OwnerId, Step, StepType, TaskUuid};

use crate::belongings::{WORKSPACE, container_labels};
use crate::engine::EngineKind;
use crate::environment::Environment;
use crate::options::Options;
use crate::plan::Plan;
use crate::ports::Ports;
use crate::script::Script;
use crate::settings::DockerSettings;

/// What a container is made from besides its step.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) owner: &'a OwnerId,
    pub(crate) task: &'a TaskUuid,
    pub(crate) plan: &'a Plan,
    pub(crate) settings: &'a DockerSettings,
    pub(crate) kind: EngineKind,
}

/// A container to be made.
#[derive(Debug)]
pub(crate) struct Blueprint {
    /// What the engine is asked to create.
    pub(crate) body: ContainerCreateBody,
    /// The image's platform, where the step names one.
    pub(crate) platform: Option<String>,
    /// Networks to be joined after the creation, which can name only the first.
    pub(crate) further_networks: Vec<(String, EndpointSettings)>,
    /// What goes in as files before the start: a tar archive for `/`.
    pub(crate) files: Option<Vec<u8>>,
    /// Where the task's workspace is in the container; none when the step says nothing of it.
    pub(crate) workspace: Option<String>,
}

impl Blueprint {
    /// The container for `step`.
    ///
    /// # Errors
    /// [`Error::UnsupportedStepType`]; [`Error::InvalidStep`] with the field, what is wrong with it and what would be right.
    pub(crate) fn of(step: &Step, around: Surroundings<'_>) -> Result<Self> {
        if let StepType::Unknown(_) = step.kind {
            return Err(Error::UnsupportedStepType {
                backend: "docker",
                name: step.name.clone(),
                kind: step.kind.clone(),
            });
        }
        let options = Options::of(step)?;
        let script = (!step.commands.is_empty()).then(|| Script::new(&step.commands, &step.working_dir));
        let environment = Environment::of(step, script.as_ref())?;
        let binds = binds(step, around)?;
        let workspace = workspace(step, around.plan, &binds);
        let mut networks = networks(step, around).into_iter();
        let first = networks.next();
        let ports = Ports::of(step, &options)?;
        let mut labels = container_labels(around.owner, around.task, step);
        labels.extend(workspace.iter().map(|place| (WORKSPACE.to_owned(), place.clone())));
        // The script goes to its own directory; without one the process begins there, and the engine makes what is missing.
        let directory = if script.is_some() { &step.workspace_base } else { &step.working_dir };
        let body = ContainerCreateBody {
            image: Some(step.image.clone()),
            user: options.user.clone(),
            env: Some(environment.visible.clone()),
            entrypoint: entrypoint(step, script.as_ref()),
            cmd: cmd(step, &options)?,
            working_dir: Some(directory.clone()).filter(|directory| !directory.is_empty()),
            labels: Some(labels),
            exposed_ports: ports.exposed,
            host_config: Some(HostConfig {
                binds: Some(binds).filter(|binds| !binds.is_empty()),
                tmpfs: tmpfs(step),
                devices: devices(step)?,
                device_requests: options.gpus.requests(step, around.kind)?,
                group_add: unless_empty(&options.groups),
                dns: dns(step)?,
                dns_options: unless_empty(&options.dns_options),
                dns_search: unless_empty(&step.dns_search),
                extra_hosts: extra_hosts(step)?,
                privileged: Some(step.privileged),
                network_mode: network_mode(step, around.plan, first.as_ref()),
                port_bindings: ports.bindings,
                security_opt: around
                    .settings
                    .apparmor_profile
                    .as_ref()
                    .map(|name| vec![format!("apparmor={name}")]),
                log_config: Some(log_config(around.kind)),
                pids_limit: options.pids_limit,
                ..limits(&options, around.settings)
            }),
            networking_config: first
                .map(|network| NetworkingConfig { endpoints_config: Some(HashMap::from([network])) }),
            ..ContainerCreateBody::default()
        };
        Ok(Self {
            body,
            platform: options.platform,
            further_networks: networks.collect(),
            files: environment.archive(),
            workspace,
        })
    }
}

/// A step's own entrypoint wins over the script's, which is then its own to run (`CI_SCRIPT`).
fn entrypoint(step: &Step, script: Option<&Script>) -> Option<Vec<String>> {
    if !step.entrypoint.is_empty() {
        return Some(step.entrypoint.clone());
    }
    script.map(|_| Script::entrypoint())
}

/// Arguments for the image's own entrypoint or the step's. The script that `commands` become reads none.
fn cmd(step: &Step, options: &Options) -> Result<Option<Vec<String>>> {
    if !options.cmd.is_empty() && !step.commands.is_empty() && step.entrypoint.is_empty() {
        let why = "backend_options.docker.cmd is for an entrypoint, the image's or the step's own, and the step has commands in its place";
        return Err(Error::invalid_step(step, why));
    }
    Ok(unless_empty(&options.cmd))
}

/// None for an empty list, which engines take for what the image says.
fn unless_empty(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// Logs that keep everything, whatever the engine's own default says. Docker's `local` driver keeps every byte, where
/// `json-file` replaces what is not UTF-8; it knows no "unlimited", only a size that is never reached. Podman takes the name
/// `json-file` for its own format, which keeps every byte and has no limit of its own.
fn log_config(kind: EngineKind) -> HostConfigLogConfig {
    let (driver, config) = match kind {
        EngineKind::Docker => ("local", Some(HashMap::from([("max-size".to_owned(), "9000p".to_owned())]))),
        EngineKind::Podman => ("json-file", None),
    };
    HostConfigLogConfig { typ: Some(driver.to_owned()), config }
}

/// Limits: the step's own where it has one, but never above the operator's.
fn limits(options: &Options, settings: &DockerSettings) -> HostConfig {
    let set = |number: u64| i64::try_from(number).ok().filter(|number| *number > 0);
    let lower = |own: Option<i64>, most: Option<i64>| match (own, most) {
        (Some(own), Some(most)) => Some(own.min(most)),
        (own, most) => own.or(most),
    };
    let memory = lower(options.memory, set(settings.limit_mem));
    let quota = set(settings.limit_cpu_quota);
    // A quota is per 100 ms, that is 10 000 billionths of a processor for each microsecond. Engines take one form or the other.
    let cpus = options.nano_cpus.map(|own| quota.map_or(own, |quota| own.min(quota.saturating_mul(10_000))));
    HostConfig {
        memory,
        memory_swap: set(settings.limit_mem_swap).filter(|swap| memory.is_some_and(|memory| *swap >= memory)),
        shm_size: lower(options.shm_size, set(settings.limit_shm_size)),
        nano_cpus: cpus,
        cpu_quota: quota.filter(|_| cpus.is_none()),
        cpu_shares: set(settings.limit_cpu_shares),
        cpuset_cpus: settings.limit_cpu_set.clone(),
        ..HostConfig::default()
    }
}

/// The step's volumes, the workspace, and the operator's, none twice. Where two want one place, the step's wins.
fn binds(step: &Step, around: Surroundings<'_>) -> Result<Vec<String>> {
    let mut binds: Vec<String> = Vec::new();
    let taken = |binds: &[String], place: &str| binds.iter().any(|bind| destination(bind) == place);
    for volume in &step.volumes {
        let parts: Vec<&str> = volume.split(':').collect();
        let (source, rest) = match parts.as_slice() {
            [source, rest @ ..]
                if matches!(rest.len(), 1 | 2) && !source.is_empty() && rest[0].starts_with('/') =>
            {
                (*source, rest.join(":"))
            }
            _ => {
                let why = format!("volume {volume:?} is not source:/destination or source:/destination:mode");
                return Err(Error::invalid_step(step, why));
            }
        };
        let bind = format!("{}:{rest}", around.plan.volume_name(source));
        if !binds.contains(&bind) {
            binds.push(bind);
        }
    }
    if let Some(volume) = &around.plan.volume
        && !step.workspace_base.is_empty()
        && !taken(&binds, &step.workspace_base)
        && !binds.iter().any(|bind| source(bind) == volume.name)
    {
        binds.insert(0, format!("{}:{}", volume.name, step.workspace_base));
    }
    for volume in &around.settings.volumes {
        if !taken(&binds, destination(volume)) {
            binds.push(volume.clone());
        }
    }
    Ok(binds)
}

fn source(bind: &str) -> &str {
    bind.split(':').next().unwrap_or(bind)
}

fn destination(bind: &str) -> &str {
    bind.split(':').nth(1).unwrap_or(bind)
}

/// Where the workspace is: where its volume is mounted, or where it would be if there were one.
fn workspace(step: &Step, plan: &Plan, binds: &[String]) -> Option<String> {
    let place = match &plan.volume {
        Some(volume) => binds.iter().find(|bind| source(bind) == volume.name).map(|bind| destination(bind)),
        None => [&step.workspace_base, &step.working_dir]
            .into_iter()
            .find(|path| !path.is_empty())
            .map(String::as_str),
    };
    place.map(str::to_owned)
}

/// The networks that the step joins, with its names there; none when it says its network mode itself.
fn networks(step: &Step, around: Surroundings<'_>) -> Vec<(String, EndpointSettings)> {
    if !step.network_mode.is_empty() {
        return Vec::new();
    }
    let operators =
        around.settings.network.iter().map(|name| Conn { name: name.clone(), aliases: Vec::new() });
    let mut joined: Vec<(String, EndpointSettings)> = Vec::new();
    for network in step.networks.iter().cloned().chain(operators) {
        let name = around.plan.network_name(&network.name).to_owned();
        let mut aliases = vec![step.name.clone()];
        aliases.extend(network.aliases);
        match joined.iter_mut().find(|(known, _)| *known == name) {
            Some((_, endpoint)) => endpoint.aliases.get_or_insert_default().extend(aliases),
            None => joined
                .push((name, EndpointSettings { aliases: Some(aliases), ..EndpointSettings::default() })),
        }
    }
    for (_, endpoint) in &mut joined {
        let mut seen = Vec::new();
        endpoint.aliases.get_or_insert_default().retain(|alias| {
            let new = !alias.is_empty() && !seen.contains(alias);
            seen.push(alias.clone());
            new
        });
    }
    joined
}

fn network_mode(step: &Step, plan: &Plan, first: Option<&(String, EndpointSettings)>) -> Option<String> {
    if step.network_mode.is_empty() {
        return first.map(|(name, _)| name.clone());
    }
    Some(plan.network_name(&step.network_mode).to_owned())
}

fn tmpfs(step: &Step) -> Option<HashMap<String, String>> {
    let split = |mount: &String| match mount.split_once(':') {
        Some((path, options)) => (path.to_owned(), options.to_owned()),
        None => (mount.clone(), String::new()),
    };
    Some(step.tmpfs.iter().map(split).collect()).filter(|mounts: &HashMap<_, _>| !mounts.is_empty())
}

fn devices(step: &Step) -> Result<Option<Vec<DeviceMapping>>> {
    let mut devices = Vec::with_capacity(step.devices.len());
    for device in &step.devices {
        let mut parts = device.split(':');
        let host = parts.next().unwrap_or_default();
        let container = parts.next().unwrap_or(host);
        let permissions = parts.next().unwrap_or("rwm");
        let sound = host.starts_with('/')
            && container.starts_with('/')
            && !permissions.is_empty()
            && permissions.chars().all(|letter| "rwm".contains(letter))
            && parts.next().is_none();
        if !sound {
            let why = format!(
                "device {device:?} is not /host/path:/container/path with permissions out of r, w, m after it"
            );
            return Err(Error::invalid_step(step, why));
        }
        devices.push(DeviceMapping {
            path_on_host: Some(host.to_owned()),
            path_in_container: Some(container.to_owned()),
            cgroup_permissions: Some(permissions.to_owned()),
        });
    }
    Ok(Some(devices).filter(|devices| !devices.is_empty()))
}

fn dns(step: &Step) -> Result<Option<Vec<String>>> {
    for server in &step.dns {
        if server.parse::<IpAddr>().is_err() {
            return Err(Error::invalid_step(step, format!("dns server {server:?} is not an IP address")));
        }
    }
    Ok(unless_empty(&step.dns))
}

fn extra_hosts(step: &Step) -> Result<Option<Vec<String>>> {
    let mut hosts = Vec::with_capacity(step.extra_hosts.len());
    for host in &step.extra_hosts {
        let sound = host.ip == "host-gateway" || host.ip.parse::<IpAddr>().is_ok();
        if !sound || host.name.is_empty() || host.name.contains(char::is_whitespace) {
            let why = format!(
                "extra host {:?} with address {:?} is not a name and an IP address (or host-gateway)",
                host.name, host.ip
            );
            return Err(Error::invalid_step(step, why));
        }
        hosts.push(format!("{}:{}", host.name, host.ip));
    }
    Ok(Some(hosts).filter(|hosts| !hosts.is_empty()))
}

#[cfg(test)]
mod tests;
