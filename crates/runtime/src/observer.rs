//! Who is told what happens in a job. Failing to take note never fails a step (DESIGN rule 7).

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use jobwright_backend::{LogPosition, ProgressEvent, StreamKind};
use jobwright_model::{Ending, Step, StepState};

/// Why an observer could not take note; reported, never acted on.
#[derive(Debug, thiserror::Error)]
#[error("failed to record: {0}")]
pub struct ObserverError(pub String);

/// A change of a step's state. A step that runs is traced exactly twice, one that is skipped once, one that is never reached
/// not at all (woodpecker.md 8, items 21, 35, 45).
#[derive(Debug, Clone)]
pub enum Trace {
    /// It is about to be started.
    Started(Timestamp),
    /// It ended.
    Ended(Ending),
    /// A gate kept it from running.
    Skipped(Ending),
}

impl Trace {
    /// The compatible view of the state (`State` of the Woodpecker interface document).
    #[must_use]
    pub fn state(&self) -> StepState {
        match self {
            Self::Started(_) => StepState::default(),
            Self::Skipped(_) => StepState { skipped: true, ..StepState::default() },
            Self::Ended(ending) => StepState {
                exit_code: ending.exit_code.or(ending.signal.map(|signal| 128 + signal)).unwrap_or(0),
                exited: true,
                oom_killed: ending.oom,
                error: ending.evidence.clone(),
                started: ending.started.map_or(0, |at| at.as_second()),
                skipped: false,
            },
        }
    }
}

/// Where a step's log must be read again so that nothing is lost or doubled after the chunk that carries this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResumePoint {
    /// Read from here.
    pub from: LogPosition,
    /// And leave out this many bytes of the chunk's own stream.
    pub skip: u64,
}

/// A piece of output in which every secret is masked.
#[derive(Debug, Clone)]
pub struct MaskedChunk {
    /// Where it was written to.
    pub stream: StreamKind,
    /// What may be shown.
    pub bytes: Bytes,
    /// Where this stream goes on.
    pub resume: ResumePoint,
}

/// Is told of everything that happens to the steps of a job, from several tasks at once. Calls for one step come in order. A
/// call returns at once; who cannot keep up with the output says so in [`ready`](Self::ready).
#[async_trait]
pub trait Observer: Send + Sync {
    /// Waits until more output can be taken. It holds up the step's log, and nothing else of the step.
    async fn ready(&self) {}

    /// A step changed its state.
    ///
    /// # Errors
    /// When it could not be recorded.
    fn trace(&self, step: &Step, trace: &Trace) -> Result<(), ObserverError>;

    /// A step printed something.
    ///
    /// # Errors
    /// When it could not be recorded.
    fn log(&self, step: &Step, chunk: MaskedChunk) -> Result<(), ObserverError>;

    /// The preparation of a step went on.
    fn progress(&self, _step: &Step, _event: &ProgressEvent) {}

    /// Something that a person should know and that fails nothing. Masked.
    fn notice(&self, _step: Option<&Step>, _text: &str) {}
}
