//! That an agent asks for a job.

use serde::Serialize;

use super::{Fields, Malformed, written};

/// What an agent says when it asks for a job (`DequeueRequest`). The first executors said their name alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DequeueRequest {
    /// The queues that it asks, where the path names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queues: Vec<String>,
    /// Its name; the same for as long as it lives.
    pub executor_name: String,
    /// Its version, by which the form of the job is chosen; empty when it tells none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// How many processors a job of it has.
    #[serde(rename = "numCPUs", skip_serializing_if = "Option::is_none")]
    pub num_cpus: Option<i64>,
    /// How much memory a job of it has, such as `12G`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub memory: String,
    /// How much disk a job of it has, such as `20G`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub disk_space: String,
}

impl DequeueRequest {
    /// Reads a body. What is not known, such as the `executorHostname` of some early builds, is left alone.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::read(body)?;
        Ok(Self {
            queues: fields.texts("queues")?,
            executor_name: fields.text("executorName")?,
            version: fields.text("version")?,
            num_cpus: fields.integer("numCPUs")?,
            memory: fields.text("memory")?,
            disk_space: fields.text("diskSpace")?,
        })
    }

    /// The body; what is empty but the name is left out.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        written(self)
    }
}
