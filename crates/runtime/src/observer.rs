//! Who is told what happens in a job. Failing to take note never fails a step (DESIGN rule 7).

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use jobwright_backend::{LogPosition, ProgressEvent, StreamKind};
use jobwright_model::{Cause, Ending, Outcome, Step, StepState};

/// Why an observer could not take note; reported, never acted on.
#[derive(Debug, thiserror::Error)]
#[error("failed to record: {0}")]
pub struct ObserverError(pub String);

/// The error of a step that was cancelled, in Woodpecker's word (`ErrCancel`).
const CANCELED: &str = "Canceled";

/// A change of a step's state. A step that runs is traced exactly twice, one that is skipped once, one that spoils the set-up of
/// its workflow once, as ended, and one that is never reached not at all (woodpecker.md 8, items 13, 21, 35, 45).
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
                exit_code: exit_code(ending),
                exited: true,
                oom_killed: ending.oom,
                error: error(ending),
                started: ending.started.map_or(0, |at| at.as_second()),
                skipped: false,
            },
        }
    }
}

/// What cannot be known is −1, never 0; what never ran is 0 and has an error (woodpecker.md 3.3).
fn exit_code(ending: &Ending) -> i32 {
    let known = ending.exit_code.or(ending.signal.map(|signal| 128 + signal));
    known.unwrap_or(if ending.outcome == Outcome::Lost { -1 } else { 0 })
}

/// A step that ended in another way than by its own exit has an error, so that nobody takes it for one that passed.
fn error(ending: &Ending) -> Option<String> {
    match ending.cause {
        _ if ending.outcome == Outcome::Cancelled => Some(CANCELED.to_owned()),
        Cause::Success | Cause::ExitCode | Cause::Signal | Cause::OutOfMemory => ending.evidence.clone(),
        _ => Some(ending.evidence.clone().unwrap_or_else(|| ending.cause.as_str().replace('_', " "))),
    }
}

/// Where a step's log must be read again so that nothing is lost or doubled after the chunk that carries this.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResumePoint {
    /// Read from here.
    pub from: LogPosition,
    /// And leave out this many bytes of standard output.
    pub skip_stdout: u64,
    /// And as many of standard error.
    pub skip_stderr: u64,
}

/// How much of a step's output was told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToldBefore {
    /// All up to here.
    UpTo(ResumePoint),
    /// Some of it, and nobody knows how much.
    Unknown,
}

/// A piece of output in which every secret is masked.
#[derive(Debug, Clone)]
pub struct MaskedChunk {
    /// Where it was written to.
    pub stream: StreamKind,
    /// What may be shown: whole characters, where it is text.
    pub bytes: Bytes,
    /// Where the log goes on.
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

    /// A step runs: its backend has started it, or it was taken over while it ran.
    fn runs(&self, _step: &Step) {}

    /// A step printed something.
    ///
    /// # Errors
    /// When it could not be recorded.
    fn log(&self, step: &Step, chunk: MaskedChunk) -> Result<(), ObserverError>;

    /// A step printed so many bytes that nobody may see, because the values of its secrets are gone: nothing could mask them.
    fn withheld(&self, _step: &Step, _bytes: u64) {}

    /// Waits until everything that was told is where the death of this process does not take it: only then is removed what it was
    /// told of.
    async fn settled(&self) {}

    /// How much of a step's output was told by an earlier process that died.
    fn told_before(&self, _step: &Step) -> ToldBefore {
        ToldBefore::UpTo(ResumePoint::default())
    }

    /// The preparation of a step went on.
    fn progress(&self, _step: &Step, _event: &ProgressEvent) {}

    /// Something that a person should know and that fails nothing. Masked.
    fn notice(&self, _step: Option<&Step>, _text: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(ending: Ending) -> StepState {
        Trace::Ended(ending).state()
    }

    // covers: woodpecker 50
    #[test]
    fn a_cancelled_step_is_shown_as_cancelled_whatever_it_exited_with() {
        let mut ending = Ending::new(Cause::ByUser).because("anything");
        assert_eq!(
            (state(ending.clone()).exit_code, state(ending.clone()).error),
            (0, Some("Canceled".into()))
        );
        ending.signal = Some(15);
        assert_eq!((state(ending.clone()).exit_code, state(ending).error), (143, Some("Canceled".into())));
    }

    #[test]
    fn no_ending_but_a_success_looks_like_one() {
        let lost = state(Ending::new(Cause::StatusUnreadable));
        assert_eq!((lost.exit_code, lost.error.as_deref()), (-1, Some("status unreadable")));
        for cause in
            [Cause::Timeout, Cause::SilenceTimeout, Cause::StartFailure, Cause::Image, Cause::Cleanup]
        {
            assert!(state(Ending::new(cause.clone())).error.is_some(), "{cause:?}");
        }
        let mut passed = Ending::new(Cause::Success);
        passed.exit_code = Some(0);
        assert_eq!(state(passed), StepState { exited: true, ..StepState::default() });
    }
}
