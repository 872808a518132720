//! How something ended (DESIGN section 5): an outcome, its cause, and the evidence. The wire forms of the five interfaces
//! are views of it. What a cause means for a retry is said here by its fault; whether to retry is not decided here.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::exit::{ExitStatus, StepExit};

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran and exited 0.
    Succeeded,
    /// It ran, or should have, and did not pass.
    Failed,
    /// Somebody or something asked for its end.
    Cancelled,
    /// It was never to run.
    Skipped,
    /// Nobody can say what came of it.
    Lost,
}

impl Outcome {
    /// The word on the wire and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Lost => "lost",
        }
    }
}

/// Why. Each cause belongs to exactly one outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// Exit code 0.
    Success,
    /// An exit code other than 0.
    ExitCode,
    /// A signal that Jobwright did not send.
    Signal,
    /// The memory limit.
    OutOfMemory,
    /// It took longer than it may in all.
    Timeout,
    /// It printed nothing for longer than it may.
    SilenceTimeout,
    /// It could not be started.
    StartFailure,
    /// It ran in the background and was not ready when it had to be: it ended before, or took too long.
    NotReady,
    /// Its image is not there, or cannot be had.
    Image,
    /// Its files could not be made ready.
    Workspace,
    /// A file that it had to leave was not there.
    ArtifactMissing,
    /// It ended, but what it took could not be given back.
    Cleanup,
    /// A person, or a program on a person's behalf.
    ByUser,
    /// Jobwright itself was told to stop.
    ByShutdown,
    /// The queue that gave it.
    ByQueue,
    /// Another step or job of the same whole failed.
    BySibling,
    /// It ran in the background of a workflow that came to its end.
    WorkflowEnded,
    /// Its condition did not hold.
    Condition,
    /// What it depends on did not pass; the name of that.
    Dependency(String),
    /// The engine or the host is gone.
    EngineVanished,
    /// The engine is there, the exit status is not.
    StatusUnreadable,
}

/// Whose fault a cause is; retry rules speak of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The work's own, or its owner's wish: running it again changes nothing by itself.
    User,
    /// That of the machines beneath it: running it again may help.
    Infrastructure,
}

impl Cause {
    /// The outcome that this cause means.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Success => Outcome::Succeeded,
            Self::ExitCode
            | Self::Signal
            | Self::OutOfMemory
            | Self::Timeout
            | Self::SilenceTimeout
            | Self::StartFailure
            | Self::NotReady
            | Self::Image
            | Self::Workspace
            | Self::ArtifactMissing
            | Self::Cleanup => Outcome::Failed,
            Self::ByUser | Self::ByShutdown | Self::ByQueue | Self::BySibling | Self::WorkflowEnded => {
                Outcome::Cancelled
            }
            Self::Condition | Self::Dependency(_) => Outcome::Skipped,
            Self::EngineVanished | Self::StatusUnreadable => Outcome::Lost,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Image
            | Self::Workspace
            | Self::EngineVanished
            | Self::StatusUnreadable
            | Self::ByShutdown => Fault::Infrastructure,
            _ => Fault::User,
        }
    }

    /// The word on the wire and in messages.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ExitCode => "exit_code",
            Self::Signal => "signal",
            Self::OutOfMemory => "out_of_memory",
            Self::Timeout => "timeout",
            Self::SilenceTimeout => "silence_timeout",
            Self::StartFailure => "start_failure",
            Self::NotReady => "not_ready",
            Self::Image => "image",
            Self::Workspace => "workspace",
            Self::ArtifactMissing => "artifact_missing",
            Self::Cleanup => "cleanup",
            Self::ByUser => "by_user",
            Self::ByShutdown => "by_shutdown",
            Self::ByQueue => "by_queue",
            Self::BySibling => "by_sibling",
            Self::WorkflowEnded => "workflow_ended",
            Self::Condition => "condition",
            Self::Dependency(_) => "dependency",
            Self::EngineVanished => "engine_vanished",
            Self::StatusUnreadable => "status_unreadable",
        }
    }
}

/// How a step, a job or a run ended. Made by [`Ending::new`] or [`Ending::of_exit`] only, so outcome and cause always fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ending {
    /// What came of it.
    pub outcome: Outcome,
    /// Why.
    pub cause: Cause,
    /// The exit code that its authority gave, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Whether the memory limit ended it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oom: bool,
    /// When it began; none when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// What a person needs to believe it: an error's text, which timeout it was. Masked before it gets here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

impl Ending {
    /// An ending by `cause`, with nothing else known.
    #[must_use]
    pub fn new(cause: Cause) -> Self {
        Self {
            outcome: cause.outcome(),
            cause,
            exit_code: None,
            signal: None,
            oom: false,
            started: None,
            finished: None,
            evidence: None,
        }
    }

    /// The ending that an exit means when nobody asked for it: the only way to a success (DESIGN rule 1).
    #[must_use]
    pub fn of_exit(exit: &StepExit) -> Self {
        let cause = match exit.status {
            _ if exit.oom => Cause::OutOfMemory,
            _ if exit.overdue => Cause::Timeout,
            ExitStatus::Code(0) => Cause::Success,
            ExitStatus::Code(_) => Cause::ExitCode,
            ExitStatus::Signal(_) => Cause::Signal,
            ExitStatus::Unknown => Cause::StatusUnreadable,
        };
        Self::new(cause).with_exit(exit)
    }

    /// Adds what its authority said of the exit; outcome and cause stay (a step that was cancelled or timed out keeps
    /// its code as evidence).
    #[must_use]
    pub fn with_exit(mut self, exit: &StepExit) -> Self {
        match exit.status {
            ExitStatus::Code(code) => self.exit_code = Some(code),
            ExitStatus::Signal(signal) => self.signal = Some(signal),
            ExitStatus::Unknown => {}
        }
        self.oom = exit.oom;
        self.started = exit.started.or(self.started);
        self.finished = exit.finished.or(self.finished);
        self.evidence = self.evidence.or_else(|| exit.message.clone());
        self
    }

    /// The same ending judged anew: by another cause, and with the outcome that it means.
    #[must_use]
    pub fn recast(self, cause: Cause) -> Self {
        Self { outcome: cause.outcome(), cause, ..self }
    }

    /// Adds the evidence; a text that is already masked.
    #[must_use]
    pub fn because(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = Some(evidence.into());
        self
    }

    /// Adds when it began and ended, where the authority did not tell.
    #[must_use]
    pub fn timed(mut self, started: Timestamp, finished: Timestamp) -> Self {
        self.started.get_or_insert(started);
        self.finished.get_or_insert(finished);
        self
    }

    /// How long it took; none when its start or its end is not known, or the clock was set back between them.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        let took = self.finished?.duration_since(self.started?);
        Duration::try_from(took).ok()
    }

    /// Whether it passed.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.outcome == Outcome::Succeeded
    }
}
