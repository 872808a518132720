//! The port through which an agent speaks to a queue. What it says of a job it says as the holder of that job's attempt.

use async_trait::async_trait;
use jobwright_client::GitProxy;
use jobwright_model::{AttemptEnd, JobRef, LogEntry};
use jobwright_queue::wire::Job;

/// Why something could not be said.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// Nobody answers, or the answer is that of a server in trouble: it is said again.
    #[error("{0}")]
    Unreachable(String),
    /// The job is not ours any more: nothing more is to be said of it.
    #[error("the queue does not know this job as ours any more")]
    Stale,
    /// It refuses, and will again.
    #[error("{0}")]
    Refused(String),
}

/// A job that this agent holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub job: JobRef,
    /// Its token; empty from queues that give none.
    pub token: String,
}

/// What is known of the jobs that were named in a sign of life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// These are ours.
    pub known: Vec<JobRef>,
    /// Of these the end is wanted.
    pub cancel: Vec<JobRef>,
}

/// Where jobs come from and reports go.
#[async_trait]
pub trait JobSource: Send + Sync {
    /// The next job, if there is one now.
    ///
    /// # Errors
    /// [`SourceError`]; never [`SourceError::Stale`].
    async fn dequeue(&self) -> Result<Option<(JobRef, Job)>, SourceError>;

    /// Says that the agent lives and holds these.
    ///
    /// # Errors
    /// As [`dequeue`](Self::dequeue).
    async fn heartbeat(&self, held: &[JobRef], metrics: String) -> Result<Beat, SourceError>;

    /// Adds an entry to the job's log; gives its number, none where entries have no number and cannot be changed.
    ///
    /// # Errors
    /// [`SourceError`].
    async fn add_log(&self, held: &Held, entry: &LogEntry) -> Result<Option<i64>, SourceError>;

    /// Says anew what an entry is.
    ///
    /// # Errors
    /// [`SourceError`].
    async fn update_log(&self, held: &Held, number: i64, entry: &LogEntry) -> Result<(), SourceError>;

    /// Says how the attempt ended.
    ///
    /// # Errors
    /// [`SourceError`].
    async fn finish(&self, held: &Held, end: &AttemptEnd) -> Result<(), SourceError>;

    /// A file of the job that lies with the queue.
    ///
    /// # Errors
    /// [`SourceError`].
    async fn file(&self, held: &Held, bucket: &str, key: &str) -> Result<Vec<u8>, SourceError>;

    /// A way for git to read that repository, which is open as long as the value lives.
    ///
    /// # Errors
    /// [`SourceError`].
    async fn git(&self, held: &Held, repository: &str) -> Result<GitProxy, SourceError>;
}
