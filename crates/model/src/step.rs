//! A step: one command, or an image's entrypoint, in one environment.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::ids::StepUuid;
use crate::network::{Conn, HostAlias, Port};
use crate::registry::Auth;
use crate::workflow::null_as_empty;

/// What kind of step it is (`StepType`). The compatible form is the bare text; a word that we do not know is kept, so
/// that the backend can refuse it by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum StepType {
    /// Fetches the source.
    Clone,
    /// Runs in the background beside the other steps; always detached.
    Service,
    /// Runs an image's own entrypoint.
    Plugin,
    /// Runs shell commands; what a step is when nothing is said.
    #[default]
    Commands,
    /// Restores or saves a cache (no compiler makes it).
    Cache,
    /// None of these; no backend takes it.
    Unknown(String),
}

impl StepType {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Clone => "clone",
            Self::Service => "service",
            Self::Plugin => "plugin",
            Self::Commands => "commands",
            Self::Cache => "cache",
            Self::Unknown(word) => word,
        }
    }
}

impl From<&str> for StepType {
    fn from(word: &str) -> Self {
        match word {
            "clone" => Self::Clone,
            "service" => Self::Service,
            "plugin" => Self::Plugin,
            "commands" | "" => Self::Commands,
            "cache" => Self::Cache,
            other => Self::Unknown(other.to_owned()),
        }
    }
}

impl fmt::Display for StepType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for StepType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for StepType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

/// What a step's failure does to its workflow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FailurePolicy {
    /// The workflow fails; what the absence of a word means.
    #[default]
    Fail,
    /// The step shows its failure, the workflow goes on as if it had passed.
    Ignore,
    /// The workflow fails and whoever holds the pipeline cancels the rest of it. The runtime treats it as `fail`
    /// (woodpecker.md 3.3).
    Cancel,
}

/// An empty word is no word.
fn policy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FailurePolicy>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some("fail") => Ok(Some(FailurePolicy::Fail)),
        Some("ignore") => Ok(Some(FailurePolicy::Ignore)),
        Some("cancel") => Ok(Some(FailurePolicy::Cancel)),
        Some(other) => Err(serde::de::Error::unknown_variant(other, &["fail", "ignore", "cancel"])),
    }
}

/// One container or process (`Step`). Field names on the wire are exactly the interface document's; what is empty there
/// is absent, but for `name`, `uuid` and `auth_config`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The step's name as its author wrote it; also the alias under which other steps of the workflow reach it.
    pub name: String,
    /// The id of the forge's organisation; backends that separate organisations use it, others show it as a label.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub org_id: i64,
    /// The step's identity in the backend, in logs and on the wire.
    pub uuid: StepUuid,
    /// What kind of step it is.
    #[serde(rename = "type", default)]
    pub kind: StepType,
    /// The image reference; for the process backend the shell or the program.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Pull the image even when it is present.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pull: bool,
    /// The step runs in the background: the next stage does not wait for it.
    #[serde(rename = "detach", default, skip_serializing_if = "is_false")]
    pub detached: bool,
    /// Run with all of the host's capabilities.
    #[serde(default, skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// Where commands run; an absolute path as the step sees it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Where the workspace volume is mounted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workspace_base: String,
    /// The whole environment, secrets included.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// The part of the environment whose values are secret, by variable; a backend keeps them out of what its engine
    /// shows where it can.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_mapping: BTreeMap<String, String>,
    /// The program and its arguments, in place of the image's own or of a generated script.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Shell commands; when there are any, a script is generated from them.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Additions to the hosts file.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<HostAlias>,
    /// `source:destination[:mode]`.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// `path[:options]`.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<String>,
    /// `host:container[:permissions]`.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// The networks to join.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Conn>,
    /// Addresses of resolvers.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Search domains.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// Run when the workflow has failed so far.
    #[serde(default, skip_serializing_if = "is_false")]
    pub on_failure: bool,
    /// Run when the workflow has passed so far.
    #[serde(default, skip_serializing_if = "is_false")]
    pub on_success: bool,
    /// What the step's failure does to the workflow; nothing said means that it fails.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "policy")]
    pub failure: Option<FailurePolicy>,
    /// Registry credentials for the image.
    #[serde(default)]
    pub auth_config: Auth,
    /// The engine's network mode; when set, `networks` are not joined.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub network_mode: String,
    /// Ports that the step serves.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Settings that only one backend understands, by that backend's name.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Map::is_empty")]
    pub backend_options: Map<String, Value>,
    /// The workflow's labels.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub workflow_labels: BTreeMap<String, String>,
    /// A template for the container's name; see `jobwright_backend::names`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container_name_scheme: String,
    /// Names of steps of the same workflow that must have ended before this one begins; with any of them in a workflow
    /// its stages' barriers no longer hold for the steps that name theirs.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
}

impl Step {
    /// A step of the given name and identity that runs when all before it passed, everything else being empty.
    #[must_use]
    pub fn new(name: impl Into<String>, uuid: StepUuid) -> Self {
        Self {
            name: name.into(),
            org_id: 0,
            uuid,
            kind: StepType::default(),
            image: String::new(),
            pull: false,
            detached: false,
            privileged: false,
            working_dir: String::new(),
            workspace_base: String::new(),
            environment: BTreeMap::new(),
            secret_mapping: BTreeMap::new(),
            entrypoint: Vec::new(),
            commands: Vec::new(),
            extra_hosts: Vec::new(),
            volumes: Vec::new(),
            tmpfs: Vec::new(),
            devices: Vec::new(),
            networks: Vec::new(),
            dns: Vec::new(),
            dns_search: Vec::new(),
            on_failure: false,
            on_success: true,
            failure: None,
            auth_config: Auth::default(),
            network_mode: String::new(),
            ports: Vec::new(),
            backend_options: Map::new(),
            workflow_labels: BTreeMap::new(),
            container_name_scheme: String::new(),
            depends_on: Vec::new(),
        }
    }

    /// What this step's failure does to its workflow.
    #[must_use]
    pub fn failure_policy(&self) -> FailurePolicy {
        self.failure.unwrap_or_default()
    }

    /// Whether the next stage does not wait for this step: it is detached, or a service.
    #[must_use]
    pub fn runs_in_background(&self) -> bool {
        self.detached || self.kind == StepType::Service
    }
}

/// Shows what identifies a step; never its environment, whose values may be secret.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("name", &self.name)
            .field("uuid", &self.uuid)
            .field("kind", &self.kind)
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}
