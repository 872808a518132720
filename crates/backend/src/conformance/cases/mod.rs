//! The cases, by subject.

mod commands;
mod control;
mod dropping;
mod environment;
mod exits;
mod images;
mod isolation;
mod lifecycle;
mod logs;
mod project;
mod recovery;
mod teardown;
mod workspace;

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
    [
        lifecycle::cases(),
        exits::cases(),
        logs::cases(),
        environment::cases(),
        commands::cases(),
        images::cases(),
        workspace::cases(),
        project::cases(),
        isolation::cases(),
        teardown::cases(),
        dropping::cases(),
        recovery::cases(),
        control::cases(),
    ]
    .concat()
}

fn nothing(_: &Facilities) -> Option<&'static str> {
    None
}

fn shell(has: &Facilities) -> Option<&'static str> {
    (!has.shell).then_some("a real shell")
}

fn signals(has: &Facilities) -> Option<&'static str> {
    (!has.capabilities.signals).then_some("deaths by signal told from exit codes")
}

fn separate_streams(has: &Facilities) -> Option<&'static str> {
    (!has.capabilities.separate_streams).then_some("separate streams")
}

fn survives(has: &Facilities) -> Option<&'static str> {
    (!has.capabilities.survives_owner).then_some("steps that survive their owner")
}

fn images(has: &Facilities) -> Option<&'static str> {
    (!has.capabilities.images).then_some("images")
}

fn network(has: &Facilities) -> Option<&'static str> {
    if !has.shell {
        return shell(has);
    }
    (!has.capabilities.network).then_some("a network between steps")
}

fn files(has: &Facilities) -> Option<&'static str> {
    (!has.capabilities.files).then_some("files in and out")
}

fn stranger(has: &Facilities) -> Option<&'static str> {
    (!has.stranger).then_some("a fixture with a second owner")
}
