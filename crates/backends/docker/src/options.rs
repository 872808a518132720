//! `backend_options.docker` of a step: what only this backend understands. Unknown keys are errors, never ignored.

use jobwright_backend::quantities::{bytes, processors};
use jobwright_backend::{Error, Result};
use jobwright_model::Step;
use serde_json::Value;

use crate::gpus::Gpus;
use crate::ports::Binding;

/// The keys that are understood, for the error that names them.
const KNOWN: &str =
    "user, memory, cpus, shm_size, pids_limit, publish, platform, cmd, bindings, gpus, groups, dns_options";

/// What a step asks of this backend alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Options {
    /// User, or user and group, as whom the step runs; names or numbers.
    pub(crate) user: Option<String>,
    /// Most memory in bytes.
    pub(crate) memory: Option<i64>,
    /// Processors in billionths.
    pub(crate) nano_cpus: Option<i64>,
    /// Size of /dev/shm in bytes.
    pub(crate) shm_size: Option<i64>,
    /// Most processes and threads.
    pub(crate) pids_limit: Option<i64>,
    /// Publish the step's ports at the same numbers of the engine host's loopback address.
    pub(crate) publish: bool,
    /// The platform of the image, `linux/arm64`.
    pub(crate) platform: Option<String>,
    /// What the image's entrypoint, or the step's own, gets as its arguments; empty for what the image says.
    pub(crate) cmd: Vec<String>,
    /// Places of the host that lead to the step's ports.
    pub(crate) bindings: Vec<Binding>,
    /// Graphics processors.
    pub(crate) gpus: Gpus,
    /// Groups, names or numbers, that the step's user is in besides its own.
    pub(crate) groups: Vec<String>,
    /// Options of the resolver, `ndots:1`.
    pub(crate) dns_options: Vec<String>,
}

impl Options {
    /// Reads them.
    ///
    /// # Errors
    /// [`Error::InvalidStep`] that names the key, what was found and what would be right.
    pub(crate) fn of(step: &Step) -> Result<Self> {
        let mut options = Self::default();
        let Some(given) = step.backend_options.get("docker").filter(|given| !given.is_null()) else {
            return Ok(options);
        };
        let wrong = |rule: String| Error::invalid_step(step, format!("backend_options.docker{rule}"));
        let Some(given) = given.as_object() else {
            return Err(wrong(format!(" is not an object; its keys are {KNOWN}")));
        };
        for (key, value) in given {
            options.take(key, value).map_err(|rule| {
                // A rule about a part of the value begins with where that part is.
                let space = if rule.starts_with(['.', '[']) { "" } else { " " };
                wrong(format!(".{key}{space}{rule}"))
            })?;
        }
        Ok(options)
    }

    fn take(&mut self, key: &str, value: &Value) -> Result<(), String> {
        let text = || value.as_str().map(str::to_owned).filter(|text| !text.is_empty());
        let size = || bytes(value).ok_or("is not a size in bytes (536870912 or \"512m\")");
        match key {
            "user" => self.user = Some(text().ok_or("is not a user (\"1000:1000\" or \"nobody\")")?),
            "memory" => self.memory = Some(size()?),
            "shm_size" => self.shm_size = Some(size()?),
            "cpus" => {
                self.nano_cpus =
                    Some(processors(value).ok_or("is not a number of processors (0.5 or \"2\")")?)
            }
            "pids_limit" => {
                let limit = value.as_i64().filter(|limit| *limit > 0);
                self.pids_limit = Some(limit.ok_or("is not a whole number above 0")?);
            }
            "publish" => self.publish = value.as_bool().ok_or("is neither true nor false")?,
            "platform" => self.platform = Some(text().ok_or("is not a platform (\"linux/arm64\")")?),
            "cmd" => self.cmd = arguments(value).ok_or("is not a list of strings ([\"--port\", \"80\"])")?,
            "bindings" => self.bindings = Binding::list(value)?,
            "gpus" => self.gpus = Gpus::read(value)?,
            "groups" => {
                self.groups = words(value).ok_or("is not a list of groups ([\"video\", \"44\"])")?;
            }
            "dns_options" => {
                self.dns_options =
                    words(value).ok_or("is not a list of resolver options ([\"ndots:1\", \"timeout:2\"])")?;
            }
            _ => return Err(format!("is not known; the keys are {KNOWN}")),
        }
        Ok(())
    }
}

