//! Who runs a job: a trait, so that the engine runs without any engine in tests, and other front ends can bring their own
//! (`JobExecutor` of the local-ci interface document).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jobwright_events::{Bus, EventKind, ExecKind, Name, StreamKind};
use jobwright_model::{Cause, Ending, Outcome};
use jobwright_runtime::{Scope, Slot};

use crate::job::PreparedJob;

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutcome {
    /// How it ended.
    pub ending: Ending,
    /// What to tell a person when it did not pass, to be read after "Job NAME failed: "; masked.
    pub error: Option<String>,
}

impl JobOutcome {
    /// It passed.
    #[must_use]
    pub fn passed() -> Self {
        Self { ending: Ending::new(Cause::Success), error: None }
    }

    /// It ended otherwise.
    #[must_use]
    pub fn not_passed(ending: Ending, error: impl Into<String>) -> Self {
        Self { ending, error: Some(error.into()) }
    }

    /// The text of the job's event and of the run's: the executor's own words after the job's name.
    pub(crate) fn told(&self, job: &str) -> Option<String> {
        let what = match self.ending.outcome {
            Outcome::Succeeded => return None,
            Outcome::Cancelled => "was cancelled",
            Outcome::Lost => "was lost",
            Outcome::Failed | Outcome::Skipped => "failed",
        };
        Some(match &self.error {
            Some(error) => format!("Job {job} {what}: {error}"),
            None => format!("Job {job} {what}"),
        })
    }
}

/// Runs single jobs to their end; several at the same time when it is asked to.
#[async_trait]
pub trait JobExecutor: Send + Sync {
    /// Runs `job` and writes all of its output to `output`. Ends early when `scope` does, with whatever it took given back.
    /// Whoever holds a `slot` counts as running: it may be dropped as soon as only cleaning up is left.
    async fn execute(&self, job: &PreparedJob, output: &JobOutput, scope: &Scope, slot: Slot) -> JobOutcome;

    /// How long ago the job of this name was begun by an owner of the run that died; nothing for one that was not.
    fn ran_before(&self, _job: &str) -> Duration {
        Duration::ZERO
    }

    /// How far the job of this name came under an owner of the run that died.
    fn begun(&self, _job: &str) -> Begun {
        Begun::No
    }
}

/// How far a job came under an owner of its run that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It was not begun.
    No,
    /// It was begun, and something of it may run.
    Runs,
    /// It was begun, and nothing of it runs.
    Ended,
}

/// Where a job's output goes: into the run's events, as the job's.
#[derive(Clone)]
pub struct JobOutput {
    pub(crate) bus: Arc<Bus>,
    /// None for what is the run's own.
    pub(crate) job: Option<Name>,
    pub(crate) exec: ExecKind,
    pub(crate) attempt: u32,
}

impl JobOutput {
    /// Writes a piece of the job's output; masked, and cut at a character's border where it is text.
    pub fn write(&self, stream: StreamKind, data: impl Into<Bytes>) {
        self.bus.emit(EventKind::LogLine {
            job: self.job.clone(),
            step: None,
            exec: self.exec,
            stream,
            data: data.into(),
            position: None,
        });
    }

    /// Which attempt at the job it is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Tells people something about the job that is not its output; masked, one line.
    pub fn diagnostic(&self, text: &str) {
        let whose = self.job.as_ref().map(|job| format!("{job}: ")).unwrap_or_default();
        self.bus.emit(EventKind::Diagnostic { data: format!("{whose}{text}\n") });
    }
}
