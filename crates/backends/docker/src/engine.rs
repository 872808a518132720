//! The connection to an engine: where it is found, which API version is spoken, and which of the two engines it is. Not for
//! what is asked of it.
//!
//! Two things of bollard 0.21 are put right in [`adapt`], for every request: it leaves the API version out of the path, so
//! that a newer engine would answer in its newest dialect; and it encodes registry credentials in plain base64 where engines
//! read the URL-safe alphabet (and silently pull anonymously when they cannot). Two calls go through a request of bollard's
//! whose path is changed: Podman's `init`, which is not in Docker's API, and every answer that bollard would read too strictly
//! ([`Engine::get`]).

use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::{BollardRequest, Docker as Client};
use futures_util::TryStreamExt;
use jobwright_backend::{Error, Result};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::belongings::{Filters, carries, having};
use crate::failure;
use crate::place::Place;
use crate::records::{ContainerRecord, EngineRecord, HealthRecord, ListedContainer};
use crate::settings::DockerSettings;

/// How long an engine may take to say that it is there.
const FIRST_ANSWER: Duration = Duration::from_secs(5);
/// How long it may take to say what it is: Podman asks the package manager first, which takes seconds on a busy machine.
const INTRODUCTION: Duration = Duration::from_secs(30);
/// How long any call may take that neither waits for a step nor moves much data.
pub(crate) const ANSWER: Duration = Duration::from_secs(120);
/// For calls that end when a step does: a year.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Which engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EngineKind {
    Docker,
    Podman,
}

impl EngineKind {
    /// The name in errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }
}

/// A connected engine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    /// For calls that are answered at once.
    pub(crate) quick: Client,
    /// For calls whose answer begins when a step ends.
    pub(crate) patient: Client,
    /// As bollard made it, for requests whose path is given whole.
    plain: Client,
    /// `/v1.41`.
    prefix: String,
    pub(crate) kind: EngineKind,
    /// `Docker 20.10.24`.
    pub(crate) title: String,
    /// `linux/amd64`.
    pub(crate) platform: String,
    /// What tells it from every other engine; none when it does not say.
    pub(crate) identity: Option<String>,
    /// Whether it tells an end by the memory limit: Podman does not where it has control groups of version 1.
    pub(crate) tells_oom: bool,
}

impl Engine {
    /// Finds an engine and says hello.
    ///
    /// # Errors
    /// [`Error::EngineGone`] when there is none or it does not answer, [`Error::Engine`] when its API is too old.
    pub(crate) async fn connect(settings: &DockerSettings) -> Result<Self> {
        let gone = |reason| Error::EngineGone { engine: "docker", reason };
        let place =
            Place::find(settings, &|name| std::env::var(name).ok(), &|path| path.exists()).map_err(gone)?;
        let client = place.open().map_err(gone)?;
        let silent =
            |limit: Duration| gone(format!("{}: no answer within {} s", place.host, limit.as_secs()));
        let broken = |error| gone(format!("{}: {}", place.host, failure::words(&error)));
        // The only call that one of the two knows and the other does not. Whatever is answered, somebody is there.
        let ping = timeout(FIRST_ANSWER, fetch(&client, "/libpod/_ping".to_owned())).await;
        let kind = match ping.map_err(|_| silent(FIRST_ANSWER))? {
            Ok(_) => EngineKind::Podman,
            Err(error) if failure::status(&error).is_some() => EngineKind::Docker,
            Err(error) => return Err(broken(error)),
        };
        let about = async {
            let about = timeout(INTRODUCTION, get::<EngineRecord>(&client, "/info".to_owned())).await;
            about.map_err(|_| silent(INTRODUCTION))?.map_err(broken)
        };
        let (about, version) = match kind {
            // Its `version` takes longer than its `info`, and says nothing more but its API version.
            EngineKind::Podman => {
                let about = about.await?;
                let api = podman_api(about.server_version.as_deref().unwrap_or_default());
                (about, Some(api.to_owned()))
            }
            EngineKind::Docker => {
                let version = timeout(INTRODUCTION, client.version());
                let (about, version) = tokio::join!(about, version);
                (about?, version.map_err(|_| silent(INTRODUCTION))?.map_err(broken)?.api_version)
            }
        };
        let api = place.api_version(version.as_deref(), kind)?;
        let prefix = format!("/v{api}");
        let speak = |timeout| {
            let prefix = prefix.clone();
            client.clone().with_timeout(timeout).with_request_modifier(move |request| adapt(request, &prefix))
        };
        let name = match kind {
            EngineKind::Docker => "Docker",
            EngineKind::Podman => "Podman",
        };
        Ok(Self {
            quick: speak(ANSWER),
            patient: speak(PATIENCE),
            kind,
            title: format!("{name} {}", about.server_version.as_deref().unwrap_or_default()),
            platform: platform(about.os_type.as_deref(), about.architecture.as_deref()),
            identity: identity(kind, &about),
            tells_oom: kind == EngineKind::Docker || about.cgroup_version.as_deref() == Some("2"),
            plain: client.clone().with_timeout(ANSWER),
            prefix,
        })
    }

