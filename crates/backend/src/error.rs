//! How a backend fails. Each error knows which cause of an ending it is, so that nobody has to guess from its text.

use std::io;

use jobwright_model::{Cause, Step, StepType, StepUuid, TaskUuid};

/// Shorthand for what every method of the port answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageProblem {
    /// It is not here, and the pull policy forbids to fetch it.
    #[error("is not present and must not be pulled")]
    Absent,
    /// The registry does not have it.
    #[error("was not found by its registry: {0}")]
    NotFound(String),
    /// The registry wants other credentials.
    #[error("was refused by its registry: {0}")]
    Unauthorized(String),
    /// The registry could not be reached, or broke off.
    #[error("could not be pulled: {0}")]
    PullFailed(String),
    /// The reference is not one.
    #[error("is not a valid reference: {0}")]
    InvalidReference(String),
}

/// What a backend answers when it cannot do what it was asked. Texts are fragments that fit after "failed to ...:".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This backend never can.
    #[error("the {backend} backend does not support {what}")]
    Unsupported {
        /// The backend's name.
        backend: &'static str,
        /// What was asked of it.
        what: String,
    },
    /// It was built without the settings that it needs (`ErrNoCliContextFound`).
    #[error("no CliContext in context found: the {0} backend was built without its settings")]
    NoSettings(&'static str),
    /// The workflow cannot be set up as it is written (`ErrInvalidWorkflowSetup`).
    #[error("invalid workflow: {reason}")]
    InvalidWorkflow {
        /// The step to blame, where one is.
        step: Option<StepUuid>,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The step cannot be run as it is written.
    #[error("step {name:?} cannot be run: {reason}")]
    InvalidStep {
        /// The step's name.
        name: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// No step of this kind runs here.
    #[error("step {name:?} is of type {kind}, which the {backend} backend does not run")]
    UnsupportedStepType {
        /// The backend's name.
        backend: &'static str,
        /// The step's name.
        name: String,
        /// Its type.
        kind: StepType,
    },
    /// No such task is set up.
    #[error("task {0} is not set up here")]
    UnknownTask(TaskUuid),
    /// No such step was started.
    #[error("step {step} of task {task} is not here")]
    UnknownStep {
        /// The step.
        step: StepUuid,
        /// Its task.
        task: TaskUuid,
    },
    /// No process of the step can have run: its start was never asked for, or never came to it.
    #[error("step {0} was not started")]
    NotStarted(StepUuid),
    /// The step was started before.
    #[error("step {0} was started already")]
    AlreadyStarted(StepUuid),
    /// Something else has the name that a container, network or volume should get.
    #[error("the name {0:?} is taken")]
    NameTaken(String),
    /// The image cannot be had.
    #[error("image {image:?} {problem}")]
    Image {
        /// The image reference.
        image: String,
        /// What is wrong with it.
        problem: ImageProblem,
    },
    /// The program or entrypoint could not be started.
    #[error("step {name:?} could not be started: {reason}")]
    Start {
        /// The step's name.
        name: String,
        /// Why.
        reason: String,
    },
    /// Files could not be brought into or out of the workspace.
    #[error("workspace: {0}")]
    Workspace(String),
    /// There is no file that any of the globs matches.
    #[error("workspace: nothing matches {0}")]
    NothingMatches(String),
    /// There is no room left for what it is doing.
    #[error("no space left while {0}")]
    DiskFull(String),
    /// The engine does not answer any more. Says nothing about what ran on it.
    #[error("the {engine} engine does not answer: {reason}")]
    EngineGone {
        /// The engine.
        engine: &'static str,
        /// What was tried and what came of it.
        reason: String,
    },
    /// The engine answered with a refusal that is none of the above.
    #[error("the {engine} engine refused to {operation}: {message}")]
    Engine {
        /// The engine.
        engine: &'static str,
        /// What it was asked to do, as a verb: `create the container`.
        operation: String,
        /// Its words.
        message: String,
    },
    /// The operating system refused something.
    #[error("{operation}: {source}")]
    Io {
        /// What was being done: `reading the output of step build`.
        operation: String,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// An error in the way `step` is written.
    #[must_use]
    pub fn invalid_step(step: &Step, reason: impl Into<String>) -> Self {
        Self::InvalidStep { name: step.name.clone(), reason: reason.into() }
    }

    /// A failure to start `step`.
    #[must_use]
    pub fn start(step: &Step, reason: impl Into<String>) -> Self {
        Self::Start { name: step.name.clone(), reason: reason.into() }
    }

    /// `step` of `task` is not here.
    #[must_use]
    pub fn unknown_step(step: &Step, task: &TaskUuid) -> Self {
        Self::UnknownStep { step: step.uuid.clone(), task: task.clone() }
    }

    /// An error of the operating system; a full disk becomes [`Error::DiskFull`].
    #[must_use]
    pub fn io(operation: impl Into<String>, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            Self::DiskFull(operation.into())
        } else {
            Self::Io { operation: operation.into(), source }
        }
    }

    /// The cause of the ending of a step or workflow that this error ended.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Image { .. } => Cause::Image,
            Self::Workspace(_) | Self::NothingMatches(_) | Self::DiskFull(_) => Cause::Workspace,
            Self::EngineGone { .. } => Cause::EngineVanished,
            _ => Cause::StartFailure,
        }
    }
}
