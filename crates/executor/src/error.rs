//! How an executor refuses or fails.

use jobwright_backend::Error as BackendError;
use jobwright_model::{ExecutionId, ExecutionResult, ExecutionStatus, JobId};

/// What an executor answers with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an executor did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody ever asked for an execution of that id, or it was removed.
    #[error("execution ({0}) not found")]
    NotFound(ExecutionId),
    /// The id was given before, and its execution has not ended.
    #[error("execution ({0}) is already started: an id is given once, until what it names is removed")]
    AlreadyStarted(ExecutionId),
    /// The id was given before, and its execution has ended.
    #[error("execution ({0}) is already completed: an id is given once, until what it names is removed")]
    AlreadyCompleted(ExecutionId),
    /// It was waited for, or was to be ended or changed, after it had ended; with what came of it.
    #[error("execution ({id}) has already concluded: {}", .result.status())]
    AlreadyConcluded {
        /// Which.
        id: ExecutionId,
        /// What came of it.
        result: Box<ExecutionResult>,
    },
    /// It belongs to another job than the one that was named.
    #[error("execution ({id}) belongs to the job {own}, not to {given}")]
    OtherJob {
        /// Which.
        id: ExecutionId,
        /// Its job.
        own: JobId,
        /// The one that was named.
        given: JobId,
    },
    /// It is not in the state that this needs.
    #[error("execution ({id}) is {status}; {needs}")]
    WrongStatus {
        /// Which.
        id: ExecutionId,
        /// How it stands.
        status: ExecutionStatus,
        /// What would be needed.
        needs: &'static str,
    },
    /// The request says something that cannot be; nothing was made.
    #[error("invalid request: {field}: {reason}")]
    Invalid {
        /// What is wrong, as a path in the request.
        field: String,
        /// Why, and what would be right.
        reason: String,
    },
    /// The engine that was asked for is not one of this executor's.
    #[error("there is no engine {wanted:?} here; there is {}", .known.join(", "))]
    UnknownEngine {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The backend cannot do that.
    #[error("the {backend} backend does not support {what}")]
    Unsupported {
        /// Which backend.
        backend: String,
        /// What.
        what: String,
    },
    /// It did not come to that status within the time.
    #[error("execution ({id}) did not reach status {status} within {seconds} s; it is {now}")]
    DidNotReach {
        /// Which.
        id: ExecutionId,
        /// What was waited for.
        status: ExecutionStatus,
        /// How long, in seconds.
        seconds: f64,
        /// How it stands.
        now: ExecutionStatus,
    },
    /// Its logs were kept as long as was asked for, and are gone.
    #[error("the logs of execution ({0}) were kept as long as was asked for, and are gone")]
    LogsExpired(ExecutionId),
    /// The backend failed at it.
    #[error(transparent)]
    Backend(BackendError),
    /// What is kept of executions could not be read or written.
    #[error("{operation}: {source}")]
    Store {
        /// What was tried.
        operation: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// What is kept of an execution can be read by nobody any more; its removal forgets it. What another version wrote is not damaged.
    #[error("what is kept of an execution is damaged: {0}")]
    Damaged(String),
    /// Several things went wrong; each is told.
    #[error("{}", .0.join("; "))]
    Several(Vec<String>),
}

impl Error {
    /// The request is wrong at `field`.
    pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), reason: reason.into() }
    }

    /// For `map_err` over what is kept.
    pub(crate) fn store(operation: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let operation = operation.into();
        move |source| Self::Store { operation, source }
    }
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Unsupported { backend, what } => {
                Self::Unsupported { backend: backend.to_owned(), what }
            }
            other => Self::Backend(other),
        }
    }
}