/// A list of what a program can get as arguments.
fn arguments(value: &Value) -> Option<Vec<String>> {
    let argument = |entry: &Value| entry.as_str().filter(|text| !text.contains('\0')).map(str::to_owned);
    value.as_array()?.iter().map(argument).collect()
}

/// A list of single words.
fn words(value: &Value) -> Option<Vec<String>> {
    let odd = |letter: char| letter.is_whitespace() || letter.is_control();
    arguments(value).filter(|words| words.iter().all(|word| !word.is_empty() && !word.contains(odd)))
}

#[cfg(test)]
mod tests {
    use jobwright_model::StepUuid;
    use serde_json::json;

    use super::*;

    fn options(value: Value) -> Result<Options> {
        let mut step = Step::new("build", StepUuid::new("s1").unwrap());
        step.backend_options.insert("docker".to_owned(), value);
        Options::of(&step)
    }

    #[test]
    fn every_option_is_read() {
        let given = json!({
            "user": "1000:1000", "memory": "512m", "cpus": "1.5", "shm_size": 4096, "pids_limit": 50, "publish": true,
            "platform": "linux/arm64", "cmd": ["-x", ""], "bindings": [{"host_port": 0, "port": 80}],
            "gpus": {"nvidia": ["0"]}, "groups": ["video", "44"], "dns_options": ["ndots:1"],
        });
        let expected = Options {
            user: Some("1000:1000".to_owned()),
            memory: Some(512 << 20),
            nano_cpus: Some(1_500_000_000),
            shm_size: Some(4096),
            pids_limit: Some(50),
            publish: true,
            platform: Some("linux/arm64".to_owned()),
            cmd: vec!["-x".to_owned(), String::new()],
            bindings: Binding::list(&json!([{"host_port": 0, "port": 80}])).unwrap(),
            gpus: Gpus::read(&json!({"nvidia": ["0"]})).unwrap(),
            groups: vec!["video".to_owned(), "44".to_owned()],
            dns_options: vec!["ndots:1".to_owned()],
        };
        assert_eq!(options(given).unwrap(), expected);
        assert_eq!(options(Value::Null).unwrap(), Options::default());
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_names_it() {
        for (given, named) in [
            (json!({"usr": "x"}), "usr"),
            (json!({"usr": "x"}), "pids_limit"),
            (json!({"user": 5}), "user"),
            (json!({"memory": "lots"}), "memory"),
            (json!({"memory": "99999999999g"}), "memory"),
            (json!({"memory": -1}), "memory"),
            (json!({"cpus": -1}), "cpus"),
            (json!({"publish": "yes"}), "publish"),
            (json!({"cmd": "serve"}), "docker.cmd is not a list"),
            (json!({"cmd": [80]}), "cmd"),
            (json!({"cmd": ["a\0"]}), "cmd"),
            (json!({"bindings": {"port": 80}}), "bindings is not a list"),
            (json!({"bindings": [{"host_port": 1, "port": 2}, {"port": 80}]}), "bindings[1]"),
            (json!({"bindings": [{"port": 80}]}), "host_port"),
            (json!({"bindings": [{"host_port": 0, "port": 0}]}), "nonzero"),
            (json!({"bindings": [{"host_port": 70000, "port": 1}]}), "70000"),
            (json!({"bindings": [{"host_port": 0, "port": 1, "ip": "here"}]}), "IP address"),
            (json!({"bindings": [{"host_port": 0, "port": 1, "protocol": "udp"}]}), "protocol"),
            (json!({"gpus": ["0"]}), "gpus is not an object"),
            (json!({"gpus": {"amd": ["0"]}}), "gpus.amd"),
            (json!({"gpus": {"nvidia": []}}), "gpus.nvidia"),
            (json!({"groups": "video"}), "groups"),
            (json!({"groups": [""]}), "groups"),
            (json!({"groups": [44]}), "groups"),
            (json!({"dns_options": ["ndots:1 timeout:2"]}), "dns_options"),
            (json!({"dns_options": ["a\nnameserver"]}), "dns_options"),
            (json!([]), "backend_options.docker"),
        ] {
            let error = options(given).unwrap_err();
            assert!(
                matches!(error, Error::InvalidStep { .. }) && error.to_string().contains(named),
                "{error}"
            );
        }
    }
}
