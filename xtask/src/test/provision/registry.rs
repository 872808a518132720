//! Two registries on loopback, one open and one that wants a password, with the base image in each. Not for
//! anything that outlives the test run.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::super::processes::{self, Service};
use super::super::suites::find_program;
use super::image;

const USER: &str = "jobwright";
// Guards nothing: the registry is on loopback for the time of the tests.
const PASSWORD: &str = "correct-horse-battery";
const LIMIT: Duration = Duration::from_secs(60);

/// The running registries and where they are.
pub(crate) struct Registries {
    pub(crate) services: Vec<Service>,
    pub(crate) environment: Vec<(String, String)>,
}

/// Starts both and puts the base image into them, out of the Docker engine at `docker`, else out of Podman.
pub(crate) fn start(logs: &Path, files: &Path, docker: Option<&str>) -> Result<Registries> {
    let layout = saved_image(files, docker)?;
    let (open, open_at) = serve(logs, files, "registry", "")?;
    push(&layout, &open_at, &[])?;

    let passwords = files.join("htpasswd");
    let line = processes::output(Command::new("htpasswd").args(["-Bbn", USER, PASSWORD]), LIMIT)?;
    fs::write(&passwords, line)?;
    let auth = format!("auth:\n  htpasswd:\n    realm: jobwright\n    path: {}\n", passwords.display());
    let (closed, closed_at) = serve(logs, files, "auth-registry", &auth)?;
    push(&layout, &closed_at, &["--dest-creds", &format!("{USER}:{PASSWORD}")])?;

    let environment = [
        ("JOBWRIGHT_TEST_REGISTRY", open_at.as_str()),
        ("JOBWRIGHT_TEST_AUTH_REGISTRY", &closed_at),
        ("JOBWRIGHT_TEST_REGISTRY_USER", USER),
        ("JOBWRIGHT_TEST_REGISTRY_PASSWORD", PASSWORD),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Ok(Registries { services: vec![open, closed], environment })
}

fn serve(logs: &Path, files: &Path, name: &str, auth: &str) -> Result<(Service, String)> {
    let program = find_program("docker-registry").context("docker-registry is not installed")?;
    let address = free_address()?;
    let settings = format!(
        "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
         http:\n  addr: {address}\n{auth}",
        files.join(name).display()
    );
    let file = files.join(format!("{name}.yml"));
    fs::write(&file, settings)?;
    let mut command = Command::new(program);
    command.arg("serve").arg(&file);
    let mut service = Service::start(name, &mut command, &logs.join(format!("{name}.log")))?;
    service.wait_until(LIMIT, || TcpStream::connect(&address).is_ok())?;
    Ok((service, address))
}

/// A port that nobody listens on. Another program could take it before the registry does; then the registry
/// says so and ends, and the tests that need it skip.
fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The image as an archive that skopeo copies from.
fn saved_image(files: &Path, docker: Option<&str>) -> Result<String> {
    let archive = files.join("image.tar");
    let mut command = Command::new("skopeo");
    command.arg("copy");
    match docker {
        Some(host) => {
            command.arg(format!("--src-daemon-host={host}")).arg(format!("docker-daemon:{}", image::NAME));
        }
        None => {
            command.arg(format!("containers-storage:localhost/{}", image::NAME));
        }
    }
    command.arg(format!("docker-archive:{}:{}", archive.display(), image::NAME));
    processes::output(&mut command, LIMIT).context("failed to take the base image out of its engine")?;
    Ok(format!("docker-archive:{}", archive.display()))
}

fn push(source: &str, address: &str, credentials: &[&str]) -> Result<()> {
    let target = format!("docker://{address}/{}", image::NAME);
    let mut command = Command::new("skopeo");
    command.args(["copy", "--dest-tls-verify=false"]).args(credentials).args([source, &target]);
    processes::output(&mut command, LIMIT).with_context(|| format!("failed to push to {address}"))?;
    Ok(())
}
