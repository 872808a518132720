//! A job as an agent gets it.

use std::fmt;

use jobwright_model::{InvalidId, JobRef, QueueName};

use super::{Fields, JobForm, Malformed, Unencodable};
use crate::Payload;

/// A job as an agent gets it (`Job`): its identity, and what is to be done.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// Its number in its queue; other queues may have the same.
    pub id: i64,
    /// The word by which its agent speaks of it; empty when it has none.
    pub token: String,
    /// Its queue, where the agent asked several; else empty.
    pub queue: String,
    /// What is to be done.
    pub payload: Payload,
}

impl Job {
    /// Reads a job of any version: `version` says how the contents of files are written, and each file may be a plain text all the same.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::read(body)?;
        Ok(Self {
            id: fields.integer("id")?.unwrap_or_default(),
            token: fields.text("token")?,
            queue: fields.text("queue")?,
            payload: Payload::take(&mut fields)?,
        })
    }

    /// The body in that form.
    ///
    /// # Errors
    /// [`Unencodable`] when a file of the job cannot be said in it.
    pub fn encode(&self, form: JobForm) -> Result<Vec<u8>, Unencodable> {
        super::encode::job(self, form)
    }

    /// Its number (`Job.RecordID`).
    #[must_use]
    pub fn record_id(&self) -> i64 {
        self.id
    }

    /// Its identity among all queues, as `NUMBER-QUEUE`; `queue` is that which was asked, for a job that does not name its own.
    ///
    /// # Errors
    /// [`InvalidId`] when the queue that it names has no queue's name.
    pub fn job_ref(&self, queue: &QueueName) -> Result<JobRef, InvalidId> {
        let queue = if self.queue.is_empty() { queue.clone() } else { QueueName::new(self.queue.as_str())? };
        Ok(JobRef::new(queue, self.id))
    }
}

/// Without its token.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Job");
        shown
            .field("id", &self.id)
            .field("queue", &self.queue)
            .field("payload", &self.payload)
            .finish_non_exhaustive()
    }
}
