//! What an operator can set for this backend: the flags and variables of woodpecker.md 2.1 under our names. Not for what a
//! single step asks for (`options`).

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// When an image is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PullPolicy {
    /// When it is not here.
    #[default]
    Missing,
    /// Before every step; what is here already is used when that fails.
    Always,
    /// Never: an image that is not here is an error.
    Never,
}

/// Settings of the Docker backend. What is not set on the command line or by `JOBWRIGHT_DOCKER_*` is taken from Docker's own
/// variables (`DOCKER_HOST`, `DOCKER_API_VERSION`, `DOCKER_CERT_PATH`, `DOCKER_TLS_VERIFY`).
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Docker backend")]
pub struct DockerSettings {
    /// Engine to talk to: `unix:///path` or `tcp://host:port` [default: `DOCKER_HOST`, else the usual sockets of Docker and Podman]
    #[arg(id = "docker_host", long = "docker-host", env = "JOBWRIGHT_DOCKER_HOST", value_name = "URL")]
    pub host: Option<String>,

    /// Version of the Engine API to speak [default: `DOCKER_API_VERSION`, else the newest that both sides know]
    #[arg(
        id = "docker_api_version",
        long = "docker-api-version",
        env = "JOBWRIGHT_DOCKER_API_VERSION",
        value_name = "X.Y"
    )]
    pub api_version: Option<String>,

    /// Folder with ca.pem, cert.pem and key.pem for a `tcp://` engine [default: `DOCKER_CERT_PATH`]
    #[arg(
        id = "docker_cert_path",
        long = "docker-cert-path",
        env = "JOBWRIGHT_DOCKER_CERT_PATH",
        value_name = "DIR"
    )]
    pub cert_path: Option<PathBuf>,

    /// Whether a `tcp://` engine is spoken to through TLS when there are certificates [default: `DOCKER_TLS_VERIFY`, else true]
    #[arg(
        id = "docker_tls_verify",
        long = "docker-tls-verify",
        env = "JOBWRIGHT_DOCKER_TLS_VERIFY",
        value_name = "BOOL"
    )]
    pub tls_verify: Option<bool>,

    /// When images are pulled
    #[arg(
        id = "docker_pull",
        long = "docker-pull",
        env = "JOBWRIGHT_DOCKER_PULL",
        value_enum,
        default_value_t
    )]
    pub pull: PullPolicy,

    /// Seconds between SIGTERM and SIGKILL when a step is ended before its time
    #[arg(
        id = "docker_stop_timeout",
        long = "docker-stop-timeout",
        env = "JOBWRIGHT_DOCKER_STOP_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 20
    )]
    pub stop_timeout: u32,

    /// The same for a service, which has nothing left to do when its workflow ends; never more than the stop timeout
    #[arg(
        id = "docker_service_stop_timeout",
        long = "docker-service-stop-timeout",
        env = "JOBWRIGHT_DOCKER_SERVICE_STOP_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 2
    )]
    pub service_stop_timeout: u32,

    /// An existing network that every step joins as well
    #[arg(
        id = "docker_network",
        long = "docker-network",
        env = "JOBWRIGHT_DOCKER_NETWORK",
        value_name = "NAME"
    )]
    pub network: Option<String>,

    /// Volumes that every step gets as well, `source:destination[:mode]`, separated by commas
    #[arg(
        id = "docker_volumes",
        long = "docker-volumes",
        env = "JOBWRIGHT_DOCKER_VOLUMES",
        value_delimiter = ',',
        value_name = "VOLUME"
    )]
    pub volumes: Vec<String>,

    /// Give workflow networks IPv6 addresses
    #[arg(id = "docker_ipv6", long = "docker-ipv6", env = "JOBWRIGHT_DOCKER_IPV6")]
    pub ipv6: bool,

    /// AppArmor profile of every step
    #[arg(
        id = "docker_apparmor_profile",
        long = "docker-apparmor-profile",
        env = "JOBWRIGHT_DOCKER_APPARMOR_PROFILE",
        value_name = "NAME"
    )]
    pub apparmor_profile: Option<String>,

    /// Most memory of a step in bytes; 0 is no limit
    #[arg(
        id = "docker_limit_mem",
        long = "docker-limit-mem",
        env = "JOBWRIGHT_DOCKER_LIMIT_MEM",
        value_name = "BYTES",
        default_value_t = 0
    )]
    pub limit_mem: u64,

    /// Most memory and swap together of a step in bytes; 0 leaves it to the engine
    #[arg(
        id = "docker_limit_mem_swap",
        long = "docker-limit-mem-swap",
        env = "JOBWRIGHT_DOCKER_LIMIT_MEM_SWAP",
        value_name = "BYTES",
        default_value_t = 0
    )]
    pub limit_mem_swap: u64,

    /// Size of a step's /dev/shm in bytes; 0 leaves it to the engine
    #[arg(
        id = "docker_limit_shm_size",
        long = "docker-limit-shm-size",
        env = "JOBWRIGHT_DOCKER_LIMIT_SHM_SIZE",
        value_name = "BYTES",
        default_value_t = 0
    )]
    pub limit_shm_size: u64,

    /// Processor time of a step in microseconds per period of 100 ms; 0 is no limit
    #[arg(
        id = "docker_limit_cpu_quota",
        long = "docker-limit-cpu-quota",
        env = "JOBWRIGHT_DOCKER_LIMIT_CPU_QUOTA",
        value_name = "MICROSECONDS",
        default_value_t = 0
    )]
    pub limit_cpu_quota: u64,

    /// Weight of a step against other containers; 0 leaves it to the engine
    #[arg(
        id = "docker_limit_cpu_shares",
        long = "docker-limit-cpu-shares",
        env = "JOBWRIGHT_DOCKER_LIMIT_CPU_SHARES",
        value_name = "WEIGHT",
        default_value_t = 0
    )]
    pub limit_cpu_shares: u64,

    /// Processors that steps may use, `0-3,5`
    #[arg(
        id = "docker_limit_cpu_set",
        long = "docker-limit-cpu-set",
        env = "JOBWRIGHT_DOCKER_LIMIT_CPU_SET",
        value_name = "LIST"
    )]
    pub limit_cpu_set: Option<String>,
}

