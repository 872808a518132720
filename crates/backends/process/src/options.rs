//! `backend_options.process` of a step: what only this backend understands. Unknown keys are errors, never ignored.

use jobwright_backend::quantities::{bytes, processors};
use jobwright_backend::{Error, Result};
use jobwright_model::Step;
use jobwright_shim::protocol::{Limit, Resource};
use serde_json::Value;

use crate::backend::NAME;

/// The keys that are understood, for the error that names them.
const KNOWN: &str = "memory, cpus, pids_limit, ulimits";
/// No program starts in less.
const LEAST_MEMORY: i64 = 1 << 20;
/// The names of `ulimits`, as `setrlimit(2)` and container engines have them.
const ULIMITS: [(&str, Resource); 9] = [
    ("as", Resource::AddressSpace),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::FileSize),
    ("memlock", Resource::LockedMemory),
    ("nofile", Resource::OpenFiles),
    ("nproc", Resource::Processes),
    ("stack", Resource::Stack),
];

/// What a step asks of this backend alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) bounds: Bounds,
    /// Limits of each single process, by `setrlimit(2)`.
    pub(crate) ulimits: Vec<Limit>,
}

/// Limits of all processes of a step together, which take a cgroup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Most memory in bytes.
    pub(crate) memory: Option<i64>,
    /// Processors in billionths.
    pub(crate) nano_cpus: Option<i64>,
    /// Most processes and threads.
    pub(crate) pids: Option<i64>,
}

impl Options {
    /// Reads them.
    ///
    /// # Errors
    /// [`Error::InvalidStep`] that names the key, what was found and what would be right.
    pub(crate) fn of(step: &Step) -> Result<Self> {
        let mut options = Self::default();
        let Some(given) = step.backend_options.get(NAME).filter(|given| !given.is_null()) else {
            return Ok(options);
        };
        let wrong = |rule: String| Error::invalid_step(step, format!("backend_options.{NAME}{rule}"));
        let Some(given) = given.as_object() else {
            return Err(wrong(format!(" is not an object; its keys are {KNOWN}")));
        };
        for (key, value) in given {
            options.take(key, value).map_err(|rule| wrong(format!(".{key}{rule}")))?;
        }
        Ok(options)
    }

    fn take(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "memory" => {
                let memory = bytes(value).ok_or(" is not a size in bytes (536870912 or \"512m\")")?;
                if memory < LEAST_MEMORY {
                    return Err(format!(" is {memory} bytes; no program starts in less than 1 MiB"));
                }
                self.bounds.memory = Some(memory);
            }
            "cpus" => {
                let cpus = processors(value).ok_or(" is not a number of processors (0.5 or \"2\")")?;
                self.bounds.nano_cpus = Some(cpus);
            }
            "pids_limit" => {
                let limit = value.as_i64().filter(|limit| *limit > 0);
                self.bounds.pids = Some(limit.ok_or(" is not a whole number above 0")?);
            }
            "ulimits" => self.ulimits = ulimits(value)?,
            _ => return Err(format!(" is not known; the keys are {KNOWN}")),
        }
        Ok(())
    }
}

fn ulimits(value: &Value) -> Result<Vec<Limit>, String> {
    let names = || ULIMITS.map(|(name, _)| name).join(", ");
    let given = value.as_object().ok_or_else(|| format!(" is not an object; its keys are {}", names()))?;
    let limit = |(name, value): (&String, &Value)| {
        let found = ULIMITS.iter().find(|(known, _)| known == name);
        let (_, resource) = found.ok_or_else(|| format!(".{name} is not known; the keys are {}", names()))?;
        let form = || format!(".{name} is neither a whole number nor {{\"soft\": NUMBER, \"hard\": NUMBER}}");
        let (soft, hard) = bounds(value).ok_or_else(form)?;
        if soft > hard {
            return Err(format!(".{name}: soft ({soft}) is above hard ({hard})"));
        }
        Ok(Limit { resource: *resource, soft: Some(soft), hard: Some(hard) })
    };
    given.iter().map(limit).collect()
}

/// A number for both, or each by its name.
fn bounds(value: &Value) -> Option<(u64, u64)> {
    if let Some(both) = value.as_u64() {
        return Some((both, both));
    }
    let object = value.as_object().filter(|object| object.len() == 2)?;
    Some((object.get("soft")?.as_u64()?, object.get("hard")?.as_u64()?))
}

#[cfg(test)]
mod tests {
    use jobwright_model::StepUuid;
    use serde_json::json;

    use super::*;

    fn options(value: Value) -> Result<Options> {
        let mut step = Step::new("build", StepUuid::new("s1").unwrap());
        step.backend_options.insert(NAME.to_owned(), value);
        Options::of(&step)
    }

    #[test]
    fn every_option_is_read() {
        let given = json!({
            "memory": "512m", "cpus": 1.5, "pids_limit": 50,
            "ulimits": {"core": 0, "nofile": {"soft": 100, "hard": 200}},
        });
        let limit = |resource, soft, hard| Limit { resource, soft: Some(soft), hard: Some(hard) };
        let expected = Options {
            bounds: Bounds { memory: Some(512 << 20), nano_cpus: Some(1_500_000_000), pids: Some(50) },
            ulimits: vec![limit(Resource::Core, 0, 0), limit(Resource::OpenFiles, 100, 200)],
        };
        assert_eq!(options(given).unwrap(), expected);
        assert_eq!(options(Value::Null).unwrap(), Options::default());
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_names_it() {
        for (given, named) in [
            (json!({"memroy": 1}), "memroy is not known"),
            (json!({"memroy": 1}), "pids_limit"),
            (json!({"memory": "lots"}), "process.memory is not a size"),
            (json!({"memory": 4096}), "1 MiB"),
            (json!({"cpus": 0}), "cpus"),
            (json!({"pids_limit": "many"}), "pids_limit"),
            (json!({"ulimits": 3}), "nofile"),
            (json!({"ulimits": {"nofiles": 3}}), "ulimits.nofiles is not known"),
            (json!({"ulimits": {"nofile": "3"}}), "ulimits.nofile is neither"),
            (json!({"ulimits": {"nofile": {"soft": 3}}}), "ulimits.nofile is neither"),
            (json!({"ulimits": {"nofile": {"soft": 3, "hard": 2}}}), "above hard"),
            (json!([]), "backend_options.process is not an object"),
        ] {
            let error = options(given).unwrap_err();
            let is_it = matches!(error, Error::InvalidStep { .. }) && error.to_string().contains(named);
            assert!(is_it, "{named}: {error}");
        }
    }
}
