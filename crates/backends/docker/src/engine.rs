//! The connection to an engine: where it is found, which API version is spoken, and which of the two engines it is. Not for
//! what is asked of it.
//!
//! Two things of bollard 0.21 are put right in [`adapt`], for every request: it leaves the API version out of the path, so
//! that a newer engine would answer in its newest dialect; and it encodes registry credentials in plain base64 where engines
//! read the URL-safe alphabet (and silently pull anonymously when they cannot). Two calls go through a request of bollard's
//! whose path is changed: Podman's `init`, which is not in Docker's API, and every answer that bollard would read too strictly
//! ([`Engine::get`]).

use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::errors::Error as EngineError;
use bollard::{API_DEFAULT_VERSION, BollardRequest, ClientVersion, Docker as Client};
use futures_util::TryStreamExt;
use jobwright_backend::{Error, Result};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::belongings::{Filters, carries, having};
use crate::failure;
use crate::records::{ContainerRecord, EngineRecord, HealthRecord, ListedContainer};
use crate::settings::DockerSettings;

/// The oldest API version that has what we use.
const OLDEST_API: (usize, usize) = (1, 41);
/// How long an engine may take to say that it is there.
const FIRST_ANSWER: Duration = Duration::from_secs(5);
/// How long it may take to say what it is: Podman asks the package manager first, which takes seconds on a busy machine.
const INTRODUCTION: Duration = Duration::from_secs(30);
/// How long any call may take that neither waits for a step nor moves much data.
const ANSWER: Duration = Duration::from_secs(120);
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
fn podman_api(version: &str) -> &'static str {
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

/// Where the engine is, and how it is spoken to.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    certificates: Option<PathBuf>,
    pinned: Option<String>,
}

impl Place {
    /// Explicit setting, `DOCKER_HOST`, then the sockets that Docker and Podman usually have.
    fn find(
        settings: &DockerSettings,
        variable: &dyn Fn(&str) -> Option<String>,
        exists: &dyn Fn(&Path) -> bool,
    ) -> Result<Self, String> {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let explicit = settings.host.clone().or_else(|| variable("DOCKER_HOST"));
        let host = match explicit {
            Some(host) => host,
            None => first_socket(&variable, exists)?,
        };
        let verify = settings
            .tls_verify
            .or_else(|| {
                variable("DOCKER_TLS_VERIFY").map(|value| !matches!(value.as_str(), "0" | "false" | "no"))
            })
            .unwrap_or(true);
        let certificates =
            settings.cert_path.clone().or_else(|| variable("DOCKER_CERT_PATH").map(PathBuf::from));
        Ok(Self {
            host,
            certificates: certificates.filter(|_| verify),
            pinned: settings.api_version.clone().or_else(|| variable("DOCKER_API_VERSION")),
        })
    }

    fn open(&self) -> Result<Client, String> {
        let seconds = ANSWER.as_secs();
        let opened = if let Some(path) = self.host.strip_prefix("unix://") {
            Client::connect_with_unix(path, seconds, API_DEFAULT_VERSION)
        } else if self.host.starts_with('/') {
            Client::connect_with_unix(&self.host, seconds, API_DEFAULT_VERSION)
        } else if self.host.starts_with("tcp://")
            || self.host.starts_with("http://")
            || self.host.starts_with("https://")
        {
            match &self.certificates {
                Some(folder) => Client::connect_with_ssl(
                    &self.host,
                    &folder.join("key.pem"),
                    &folder.join("cert.pem"),
                    &folder.join("ca.pem"),
                    seconds,
                    API_DEFAULT_VERSION,
                ),
                None => Client::connect_with_http(&self.host, seconds, API_DEFAULT_VERSION),
            }
        } else {
            return Err(format!(
                "{:?} is no engine's address; use unix:///path or tcp://host:port",
                self.host
            ));
        };
        opened.map_err(|error| format!("{}: {}", self.host, failure::words(&error)))
    }

    /// The pinned version, or the newest that both sides know.
    fn api_version(&self, server: Option<&str>, kind: EngineKind) -> Result<String> {
        let asked = self.pinned.as_deref().or(server).unwrap_or_default();
        let refused = |message| Error::Engine {
            engine: kind.name(),
            operation: "speak the Engine API 1.41 or a later one".to_owned(),
            message,
        };
        let Some(version) = parse_version(asked) else {
            return Err(refused(format!("{asked:?} is not a version")));
        };
        if version < OLDEST_API {
            return Err(refused(format!("{asked} is all that is spoken")));
        }
        let ClientVersion { major_version, minor_version } = *API_DEFAULT_VERSION;
        let (major, minor) = version.min((major_version, minor_version));
        Ok(format!("{major}.{minor}"))
    }
}

