//! One checked job: what is left of its keys when every rule has been applied. Not for the rules (`check`) or for what runs
//! (`compile`).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::condition::Condition;
use crate::files::{Artifacts, Cache};
use crate::pipeline::Secret;
use crate::retry::{AllowFailure, Retry};
use crate::source::Span;

/// One job of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineJob {
    /// Its name, unique in the pipeline.
    pub name: String,
    /// Which combination of a matrix it is.
    pub variant: Option<Variant>,
    /// The stage it belongs to; one of the pipeline's.
    pub stage: String,
    /// The image that its script runs in; a backend without images needs none.
    pub image: Option<String>,
    /// The commands, at least one; each runs isolated from the others' comments, `&` and here-documents.
    pub script: Vec<String>,
    /// Commands that run whatever became of the script.
    pub after_script: Vec<String>,
    /// Where the project's files lie and the commands run, an absolute path; [`crate::DEFAULT_WORKDIR`] when not given.
    pub workdir: Option<String>,
    /// Its own variables, those of its matrix included.
    pub variables: BTreeMap<String, String>,
    /// Its own secrets.
    pub secrets: BTreeMap<String, Secret>,
    /// Files with further variables, the later over the earlier.
    pub env_files: Vec<EnvFile>,
    /// The longest that the job may take in all; never zero.
    pub timeout: Option<Duration>,
    /// The longest that it may print nothing; never zero.
    pub silence_timeout: Option<Duration>,
    /// The jobs that must have passed before this one begins, none twice: of a job with a matrix all variants.
    pub needs: Vec<String>,
    /// What runs beside the script.
    pub services: Vec<Service>,
    /// Caches, in the order in which they are taken in.
    pub caches: Vec<Cache>,
    /// Files that the run keeps.
    pub artifacts: Option<Artifacts>,
    /// Commands on the host before the script.
    pub bootstrap: Option<HostCommands>,
    /// Commands on the host after it; never without `bootstrap`.
    pub cleanup: Option<HostCommands>,
    /// Whether it runs beside all others from the start and holds none up.
    pub detached: bool,
    /// How it reaches the host's network.
    pub network: Network,
    /// When it is tried again.
    pub retry: Retry,
    /// Which of its failures the run passes over.
    pub allow_failure: AllowFailure,
    /// When it runs at all.
    pub condition: Option<Arc<Condition>>,
    /// Limits on what it may use.
    pub resources: Resources,
    /// How many jobs of its group may run at a time.
    pub concurrency: Option<Concurrency>,
    /// The backend that it asks for by name.
    pub backend: Option<String>,
    /// Where the job's name is in the file.
    pub span: Span,
}

impl PipelineJob {
    /// The name in the file: that of the job whose matrix this is a variant of, else its own.
    #[must_use]
    pub fn base(&self) -> &str {
        self.variant.as_ref().map_or(&self.name, |variant| &variant.group)
    }
}

/// One combination of a matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// The name of the job whose matrix it is: the variants of one group form a barrier.
    pub group: String,
    /// Its values; they are among the job's variables, and win over those.
    pub values: BTreeMap<String, String>,
    /// How many variants of the group may run at a time.
    pub max_parallel: Option<NonZeroU32>,
}

/// Something that runs in the background while a job's script runs, and is reached by its alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its image.
    pub image: String,
    /// The name under which the job reaches it: the given one, else the last part of the image's name without tag and digest.
    pub alias: String,
    /// Its whole environment; it does not get the job's.
    pub variables: BTreeMap<String, String>,
    /// When it counts as ready.
    pub ready: Ready,
    /// Where it is in the file.
    pub span: Span,
}

/// When a service counts as ready: when its command passes, without one when the image's own health check does, else when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Run in the service with `/bin/sh -c` until it exits with 0.
    pub command: Option<String>,
    /// How long it is waited for; never zero.
    pub timeout: Duration,
}

impl Ready {
    /// How long a service is waited for when nothing is said.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
}

impl Default for Ready {
    fn default() -> Self {
        Self { command: None, timeout: Self::DEFAULT_TIMEOUT }
    }
}

/// Commands on the host, in the project's directory or the job's workspace, each in a shell of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCommands {
    /// The commands, at least one; the first that fails stops the rest.
    pub run: Vec<String>,
    /// How long they may take in all; never zero.
    pub timeout: Duration,
    /// Where they are in the file.
    pub span: Span,
}

impl HostCommands {
    /// How long they may take when nothing is said.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5 * 60);
}

/// How a job reaches the host's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Network {
    /// Under the name `host.docker.internal`.
    pub host_access: bool,
    /// By being on it; the job has no services then.
    pub host_mode: bool,
}

/// Limits on what a job's script may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Processors in thousandths; never zero.
    pub cpu_millis: Option<u32>,
    /// Bytes; never zero.
    pub memory: Option<u64>,
}

/// How many jobs of a group may run at a time. All jobs of a group say the same limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    /// The group; the job's [`base`](PipelineJob::base) when it names none.
    pub group: String,
    /// How many.
    pub limit: NonZeroU32,
}

/// A file with variables, one `NAME=VALUE` a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    /// Where it is; a relative path counts from the project.
    pub path: PathBuf,
    /// Where it is named in the file.
    pub span: Span,
}
