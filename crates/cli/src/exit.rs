//! The exit codes (DESIGN section 8). This table makes the documentation too.

use std::process::ExitCode;

use jobwright_model::{Cause, Ending, Outcome};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything that was asked for passed.
    Success,
    /// The job, run or worker failed.
    Failed,
    /// Wrong usage, or an input that is not valid.
    Invalid,
    /// A backend, engine or server is not available.
    Unavailable,
    /// What was asked for is not there.
    NotFound,
    /// It took longer than it may.
    TimedOut,
    /// It was cancelled on request.
    Cancelled,
    /// Something is not as it should be, says `jobwright doctor`.
    NeedsAttention,
    /// Jobwright itself could not do it, where every other code is that of the program that it runs.
    Ourselves,
    /// The user interrupted it.
    Interrupted,
    /// It was told to leave, and what it ran goes on.
    Left,
    /// That of the program that it was asked to run.
    OfProgram(u8),
}

impl Exit {
    /// Every code with its meaning, in the order of the codes. 6 and 7 belong to maintenance jobs.
    pub(crate) const TABLE: [(Self, &'static str); 11] = [
        (Self::Success, "success"),
        (Self::Failed, "the job, run or worker failed"),
        (Self::Invalid, "wrong usage or invalid input"),
        (Self::Unavailable, "a backend, engine or server is not available"),
        (Self::NotFound, "not found"),
        (Self::TimedOut, "timed out"),
        (Self::Cancelled, "cancelled by request"),
        (Self::NeedsAttention, "`jobwright doctor` found something that needs attention"),
        (
            Self::Ourselves,
            "`shell`, `exec`, `executions exec`: Jobwright itself failed; every other code is the program's own",
        ),
        (Self::Interrupted, "interrupted"),
        (Self::Left, "left on SIGTERM (`--on-term leave`); the steps go on"),
    ];

    /// The number.
    #[must_use]
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Invalid => 2,
            Self::Unavailable => 3,
            Self::NotFound => 4,
            Self::TimedOut => 5,
            Self::Cancelled => 8,
            Self::NeedsAttention => 9,
            Self::Ourselves => 125,
            Self::Interrupted => 130,
            Self::Left => 143,
            Self::OfProgram(code) => code,
        }
    }

    /// The one with this number; none for a number that is not ours.
    pub(crate) fn of_code(code: i32) -> Option<Self> {
        Self::TABLE.iter().map(|(exit, _)| *exit).find(|exit| i32::from(exit.code()) == code)
    }

    /// What a run's ending means for the program that ran it. One that its user cancelled was interrupted.
    #[must_use]
    pub(crate) fn of(ending: &Ending) -> Self {
        match (ending.outcome, &ending.cause) {
            (Outcome::Succeeded | Outcome::Skipped, _) => Self::Success,
            (_, Cause::ByUser) => Self::Interrupted,
            (Outcome::Cancelled, _) => Self::Cancelled,
            (_, Cause::Timeout | Cause::SilenceTimeout) => Self::TimedOut,
            (_, Cause::EngineVanished) => Self::Unavailable,
            (Outcome::Failed | Outcome::Lost, _) => Self::Failed,
        }
    }
}

impl Exit {
    /// The same where somebody else asked for the end (`jobwright cancel`), and not whoever sits before this program.
    #[must_use]
    pub(crate) fn by_request(self) -> Self {
        if self == Self::Interrupted { Self::Cancelled } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_this_table() {
        let rows: String =
            Exit::TABLE.iter().map(|(exit, meaning)| format!("| {} | {meaning} |\n", exit.code())).collect();
        let documented = include_str!("../../../docs/exit-codes.md");
        assert!(documented.contains(&rows), "docs/exit-codes.md lacks these rows:\n{rows}");
    }

    // covers: local-ci 74
    #[test]
    fn a_run_that_did_not_pass_never_ends_with_0() {
        for cause in [
            Cause::ExitCode,
            Cause::Signal,
            Cause::OutOfMemory,
            Cause::StatusUnreadable,
            Cause::Cleanup,
            Cause::Image,
        ] {
            assert_eq!(Exit::of(&Ending::new(cause)), Exit::Failed);
        }
        assert_eq!(Exit::of(&Ending::new(Cause::Timeout)), Exit::TimedOut);
        assert_eq!(Exit::of(&Ending::new(Cause::EngineVanished)), Exit::Unavailable);
    }

    // covers: local-ci 73
    #[test]
    fn a_cancelled_run_says_who_cancelled_it() {
        assert_eq!(Exit::of(&Ending::new(Cause::ByUser)).code(), 130);
        assert_eq!(Exit::of(&Ending::new(Cause::ByShutdown)).code(), 8);
    }
}
