//! A workflow: what a backend isolates. Its JSON is that of `Config` in the Woodpecker interface document, so a
//! configuration that another compiler wrote runs here.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::step::Step;

/// Stages of steps that share one workspace volume and one network (`Config`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    /// The stages, in order; a barrier follows each, unless steps say `depends_on`.
    #[serde(
        rename = "pipeline",
        default,
        deserialize_with = "null_as_empty",
        serialize_with = "empty_as_null"
    )]
    pub stages: Vec<Stage>,
    /// The name that the compiler gave the workflow's network; empty when its steps need none.
    #[serde(default)]
    pub network: String,
    /// The name that the compiler gave the workspace volume; empty when its steps share no files.
    #[serde(default)]
    pub volume: String,
    /// Every secret that the compiler knew, for masking; not only those that a step uses.
    #[serde(default, deserialize_with = "null_as_empty", serialize_with = "empty_as_null")]
    pub secrets: Vec<Secret>,
}

impl Workflow {
    /// All steps, in the order of their stages.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.stages.iter().flat_map(|stage| &stage.steps)
    }
}

/// Steps that may run at the same time (`Stage`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// The steps.
    #[serde(default, deserialize_with = "null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// A value that nothing may show (`Secret`). Its `Debug` form does not show it either.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Under which name people know it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The value to mask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Go writes an empty list that it never filled as `null`; it is read as empty.
pub(crate) fn null_as_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The other way round, for fields that the interface document does not mark `omitempty`.
pub(crate) fn empty_as_null<S, T>(list: &Vec<T>, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    T: Serialize,
{
    if list.is_empty() { serializer.serialize_none() } else { list.serialize(serializer) }
}
