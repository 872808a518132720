//! What is to be run as an execution (NuNet `ExecutionRequest` and what is in it, nunet.md 2). Data only; what a request may ask of which
//! backend is not decided here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{ExecutionId, JobId};

/// What is to be run, under which id, and within which bounds.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutionRequest {
    /// What it belongs to; it is told again in everything that is asked about the execution.
    pub job_id: JobId,
    /// Its id, chosen by the caller; never given twice.
    pub execution_id: ExecutionId,
    /// Which engine is to run it, and what that engine needs to know.
    pub engine_spec: SpecConfig,
    /// What it may use. What is not said is not bounded.
    #[serde(default, skip_serializing_if = "Resources::is_unbounded")]
    pub resources: Resources,
    /// Volumes that it reads, and writes unless they are read-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<StorageVolume>,
    /// Volumes that it writes; they need a `results_dir`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<StorageVolume>,
    /// An absolute directory of this host that gets `stdout.log` and `stderr.log` while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results_dir: Option<PathBuf>,
    /// Scripts that run before it, in this order; the first that fails ends the execution with its exit code.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provision_scripts: Vec<ProvisionScript>,
    /// Ports of this host that lead into it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports_to_bind: Vec<PortToBind>,
    /// The first name server that it asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_ip: Option<IpAddr>,
    /// Keys that it gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<AllocationKey>,
    /// Its variables; they win over those of the engine's own parameters.
    #[serde(
        default,
        deserialize_with = "crate::texts::deserialize",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub environment: BTreeMap<String, String>,
    /// Variables whose values are masked wherever they show up.
    #[serde(
        default,
        deserialize_with = "crate::texts::deserialize",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub secrets: BTreeMap<String, String>,
    /// How long its logs are kept after it has ended, in seconds; without it until it is removed.
    #[serde(default, with = "seconds", skip_serializing_if = "Option::is_none")]
    pub persist_logs_duration: Option<Duration>,
    /// How long it may take in all, images and scripts included, in seconds; without it as long as it likes.
    #[serde(default, with = "seconds", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

impl ExecutionRequest {
    /// A request for nothing but what `engine_spec` says.
    #[must_use]
    pub fn new(job_id: JobId, execution_id: ExecutionId, engine_spec: SpecConfig) -> Self {
        Self {
            job_id,
            execution_id,
            engine_spec,
            resources: Resources::default(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            results_dir: None,
            provision_scripts: Vec::new(),
            ports_to_bind: Vec::new(),
            gateway_ip: None,
            keys: Vec::new(),
            environment: BTreeMap::new(),
            secrets: BTreeMap::new(),
            persist_logs_duration: None,
            timeout: None,
        }
    }
}

/// Without what may be secret.
impl fmt::Debug for ExecutionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutionRequest")
            .field("job_id", &self.job_id)
            .field("execution_id", &self.execution_id)
            .field("engine", &self.engine_spec.kind)
            .finish_non_exhaustive()
    }
}

/// An engine's name and what it is to be told (nunet.md 2.5).
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecConfig {
    /// The engine: a backend's name. Blanks around it and capital letters make no difference.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its parameters.
    #[serde(default)]
    pub params: Map<String, Value>,
}

impl SpecConfig {
    /// A specification without parameters.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), params: Map::new() }
    }

    /// With one more parameter.
    #[must_use]
    pub fn with_param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    /// Whether it is for this engine.
    #[must_use]
    pub fn is_type(&self, kind: &str) -> bool {
        self.kind.trim().eq_ignore_ascii_case(kind.trim())
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kind.trim().is_empty() && self.params.is_empty()
    }
}

/// Without the parameters, which may be secret.
impl fmt::Debug for SpecConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpecConfig").field("type", &self.kind).finish_non_exhaustive()
    }
}

/// What an execution may use (nunet.md 2.4). What is `None` is not bounded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Processors; parts of one are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<f64>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_bytes: Option<u64>,
    /// Disk in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Graphics processors; those that are not named are not visible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<Gpu>,
}

impl Resources {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_unbounded(&self) -> bool {
        *self == Self::default()
    }
}

/// A graphics processor of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Which of its vendor's, from 0.
    pub index: u32,
    /// Who made it.
    pub vendor: GpuVendor,
}

/// Who made a graphics processor, in NuNet's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GpuVendor {
    /// NVIDIA.
    #[serde(rename = "NVIDIA")]
    Nvidia,
    /// AMD.
    #[serde(rename = "AMD/ATI", alias = "AMD")]
    Amd,
    /// Intel.
    #[serde(rename = "Intel")]
    Intel,
}

/// A place of this host inside of the execution (nunet.md 2.6, `StorageVolumeExecutor`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageVolume {
    /// How it comes there; `bind` is the only way.
    #[serde(rename = "type", default = "bind")]
    pub kind: String,
    /// An absolute path of this host.
    pub source: String,
    /// An absolute path in the execution.
    pub target: String,
    /// Whether it must not be written to. Of an output it is not looked at.
    #[serde(default, rename = "readonly")]
    pub read_only: bool,
}

