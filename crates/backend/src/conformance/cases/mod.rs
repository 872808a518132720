//! The cases, by subject.

mod exits;
mod lifecycle;
mod logs;

use super::{Case, Facilities};

/// Makes a [`Case`] of an `async fn(&Trial<'_>) -> CaseResult`; the function's name is the case's.
macro_rules! case {
    ($check:ident, $covers:literal) => {
        case!($check, $covers, $crate::conformance::cases::nothing)
    };
    ($check:ident, $covers:literal, $needs:expr) => {
        $crate::conformance::Case {
            name: stringify!($check),
            covers: $covers,
            needs: $needs,
            run: |trial| Box::pin($check(trial)),
        }
    };
}
use case;

pub(super) fn all() -> Vec<Case> {
    [lifecycle::cases(), exits::cases(), logs::cases()].concat()
}

fn nothing(_: &Facilities) -> Option<&'static str> {
    None
}

fn signals(has: &Facilities) -> Option<&'static str> {
    (!has.capabilities.signals).then_some("deaths by signal told from exit codes")
}

fn separate_streams(has: &Facilities) -> Option<&'static str> {
    (!has.capabilities.separate_streams).then_some("separate streams")
}
