//! What can go wrong with what is kept.

use std::path::PathBuf;

use jobwright_model::QueueName;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something was not kept, or cannot be found. What a caller asked for in vain (a stale attempt, a job that is not there) is no error but
/// an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database cannot be opened.
    #[error("the database {} cannot be opened: {reason}", .path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The database was written by a later version.
    #[error("the database is of version {found}, this program knows versions up to {known}")]
    Newer {
        /// Its version.
        found: i64,
        /// The latest that this program knows.
        known: i64,
    },
    /// The database does not answer. Nothing is known of what was asked for last.
    #[error("the database does not answer: {0}")]
    Gone(String),
    /// There is no queue of that name.
    #[error("there is no queue \"{0}\"")]
    NoQueue(QueueName),
    /// The database refuses, or what it holds makes no sense.
    #[error("{operation}: {reason}")]
    Failed {
        /// What was tried.
        operation: String,
        /// Why it failed.
        reason: String,
    },
}

impl Error {
    /// The same error, for each of those who shared what failed.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Open { path, reason } => Self::Open { path: path.clone(), reason: reason.clone() },
            Self::Newer { found, known } => Self::Newer { found: *found, known: *known },
            Self::Gone(reason) => Self::Gone(reason.clone()),
            Self::NoQueue(queue) => Self::NoQueue(queue.clone()),
            Self::Failed { operation, reason } => {
                Self::Failed { operation: operation.clone(), reason: reason.clone() }
            }
        }
    }
}
