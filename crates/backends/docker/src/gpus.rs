//! Graphics processors that a step asks for (`backend_options.docker.gpus`): those that are named, and no other. Not for AMD's and
//! Intel's, which are devices of the host and need no word of their own (`devices`, `groups`).

use bollard::models::DeviceRequest;
use jobwright_backend::{Error, Result};
use jobwright_model::Step;
use serde_json::Value;

use crate::NAME;
use crate::engine::EngineKind;

/// What the option looks like, for errors.
const FORM: &str = r#"{"nvidia": ["0", "1"]}"#;

/// NVIDIA's, by index or identifier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gpus {
    nvidia: Vec<String>,
}

impl Gpus {
    /// Reads them; an error is what is wrong, for after the option's name.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let vendors = value.as_object().ok_or(format!("is not an object like {FORM}"))?;
        if let Some(other) = vendors.keys().find(|vendor| *vendor != "nvidia") {
            return Err(format!(
                ".{other} is not known; it is {FORM}, and graphics processors of others are devices (/dev/dri, and AMD's /dev/kfd with the \
                 group video)"
            ));
        }
        let Some(ids) = vendors.get("nvidia") else { return Ok(Self::default()) };
        let id = |id: &Value| id.as_str().filter(|id| names_one(id)).map(str::to_owned);
        let ids: Option<Vec<_>> = ids.as_array().and_then(|ids| ids.iter().map(id).collect());
        match ids {
            Some(nvidia) if !nvidia.is_empty() => Ok(Self { nvidia }),
            // Engines take no ids, or the word "all", for every one that there is.
            _ => Err(
                r#".nvidia is not a list of at least one index ("0") or identifier ("GPU-..." or "MIG-...")"#
                    .to_owned(),
            ),
        }
    }

    /// What the engine is asked for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an engine that would start the step without them.
    pub(crate) fn requests(&self, step: &Step, kind: EngineKind) -> Result<Option<Vec<DeviceRequest>>> {
        if self.nvidia.is_empty() {
            return Ok(None);
        }
        if kind == EngineKind::Podman {
            let what = format!(
                "the graphics processors that step {:?} asks for on Podman, which leaves such a request unheeded",
                step.name
            );
            return Err(Error::Unsupported { backend: NAME, what });
        }
        Ok(Some(vec![DeviceRequest {
            driver: Some("nvidia".to_owned()),
            device_ids: Some(self.nvidia.clone()),
            capabilities: Some(vec![vec!["gpu".to_owned()]]),
            ..DeviceRequest::default()
        }]))
    }
}

/// Whether this stands for a single one.
fn names_one(id: &str) -> bool {
    let index = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    let identifier = |rest: &str| {
        !rest.is_empty()
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/'))
    };
    index || id.strip_prefix("GPU-").or_else(|| id.strip_prefix("MIG-")).is_some_and(identifier)
}

#[cfg(test)]
mod tests {
    use jobwright_model::StepUuid;
    use serde_json::json;

    use super::*;

    fn requests(gpus: Value, kind: EngineKind) -> Result<Option<Vec<DeviceRequest>>> {
        let step = Step::new("train", StepUuid::new("s1").unwrap());
        Gpus::read(&gpus).unwrap().requests(&step, kind)
    }

    // covers: nunet 60, 61
    #[test]
    fn the_named_ones_are_asked_for_and_no_other() {
        let id = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6";
        let requests = requests(json!({"nvidia": ["0", "12", id]}), EngineKind::Docker).unwrap();
        let sent = serde_json::to_value(requests).unwrap();
        let expected = json!([{"Driver": "nvidia", "DeviceIDs": ["0", "12", id], "Capabilities": [["gpu"]]}]);
        assert_eq!(sent, expected, "no Count, which would be for as many as that, whichever they are");
    }

    #[test]
    fn without_a_name_nothing_is_asked_for() {
        for kind in [EngineKind::Docker, EngineKind::Podman] {
            assert_eq!(requests(json!({}), kind).unwrap(), None);
        }
    }

    // covers: nunet 60
    #[test]
    fn an_engine_that_would_start_the_step_without_them_is_refused() {
        let error = requests(json!({"nvidia": ["0"]}), EngineKind::Podman).unwrap_err();
        assert!(matches!(&error, Error::Unsupported { what, .. } if what.contains("\"train\"")), "{error}");
    }

    #[test]
    fn what_is_not_a_single_one_is_refused() {
        for (wrong, named) in [
            (json!(["0"]), "object"),
            (json!({"amd": ["0"]}), "/dev/kfd"),
            (json!({"nvidia": "0"}), "nvidia"),
            (json!({"nvidia": []}), "at least one"),
            (json!({"nvidia": [0]}), "index"),
            (json!({"nvidia": ["all"]}), "index"),
            (json!({"nvidia": ["0,1"]}), "index"),
            (json!({"nvidia": ["GPU-"]}), "GPU-"),
        ] {
            let error = Gpus::read(&wrong).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