fn bind() -> String {
    "bind".to_owned()
}

impl StorageVolume {
    /// A bind mount that can be written to.
    #[must_use]
    pub fn bind(source: impl Into<String>, target: impl Into<String>) -> Self {
        Self { kind: bind(), source: source.into(), target: target.into(), read_only: false }
    }
}

/// A script that runs before an execution's own command, in its environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvisionScript {
    /// What it is called in the output.
    pub name: String,
    /// Its text; one that begins with `#!` is read by that program, any other by `/bin/sh`.
    pub content: String,
}

/// A port of this host that leads to one of the execution's, over TCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortToBind {
    /// The host's address; all of them without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The host's port; 0 for any that is free.
    pub host_port: u16,
    /// The port in the execution.
    pub executor_port: u16,
}

/// A key that an execution gets (nunet.md 2.8).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllocationKey {
    /// Which kind; `ssh` is the only one.
    #[serde(rename = "type")]
    pub kind: String,
    /// The key's text.
    pub file: String,
    /// Where it goes, for kinds that say so; an `ssh` key goes into root's `authorized_keys`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dest: String,
}

/// Without the key.
impl fmt::Debug for AllocationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllocationKey").field("type", &self.kind).finish_non_exhaustive()
    }
}

/// Durations as whole or broken seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|duration| duration.as_secs_f64()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        let duration = |seconds: f64| {
            let wrong = || {
                serde::de::Error::custom(format!(
                    "{seconds} is not a number of seconds from 0 to {:.1e}",
                    u64::MAX as f64
                ))
            };
            Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
        };
        seconds.map(duration).transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(more: Value) -> Result<ExecutionRequest, serde_json::Error> {
        let mut text = json!({"job_id": "j", "execution_id": "e", "engine_spec": {"type": "docker"}});
        text.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(text)
    }

    // covers: nunet 5, 76
    #[test]
    fn an_id_that_is_not_safe_everywhere_is_refused() {
        for id in ["", "../x", "a/b", "a\0b", "ä", "a b", "\"x\"", &"x".repeat(300)] {
            assert!(request(json!({"execution_id": id})).is_err(), "{id:?}");
            assert!(request(json!({"job_id": id})).is_err(), "{id:?}");
        }
    }

    #[test]
    fn a_request_says_no_more_than_it_was_given() {
        let request = request(json!({})).unwrap();
        let text = serde_json::to_value(&request).unwrap();
        let expected =
            json!({"job_id": "j", "execution_id": "e", "engine_spec": {"type": "docker", "params": {}}});
        assert_eq!(text, expected);
    }

    #[test]
    fn what_nobody_understands_is_an_error_that_names_it() {
        for (more, named) in [
            (json!({"resorces": {}}), "resorces"),
            (json!({"resources": {"ram": 5}}), "ram_bytes"),
            (json!({"resources": {"ram_bytes": -5}}), "-5"),
            (json!({"timeout": -1}), "-1"),
            (json!({"ports_to_bind": [{"host_port": 70000, "executor_port": 1}]}), "70000"),
        ] {
            let error = request(more).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    // covers: nunet 6
    #[test]
    fn the_type_of_a_specification_is_compared_without_case_and_blanks() {
        assert!(SpecConfig::new(" Docker ").is_type("docker"));
        assert!(!SpecConfig::new("podman").is_type("docker"));
        assert!(SpecConfig::new("  ").is_empty());
        assert!(!SpecConfig::default().with_param("image", "x").is_empty());
    }

    #[test]
    fn no_secret_shows_in_debug_output() {
        let mut request =
            request(json!({"secrets": {"A": "hunter2"}, "environment": {"B": "hunter2"}})).unwrap();
        request.keys.push(AllocationKey { kind: "ssh".into(), file: "hunter2".into(), dest: String::new() });
        assert!(!format!("{request:?} {:?}", request.keys).contains("hunter2"));
    }

    #[test]
    fn nothing_of_a_secret_is_in_what_is_said_of_it() {
        for (secrets, expected) in [
            (json!({"TOKEN": 424_242}), "a number where a text is expected"),
            (json!({"TOKEN": -424.25}), "a number where a text is expected"),
            (json!({"TOKEN": true}), "a truth value where a text is expected"),
            (json!({"TOKEN": ["424242"]}), "invalid type: sequence, expected a text"),
            (json!([["TOKEN", "424242"]]), "invalid type: sequence, expected an object of texts"),
        ] {
            let error = request(json!({"secrets": secrets})).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("424"), "{error}");
        }
    }

    #[test]
    fn a_variable_that_is_there_twice_is_refused() {
        let text = r#"{"job_id": "j", "execution_id": "e", "engine_spec": {"type": "docker"},
            "environment": {"A": "1", "A": "2"}}"#;
        let error = serde_json::from_str::<ExecutionRequest>(text).unwrap_err().to_string();
        assert!(error.contains(r#""A" is there twice"#), "{error}");
    }
}
