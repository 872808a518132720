//! Brings up what the tests need on a fresh Debian machine: programs, engines, a base image, registries. Not
//! for the tests themselves, which learn of it by `JOBWRIGHT_TEST_*` variables only.
//!
//! | variable | what |
//! |---|---|
//! | `JOBWRIGHT_TEST_DOCKER_HOST`, `JOBWRIGHT_TEST_PODMAN_HOST` | an engine's address, `unix://...` |
//! | `JOBWRIGHT_TEST_IMAGE` | an image with a busybox, present in both engines |
//! | `JOBWRIGHT_TEST_REGISTRY` | `host:port` of a registry that has that image for everybody |
//! | `JOBWRIGHT_TEST_AUTH_REGISTRY` | `host:port` of one that wants a name and a password |
//! | `JOBWRIGHT_TEST_REGISTRY_USER`, `JOBWRIGHT_TEST_REGISTRY_PASSWORD` | those |

mod engines;
mod image;
mod packages;
mod registry;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use tempfile::TempDir;

use super::processes::Service;

/// What stands ready. Dropping it ends every service that was started, and removes their files.
#[derive(Default)]
pub(crate) struct Provisioned {
    pub(crate) environment: Vec<(String, String)>,
    /// What could not be had, and why.
    pub(crate) missing: Vec<String>,
    pub(crate) took: Duration,
    // The order matters: services end before their files go.
    services: Vec<Service>,
    files: Option<TempDir>,
}

impl Provisioned {
    /// What the caller's environment and this machine already have; nothing is touched.
    pub(crate) fn found() -> Self {
        let mut found = Self::default();
        found.environment.extend(std::env::vars().filter(|(name, _)| name.starts_with("JOBWRIGHT_TEST_")));
        if !found.has("JOBWRIGHT_TEST_DOCKER_HOST") {
            match engines::running_docker() {
                Some(host) => found.set("JOBWRIGHT_TEST_DOCKER_HOST", host),
                None => {
                    found.missing.push("no Docker engine answers here (--provision starts one)".to_owned())
                }
            }
        }
        for (name, what) in [
            ("JOBWRIGHT_TEST_PODMAN_HOST", "Podman service"),
            ("JOBWRIGHT_TEST_IMAGE", "base image"),
            ("JOBWRIGHT_TEST_REGISTRY", "registry"),
        ] {
            if !found.has(name) {
                found.missing.push(format!("no {what}: {name} is not set (--provision sets it)"));
            }
        }
        found
    }

    fn has(&self, name: &str) -> bool {
        self.environment.iter().any(|(known, _)| known == name)
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Keeps the service when it came up; notes why not otherwise.
    fn keep<T>(&mut self, what: &str, outcome: Result<T>) -> Option<T> {
        outcome.map_err(|error| self.missing.push(format!("{what}: {error:#}"))).ok()
    }
}

/// Installs, starts and builds. What cannot be had is noted, and the tests that need it skip.
///
/// # Errors
/// Only when there is no place for temporary files: every other failure is one thing that is missing.
pub(crate) fn run(logs: &Path) -> Result<Provisioned> {
    let begin = Instant::now();
    let mut got = Provisioned::default();
    let files = tempfile::Builder::new().prefix("jobwright-xtask-").tempdir()?;
    let installed = packages::install();
    got.keep("packages", installed);

    let docker = engines::docker(logs, files.path());
    if let Some((host, service)) = got.keep("Docker", docker) {
        got.services.extend(service);
        got.set("JOBWRIGHT_TEST_DOCKER_HOST", host);
    }
    let podman = engines::podman(logs, files.path());
    if let Some((host, service)) = got.keep("Podman", podman) {
        got.services.push(service);
        got.set("JOBWRIGHT_TEST_PODMAN_HOST", host);
    }
    let docker = got.environment.iter().find(|(name, _)| name == "JOBWRIGHT_TEST_DOCKER_HOST");
    let docker = docker.map(|(_, host)| host.clone());
    let image = image::build(files.path(), docker.as_deref());
    if got.keep("base image", image).is_some() {
        got.set("JOBWRIGHT_TEST_IMAGE", image::NAME);
        let registries = registry::start(logs, files.path(), docker.as_deref());
        if let Some(registries) = got.keep("registries", registries) {
            got.environment.extend(registries.environment);
            got.services.extend(registries.services);
        }
    }
    got.files = Some(files);
    got.took = begin.elapsed();
    Ok(got)
}
