//! Where an engine is, how it is spoken to and in which version. Not for what is asked of it.

use std::path::{Path, PathBuf};

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker as Client};
use jobwright_backend::{Error, Result};

use crate::engine::{ANSWER, EngineKind};
use crate::failure;
use crate::settings::DockerSettings;

/// The oldest API version that has what we use.
const OLDEST_API: (usize, usize) = (1, 41);

/// Where the engine is, and how it is spoken to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: String,
    certificates: Option<PathBuf>,
    pinned: Option<String>,
}

impl Place {
    /// Explicit setting, `DOCKER_HOST`, then the sockets that Docker and Podman usually have.
    pub(crate) fn find(
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

    pub(crate) fn open(&self) -> Result<Client, String> {
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
    pub(crate) fn api_version(&self, server: Option<&str>, kind: EngineKind) -> Result<String> {
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
    use crate::engine::podman_api;

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
}
