//! That an attempt has ended, and the question whose end is wanted.

use serde::Serialize;

use super::{Fields, Malformed, written};

/// An agent says that its job succeeded (`MarkCompleteRequest`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkCompleteRequest {
    /// Who says it.
    pub executor_name: String,
    /// The job's number in the queue that the path names.
    pub job_id: i64,
}

impl MarkCompleteRequest {
    /// Reads a body. A missing `jobId` is 0, which no job is.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::read(body)?;
        Ok(Self {
            executor_name: fields.text("executorName")?,
            job_id: fields.integer("jobId")?.unwrap_or_default(),
        })
    }

    /// The body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        written(self)
    }
}

/// An agent says that its job failed (`MarkErroredRequest`): for this time (`markErrored`) or for good (`markFailed`, which has the same body).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MarkErroredRequest {
    /// Who says it.
    pub executor_name: String,
    /// The job's number in the queue that the path names.
    pub job_id: i64,
    /// Why, for people.
    pub error_message: String,
}

impl MarkErroredRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::read(body)?;
        Ok(Self {
            executor_name: fields.text("executorName")?,
            job_id: fields.integer("jobId")?.unwrap_or_default(),
            error_message: fields.text("errorMessage")?,
        })
    }

    /// The body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        written(self)
    }
}

/// An agent of before December 2022 asks whose end is wanted: `canceled`, and later `canceledJobs`, which names the jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CanceledRequest {
    /// The jobs that it runs; none where it does not name them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_job_ids: Option<Vec<i64>>,
    /// Who asks.
    pub executor_name: String,
}

impl CanceledRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::read(body)?;
        let named = fields.has("knownJobIds");
        let ids = fields.integers("knownJobIds")?;
        Ok(Self { known_job_ids: named.then_some(ids), executor_name: fields.text("executorName")? })
    }

    /// The body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        written(self)
    }
}

/// The answer to [`CanceledRequest`]: a list of numbers, or of texts, or `null`.
///
/// # Errors
/// [`Malformed`].
pub fn canceled_ids(body: &[u8]) -> Result<Vec<i64>, Malformed> {
    super::known_ids(body)
}
