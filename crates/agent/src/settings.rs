//! What an agent is told when it is made. Not for where that is written (the command line, `EXECUTOR_*`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jobwright_model::{Auth, QueueName};

/// How an agent behaves.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    /// The queues that it asks; one, or several.
    pub queues: Vec<QueueName>,
    /// The pause after a question that brought no job.
    pub poll_interval: Duration,
    /// The longest pause when the queue does not answer; it grows to that.
    pub poll_at_most: Duration,
    /// The pause between two signs of life.
    pub heartbeat_interval: Duration,
    /// How many jobs at once.
    pub max_jobs: usize,
    /// How long a job may take in all.
    pub max_runtime: Duration,
    /// After so many jobs it drains and ends.
    pub total_jobs: Option<u64>,
    /// After so long it drains and ends.
    pub max_active: Option<Duration>,
    /// How long a drain may take before what still runs is ended; without one as long as it takes.
    pub drain_within: Option<Duration>,
    /// Where workspaces are made.
    pub workspaces: PathBuf,
    /// Workspaces stay, for somebody to look at.
    pub keep_workspaces: bool,
    /// How often is looked for what agents that died left, and for ends that nobody heard of.
    pub tidy_interval: Duration,
    /// How long reports are tried to be delivered when nobody takes them.
    pub report_within: Duration,
    /// How steps are run.
    pub host: HostRules,
}

/// How the steps of jobs are run here.
#[derive(Debug, Clone)]
pub struct HostRules {
    /// The backend of docker steps.
    pub docker_backend: String,
    /// The backend of cli steps and of git.
    pub process_backend: String,
    /// The program of cli steps.
    pub src: String,
    /// How many processors a container has; 0 for all.
    pub cpus: f64,
    /// How much memory a container has, such as `12G`; empty or `0` for all.
    pub memory: String,
    /// Containers reach this host as `host.docker.internal`.
    pub add_host_gateway: bool,
    /// Credentials for registries by host, for jobs that bring none.
    pub auths: BTreeMap<String, Auth>,
}

impl Default for HostRules {
    fn default() -> Self {
        Self {
            docker_backend: "docker".to_owned(),
            process_backend: "process".to_owned(),
            src: "src".to_owned(),
            cpus: 4.0,
            memory: "12G".to_owned(),
            add_host_gateway: false,
            auths: BTreeMap::new(),
        }
    }
}

impl AgentSettings {
    /// As an executor of Sourcegraph has it when nothing is said (sourcegraph.md 10).
    #[must_use]
    pub fn new(queues: Vec<QueueName>, workspaces: PathBuf) -> Self {
        Self {
            queues,
            poll_interval: Duration::from_secs(1),
            poll_at_most: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(5),
            max_jobs: 1,
            max_runtime: Duration::from_secs(30 * 60),
            total_jobs: None,
            max_active: None,
            drain_within: None,
            workspaces,
            keep_workspaces: false,
            tidy_interval: Duration::from_secs(60),
            report_within: Duration::from_secs(600),
            host: HostRules::default(),
        }
    }
}

/// What is secret of the agent itself, and what is shown in its place.
#[derive(Clone, Default)]
pub struct Identity {
    /// Values by the names of their settings or variables.
    pub secrets: BTreeMap<String, String>,
}