    /// Has Podman do before the start what Docker does at the creation: fill empty volumes from the image. Nothing on Docker.
    pub(crate) async fn initialise(&self, container: &str) -> Result<()> {
        if self.kind == EngineKind::Docker {
            return Ok(());
        }
        let client = to_path(&self.plain, format!("/v4.0.0/libpod/containers/{container}/init"));
        match client.start_container(container, None).await {
            Err(error) if failure::is_gone(&error) || failure::is_absent(&error) => {
                Err(failure::translate(self.kind, "initialise the container", &error))
            }
            // Anything else says that it is beyond that point already.
            _ => Ok(()),
        }
    }

    /// Whether it answers at this moment.
    ///
    /// # Errors
    /// [`Error::EngineGone`] when it does not, or not soon.
    pub(crate) async fn pulse(&self) -> Result<()> {
        match timeout(FIRST_ANSWER, self.quick.ping()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.error("say that it is there", &error)),
            Err(_) => {
                let reason = format!("no answer to a ping within {} s", FIRST_ANSWER.as_secs());
                Err(Error::EngineGone { engine: self.kind.name(), reason })
            }
        }
    }

    /// The record of a container, by id or name.
    ///
    /// # Errors
    /// What the engine answers.
    pub(crate) async fn inspect(&self, container: &str) -> Result<ContainerRecord, EngineError> {
        get(&self.plain, format!("{}/containers/{container}/json", self.prefix)).await
    }

    /// Has Podman run a container's health check now. It leaves that to timers of systemd, which are not everywhere.
    ///
    /// # Errors
    /// What the engine answers.
    pub(crate) async fn check_health(&self, container: &str) -> Result<HealthRecord, EngineError> {
        get(&self.plain, format!("/v4.0.0/libpod/containers/{container}/healthcheck")).await
    }

    /// The containers that carry all of `marks`, ended ones too.
    ///
    /// # Errors
    /// What the engine answers.
    pub(crate) async fn containers(&self, marks: &[(&str, &str)]) -> Result<Vec<ListedContainer>> {
        let mut found = self.containers_filtered(&having(marks)).await?;
        found.retain(|container| carries(container.labels.as_ref(), marks));
        Ok(found)
    }

    /// What the engine answers to these filters, ended ones too.
    pub(crate) async fn containers_filtered(&self, filters: &Filters) -> Result<Vec<ListedContainer>> {
        let filters = serde_json::Value::from_iter(filters.clone()).to_string();
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("filters", &filters).finish();
        let path = format!("{}/containers/json?all=true&{query}", self.prefix);
        let found: Result<Vec<ListedContainer>, _> = get(&self.plain, path).await;
        found.map_err(|error| self.error("list containers", &error))
    }

    /// The port's error for a refusal or silence.
    pub(crate) fn error(&self, operation: &str, error: &EngineError) -> Error {
        failure::translate(self.kind, operation, error)
    }
}

/// What an engine answers to a GET, read into a type of ours.
async fn get<T: DeserializeOwned>(client: &Client, path: String) -> Result<T, EngineError> {
    Ok(serde_json::from_slice(&fetch(client, path).await?)?)
}