impl Default for DockerSettings {
    fn default() -> Self {
        Self {
            host: None,
            api_version: None,
            cert_path: None,
            tls_verify: None,
            pull: PullPolicy::default(),
            stop_timeout: 20,
            service_stop_timeout: 2,
            network: None,
            volumes: Vec::new(),
            ipv6: false,
            apparmor_profile: None,
            limit_mem: 0,
            limit_mem_swap: 0,
            limit_shm_size: 0,
            limit_cpu_quota: 0,
            limit_cpu_shares: 0,
            limit_cpu_set: None,
        }
    }
}

impl DockerSettings {
    /// The time between SIGTERM and SIGKILL.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.stop_timeout.into())
    }

    /// The same for a service.
    #[must_use]
    pub fn service_grace(&self) -> Duration {
        Duration::from_secs(self.service_stop_timeout.into()).min(self.grace())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        docker: DockerSettings,
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(Program::parse_from(["x"]).docker, DockerSettings::default());
    }

    #[test]
    fn a_service_never_has_more_grace_than_a_step() {
        let settings = |arguments: &[&str]| Program::parse_from(arguments).docker;
        assert_eq!(settings(&["x"]).service_grace(), Duration::from_secs(2));
        assert_eq!(settings(&["x", "--docker-stop-timeout", "0"]).service_grace(), Duration::ZERO);
        let longer = settings(&["x", "--docker-service-stop-timeout", "9"]);
        assert_eq!(longer.service_grace(), Duration::from_secs(9));
    }

    #[test]
    fn volumes_are_a_list_with_commas() {
        let settings =
            Program::parse_from(["x", "--docker-volumes", "/a:/a,/b:/b:ro", "--docker-pull", "never"]).docker;
        assert_eq!(settings.volumes, ["/a:/a", "/b:/b:ro"]);
        assert_eq!(settings.pull, PullPolicy::Never);
    }
}