fn parse_version(text: &str) -> Option<(usize, usize)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn first_socket(
    variable: &dyn Fn(&'static str) -> Option<String>,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<String, String> {
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let home = variable("HOME").map(PathBuf::from);
    let candidates = [
        Some(PathBuf::from("/var/run/docker.sock")),
        runtime.as_ref().map(|folder| folder.join("podman/podman.sock")),
        Some(PathBuf::from("/run/podman/podman.sock")),
        runtime.as_ref().map(|folder| folder.join("docker.sock")),
        home.map(|folder| folder.join(".docker/run/docker.sock")),
    ];
    let candidates: Vec<PathBuf> = candidates.into_iter().flatten().collect();
    if let Some(socket) = candidates.iter().find(|socket| exists(socket)) {
        return Ok(format!("unix://{}", socket.display()));
    }
    let tried: Vec<_> = candidates.iter().map(|socket| socket.display().to_string()).collect();
    Err(format!("DOCKER_HOST is not set, and there is no socket at {}", tried.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(
        settings: &DockerSettings,
        variables: &[(&str, &str)],
        sockets: &[&str],
    ) -> Result<Place, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Place::find(settings, &variable, &|path| sockets.iter().any(|socket| Path::new(socket) == path))
    }

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

    #[test]
    fn podman_before_version_4_is_too_old() {
        let place = Place { host: String::new(), certificates: None, pinned: None };
        let speaks = |podman| place.api_version(Some(podman_api(podman)), EngineKind::Podman);
        assert_eq!(speaks("4.3.1").unwrap(), "1.41");
        assert_eq!(speaks("5.4.0-dev").unwrap(), "1.41");
        for version in ["3.4.4", "", "new"] {
            assert!(speaks(version).is_err(), "{version:?}");
        }
    }

    #[test]
    fn an_explicit_host_wins_over_the_environment_and_that_over_sockets() {
        let explicit = DockerSettings { host: Some("tcp://a:1".to_owned()), ..DockerSettings::default() };
        let variables = [("DOCKER_HOST", "tcp://b:2"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        let sockets = ["/var/run/docker.sock", "/run/user/7/podman/podman.sock"];
        let host = |settings: &DockerSettings, variables, sockets: &[&str]| {
            find(settings, variables, sockets).unwrap().host
        };
        assert_eq!(host(&explicit, &variables, &sockets), "tcp://a:1");
        let default = DockerSettings::default();
        assert_eq!(host(&default, &variables, &sockets), "tcp://b:2");
        assert_eq!(host(&default, &variables[1..], &sockets), "unix:///var/run/docker.sock");
        assert_eq!(host(&default, &variables[1..], &sockets[1..]), "unix:///run/user/7/podman/podman.sock");
    }

    #[test]
    fn no_engine_anywhere_says_where_it_was_looked_for() {
        let reason = find(&DockerSettings::default(), &[("DOCKER_HOST", "")], &[]).unwrap_err();
        assert!(
            reason.contains("/var/run/docker.sock") && reason.contains("/run/podman/podman.sock"),
            "{reason}"
        );
    }

    #[test]
    fn certificates_count_unless_tls_is_switched_off() {
        let variables =
            [("DOCKER_HOST", "tcp://b:2"), ("DOCKER_CERT_PATH", "/c"), ("DOCKER_TLS_VERIFY", "0")];
        let default = DockerSettings::default();
        assert_eq!(find(&default, &variables[..2], &[]).unwrap().certificates, Some("/c".into()));
        assert_eq!(find(&default, &variables, &[]).unwrap().certificates, None);
    }

    #[test]
    fn the_newest_common_version_is_spoken_and_an_old_one_refused() {
        let place = |pinned: Option<&str>| Place {
            host: String::new(),
            certificates: None,
            pinned: pinned.map(str::to_owned),
        };
        let version = |pinned, server| place(pinned).api_version(Some(server), EngineKind::Docker);
        assert_eq!(version(None, "1.41").unwrap(), "1.41");
        assert_eq!(version(None, "1.99").unwrap(), API_DEFAULT_VERSION.to_string());
        assert_eq!(version(Some("1.42"), "1.45").unwrap(), "1.42");
        for (pinned, server) in [(None, "1.40"), (Some("1.24"), "1.45"), (Some("new"), "1.45")] {
            assert!(matches!(version(pinned, server), Err(Error::Engine { .. })));
        }
    }

    // covers: woodpecker 7
    #[test]
    fn a_platform_is_written_as_go_writes_it() {
        assert_eq!(platform(Some("linux"), Some("x86_64")), "linux/amd64");
        assert_eq!(platform(Some("linux"), Some("aarch64")), "linux/arm64");
        assert_eq!(platform(Some("linux"), Some("riscv64")), "linux/riscv64");
    }
}
