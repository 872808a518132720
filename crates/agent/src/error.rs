//! Why an agent cannot begin. What goes wrong with a job is reported as that job's end.

use jobwright_journal::StateDirError;

use crate::source::SourceError;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an agent cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another agent has this state directory.
    #[error("another agent has the state directory {0}; give each its own (--state-dir)")]
    InUse(String),
    /// What an agent keeps cannot be kept.
    #[error("{operation}: {source}")]
    Keep {
        /// What was tried.
        operation: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// The queue refuses this agent.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
}

impl Error {
    pub(crate) fn keep(operation: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let operation = operation.into();
        move |source| Self::Keep { operation, source }
    }
}