/// What an engine answers to a GET.
async fn fetch(client: &Client, path: String) -> Result<Vec<u8>, EngineError> {
    let body = async {
        // The body of this one is handed on as it comes.
        let mut pieces = to_path(client, path).export_container("any");
        let mut body = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    };
    timeout(ANSWER, body).await.unwrap_or(Err(EngineError::RequestTimeoutError))
}

/// A client that asks for `path`, whatever it is told to ask for.
fn to_path(client: &Client, path: String) -> Client {
    client.clone().with_request_modifier(move |mut request| {
        let uri = request.uri().to_string();
        let asked = request.uri().path_and_query().map_or("", |path| path.as_str());
        if let Some(base) = uri.strip_suffix(asked)
            && let Ok(given) = format!("{base}{path}").parse()
        {
            *request.uri_mut() = given;
        }
        request
    })
}

/// What a version of Podman speaks of Docker's API.
pub(crate) fn podman_api(version: &str) -> &'static str {
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= 4) { "1.41" } else { "1.40" }
}

/// Docker has an id of its own, Podman makes up a new one for every answer; its host and the folder that it keeps its
/// containers in stay.
fn identity(kind: EngineKind, about: &EngineRecord) -> Option<String> {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match kind {
        EngineKind::Docker => Some(format!("docker:{}", said(&about.id)?)),
        EngineKind::Podman => {
            Some(format!("podman:{}:{}", said(&about.name)?, said(&about.docker_root_dir)?))
        }
    }
}

/// Puts right what bollard sends; see the module's documentation.
fn adapt(mut request: BollardRequest, prefix: &str) -> BollardRequest {
    let uri = request.uri().to_string();
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    if !path.starts_with("/v1.")
        && let Some(base) = uri.strip_suffix(path)
        && let Ok(versioned) = format!("{base}{prefix}{path}").parse()
    {
        *request.uri_mut() = versioned;
    }
    if let Some(credentials) = request.headers_mut().get_mut("X-Registry-Auth") {
        let safe: Vec<u8> = credentials.as_bytes().iter().map(|&byte| url_safe(byte)).collect();
        if let Ok(safe) = safe.as_slice().try_into() {
            *credentials = safe;
        }
    }
    request
}

fn url_safe(byte: u8) -> u8 {
    match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => other,
    }
}

/// Operating system and processor as Go names them (woodpecker.md 2.1).
fn platform(os: Option<&str>, arch: Option<&str>) -> String {
    let arch = match arch.unwrap_or("unknown") {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}/{arch}", os.unwrap_or("linux"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_known_again_by_what_does_not_change() {
        let about = |id: &str, name: &str, root: &str| EngineRecord {
            id: Some(id.to_owned()),
            name: Some(name.to_owned()),
            docker_root_dir: Some(root.to_owned()),
            ..EngineRecord::default()
        };
        let docker = identity(EngineKind::Docker, &about("CBYW:MFVL", "vm", "/var/lib/docker"));
        assert_eq!(docker.as_deref(), Some("docker:CBYW:MFVL"));
        // Podman's id is a new one in every answer.
        let podman = |id| identity(EngineKind::Podman, &about(id, "vm", "/var/lib/containers/storage"));
        assert_eq!(podman("0bbaea27").as_deref(), Some("podman:vm:/var/lib/containers/storage"));
        assert_eq!(podman("0bbaea27"), podman("d67d2e16"));
        assert_eq!(identity(EngineKind::Docker, &about("", "vm", "/var/lib/docker")), None);
        assert_eq!(identity(EngineKind::Podman, &EngineRecord::default()), None);
    }

    // covers: woodpecker 7
    #[test]
    fn a_platform_is_written_as_go_writes_it() {
        assert_eq!(platform(Some("linux"), Some("x86_64")), "linux/amd64");
        assert_eq!(platform(Some("linux"), Some("aarch64")), "linux/arm64");
        assert_eq!(platform(Some("linux"), Some("riscv64")), "linux/riscv64");
    }
}
