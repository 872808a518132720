//! Finds or starts the container engines. Not for what runs in them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::super::processes::{self, Service};
use super::super::suites::find_program;

/// How long an engine may take to come up.
const COMES_UP: Duration = Duration::from_secs(60);
const ANSWERS: Duration = Duration::from_secs(10);

/// What Podman is told where there is neither systemd nor a user's own settings.
const PODMAN_SETTINGS: &str = "[containers]\n\
    # A sandbox may not let us raise the limits that Podman would ask for.\n\
    default_ulimits = [\"nofile=20000:20000\", \"nproc=32768:32768\"]\n\
    [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";

/// Loopback registries speak plain HTTP; Docker knows that of itself, Podman does not.
const PODMAN_REGISTRIES: &str =
    "[[registry]]\nprefix = \"127.0.0.1\"\nlocation = \"127.0.0.1\"\ninsecure = true\n";

/// Ways to start a Docker engine, from the usual one to those for a sandbox without overlayfs or iptables.
const DOCKERD: [&[&str]; 3] =
    [&[], &["--storage-driver=vfs"], &["--storage-driver=vfs", "--iptables=false", "--ip6tables=false"]];

/// The address of a Docker engine that answers already.
pub(crate) fn running_docker() -> Option<String> {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    answers(&host).then_some(host)
}

/// The package may have started an engine a moment ago; a second one would fight with it over its files.
fn docker_that_is_starting() -> Option<String> {
    let pid = std::fs::read_to_string("/var/run/docker.pid").ok()?;
    let deadline = Instant::now() + COMES_UP;
    while Path::new("/proc").join(pid.trim()).exists() && Instant::now() < deadline {
        if let Some(host) = running_docker() {
            return Some(host);
        }
        thread::sleep(Duration::from_millis(200));
    }
    None
}

/// A Docker engine, with the service when it had to be started.
pub(crate) fn docker(logs: &Path, files: &Path) -> Result<(String, Option<Service>)> {
    if let Some(host) = running_docker().or_else(docker_that_is_starting) {
        return Ok((host, None));
    }
    let program = find_program("dockerd").context("dockerd is not installed")?;
    let socket = files.join("docker.sock");
    let host = format!("unix://{}", socket.display());
    let mut failures = Vec::new();
    for (attempt, options) in DOCKERD.iter().enumerate() {
        let log = logs.join(format!("dockerd-{}.log", attempt + 1));
        let mut command = Command::new(&program);
        command.arg("--host").arg(&host).arg("--pidfile").arg(files.join("dockerd.pid"));
        command.arg("--exec-root").arg(files.join("dockerd-run")).args(*options);
        let mut service = Service::start("dockerd", &mut command, &log)?;
        match service.wait_until(COMES_UP, || answers(&host)) {
            Ok(()) => return Ok((host, Some(service))),
            Err(error) if processes::is_interrupted() => return Err(error),
            Err(error) => failures.push(format!("{error:#} (its log: {})", log.display())),
        }
    }
    bail!("{}", failures.join("; "))
}

/// A Podman service on a socket of its own.
pub(crate) fn podman(logs: &Path, files: &Path) -> Result<(String, Service)> {
    let program = find_program("podman").context("podman is not installed")?;
    for (name, text) in [("containers.conf", PODMAN_SETTINGS), ("registries.conf", PODMAN_REGISTRIES)] {
        std::fs::write(files.join(name), text)?;
    }
    let host = format!("unix://{}", files.join("podman.sock").display());
    let mut command = Command::new(program);
    command.args(["system", "service", "--time=0", &host]).envs(podman_settings(files));
    let mut service = Service::start("podman system service", &mut command, &logs.join("podman.log"))?;
    service.wait_until(COMES_UP, || answers(&host))?;
    Ok((host, service))
}

/// The variables under which `podman` sees our settings.
pub(crate) fn podman_settings(files: &Path) -> [(&'static str, PathBuf); 2] {
    [
        ("CONTAINERS_CONF", files.join("containers.conf")),
        ("CONTAINERS_REGISTRIES_CONF", files.join("registries.conf")),
    ]
}

fn answers(host: &str) -> bool {
    let Some(socket) = host.strip_prefix("unix://") else {
        return ping(&["--host", host]);
    };
    Path::new(socket).exists() && ping(&["--host", host])
}

fn ping(host: &[&str]) -> bool {
    let mut command = Command::new("docker");
    command.args(host).args(["version", "--format", "{{.Server.Version}}"]);
    processes::output(&mut command, ANSWERS).is_ok()
}
