//! What an ending means for a job's next attempt and for its run. Not for attempting or failing anything.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use jobwright_model::{Cause, Ending, Fault, Outcome};

/// When a job is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retry {
    /// How often at most, 0 to 10: there are at most one more attempts than that.
    pub max: u32,
    /// The kinds of failure that it is tried again for; with no exit codes either, it is for every failure.
    pub on: BTreeSet<RetryOn>,
    /// Exit codes that it is tried again for, 1 to 255.
    pub exit_codes: BTreeSet<i32>,
}

/// A kind of failure that a retry rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RetryOn {
    /// The machines' fault: an image that cannot be had, files that cannot be made ready, an engine that is gone.
    Infrastructure,
    /// It took too long, or was silent for too long.
    Timeout,
    /// The memory limit.
    OutOfMemory,
}

impl Retry {
    /// Whether another attempt follows, after `attempts` of them, the last of which had this ending. A job that was cancelled or skipped is
    /// never tried again.
    #[must_use]
    pub fn applies(&self, ending: &Ending, attempts: u32) -> bool {
        if attempts > self.max || !matches!(ending.outcome, Outcome::Failed | Outcome::Lost) {
            return false;
        }
        let of_a_kind = self.on.iter().any(|kind| kind.is_met_by(&ending.cause));
        let any = self.on.is_empty() && self.exit_codes.is_empty();
        any || of_a_kind || has_code(ending, &self.exit_codes)
    }
}

impl RetryOn {
    /// Its word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Infrastructure => "infrastructure",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out_of_memory",
        }
    }

    fn is_met_by(self, cause: &Cause) -> bool {
        match self {
            Self::Infrastructure => cause.fault() == Fault::Infrastructure,
            Self::Timeout => matches!(cause, Cause::Timeout | Cause::SilenceTimeout),
            Self::OutOfMemory => *cause == Cause::OutOfMemory,
        }
    }
}

/// Which failures of a job its run passes over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum AllowFailure {
    /// None.
    #[default]
    Never,
    /// All of them.
    Always,
    /// Those with one of these exit codes, 1 to 255.
    ExitCodes(BTreeSet<i32>),
}

impl AllowFailure {
    /// Whether the run passes over this ending. One that nobody knows (`lost`) is no failure, and never passed over.
    #[must_use]
    pub fn covers(&self, ending: &Ending) -> bool {
        ending.outcome == Outcome::Failed
            && match self {
                Self::Never => false,
                Self::Always => true,
                Self::ExitCodes(codes) => has_code(ending, codes),
            }
    }
}

fn has_code(ending: &Ending, codes: &BTreeSet<i32>) -> bool {
    ending.cause == Cause::ExitCode && ending.exit_code.is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use jobwright_model::{ExitStatus, StepExit};

    use super::*;

    fn exited(code: i32) -> Ending {
        Ending::of_exit(&StepExit::new(ExitStatus::Code(code)))
    }

    #[test]
    fn a_plain_retry_is_for_every_failure_up_to_its_number_and_never_after_a_cancellation() {
        let retry = Retry { max: 2, ..Retry::default() };
        for ending in [exited(1), Ending::new(Cause::Timeout), Ending::new(Cause::EngineVanished)] {
            assert!(retry.applies(&ending, 1) && retry.applies(&ending, 2), "{ending:?}");
            assert!(!retry.applies(&ending, 3), "{ending:?}");
        }
        for cause in [Cause::ByUser, Cause::ByShutdown, Cause::Condition, Cause::Success] {
            assert!(!retry.applies(&Ending::new(cause), 1));
        }
        assert!(!Retry::default().applies(&exited(1), 1));
    }

    #[test]
    fn a_retry_rule_is_for_what_it_names_only() {
        let on = |kinds: &[RetryOn], codes: &[i32]| Retry {
            max: 1,
            on: kinds.iter().copied().collect(),
            exit_codes: codes.iter().copied().collect(),
        };
        let infrastructure = on(&[RetryOn::Infrastructure], &[]);
        assert!(infrastructure.applies(&Ending::new(Cause::Image), 1));
        assert!(infrastructure.applies(&Ending::new(Cause::StatusUnreadable), 1));
        assert!(!infrastructure.applies(&exited(1), 1));
        let timeout = on(&[RetryOn::Timeout], &[7]);
        assert!(timeout.applies(&Ending::new(Cause::SilenceTimeout), 1));
        assert!(timeout.applies(&exited(7), 1) && !timeout.applies(&exited(8), 1));
        // A step that timed out keeps its code as evidence; it is no exit code of its own.
        assert!(!on(&[], &[7]).applies(&exited(7).recast(Cause::Timeout), 1));
        assert!(on(&[RetryOn::OutOfMemory], &[]).applies(&Ending::new(Cause::OutOfMemory), 1));
    }

    #[test]
    fn an_allowed_failure_is_one_of_the_jobs_own() {
        assert!(AllowFailure::Always.covers(&exited(1)));
        assert!(AllowFailure::Always.covers(&Ending::new(Cause::Timeout)));
        assert!(!AllowFailure::Always.covers(&Ending::new(Cause::StatusUnreadable)));
        assert!(!AllowFailure::Always.covers(&Ending::new(Cause::ByUser)));
        let codes = AllowFailure::ExitCodes([42].into());
        assert!(codes.covers(&exited(42)) && !codes.covers(&exited(1)));
        assert!(!codes.covers(&Ending::new(Cause::Timeout)));
        assert!(!AllowFailure::Never.covers(&exited(1)));
    }
}
