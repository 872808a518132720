//! What a run came to.

use std::time::Duration;

use jobwright_backend::FindError;
use jobwright_events::Name;
use jobwright_journal::{JournalError, StateDirError};
use jobwright_model::{Cause, Ending};
use jobwright_pipeline::{EvaluationError, Report};

use crate::prepare::PrepareError;

/// One job of a run, ended or never begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// Its name.
    pub name: Name,
    /// Its stage.
    pub stage: Name,
    /// How it ended.
    pub ending: Ending,
    /// What to tell a person when it did not pass.
    pub error: Option<String>,
    /// How long it took; zero when it never began.
    pub duration: Duration,
    /// How many attempts it took; 0 when it never began.
    pub attempts: u32,
    /// It failed, as it may: the run passes over it.
    pub passed_over: bool,
}

impl JobReport {
    /// Whether what waits for the job goes on: it passed, may fail, or was not to run because its condition did not hold.
    #[must_use]
    pub fn holds_nobody_up(&self) -> bool {
        self.ending.succeeded() || self.passed_over || self.ending.cause == Cause::Condition
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct RunReport {
    /// The run's own ending.
    pub ending: Ending,
    /// Why it could not run its jobs at all.
    pub error: Option<RunError>,
    /// Its jobs, in the order in which they were prepared.
    pub jobs: Vec<JobReport>,
    /// How long it took.
    pub duration: Duration,
}

/// Why a run cannot run its jobs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Selection or checks.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The jobs as they are written cannot run on the chosen backend, or a secret's value cannot be had.
    #[error("{0}")]
    Jobs(Box<Report>),
    /// A job's condition has no answer.
    #[error("job {job:?}: {source}")]
    Condition {
        /// The job.
        job: String,
        /// Why not.
        source: EvaluationError,
    },
    /// A job asks for what its backend cannot do.
    #[error("the backend {backend:?} cannot {what} for the job {job:?}")]
    Unsupported {
        /// The job.
        job: String,
        /// The backend's name.
        backend: &'static str,
        /// What it cannot do.
        what: &'static str,
    },
    /// The variables of a server cannot be had.
    #[error("the variables of {provider} cannot be fetched: {reason}")]
    Remote {
        /// The project and its server.
        provider: String,
        /// Why not; without the token.
        reason: String,
    },
    /// A secret that cannot be masked must not be used.
    #[error("{0}")]
    Secret(jobwright_redact::Warning),
    /// No backend.
    #[error(transparent)]
    Backend(#[from] FindError),
    /// The file has commands that run on the host, and nothing here runs them.
    #[error(
        "commands on the host (`bootstrap`, `cleanup`, `job_bootstrap`, `job_cleanup`) need the process backend: {0}"
    )]
    HostCommands(FindError),
    /// The backend cannot be loaded.
    #[error("the {name} backend cannot be loaded: {source}")]
    Load {
        /// The backend's name.
        name: &'static str,
        /// Why not.
        source: jobwright_backend::Error,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateDirError),
    /// The journal cannot be kept: no work without it (DESIGN rule 4).
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What the run is cannot be written down: nobody could take it over (DESIGN rule 4).
    #[error(transparent)]
    Manifest(#[from] jobwright_runtime::DocumentError),
    /// Its owner died before it had read the pipeline file.
    #[error("its Jobwright died before any job was begun; run it again")]
    NeverBegan,
    /// The event log cannot be kept.
    #[error("the event log cannot be kept: {0}")]
    EventLog(#[from] jobwright_events::LogError),
}

impl RunError {
    /// The cause of the run's ending.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Prepare(error) => error.cause(),
            Self::State(_) | Self::Journal(_) | Self::EventLog(_) | Self::Manifest(_) => Cause::Workspace,
            _ => Cause::StartFailure,
        }
    }
}
