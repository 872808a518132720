//! Ends by the clock.

use std::time::Duration;

use jobwright_backend::conformance::Script;
use jobwright_model::{Cause, FailurePolicy, Outcome, Timeouts};

use super::scenario;
use crate::suite::Scenario;
use crate::world::{World, ending, gist};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_workflow_that_takes_too_long_is_ended),
        scenario!(a_step_that_takes_too_long_fails_alone),
        scenario!(a_silent_step_is_ended_and_a_chatty_one_is_not),
    ]
}

fn seconds(count: u64) -> Option<Duration> {
    Some(Duration::from_secs(count))
}

// covers: woodpecker 48, 51
async fn a_workflow_that_takes_too_long_is_ended(world: World) {
    let build = world.step("build", &Script::new().leave_behind().forever());
    let later = world.step("later", &Script::new());
    let timeouts = Timeouts { total: seconds(3), ..Timeouts::default() };
    let workflow = world.workflow([vec![build], vec![later]]);
    let report = world.finish(world.plan(&workflow).timeouts(timeouts)).await;
    assert_eq!(report.ending.cause, Cause::Timeout);
    assert_eq!(report.ending.evidence.as_deref(), Some("the job ran longer than 3s"));
    assert_eq!(ending(&report, "build").cause, Cause::Timeout);
    assert!(world.seen.traces("later").is_empty());
}

async fn a_step_that_takes_too_long_fails_alone(world: World) {
    let build = world.step("build", &Script::new().leave_behind().forever());
    let mut tidy = world.step("tidy", &Script::new().print("tidied"));
    tidy.on_failure = true;
    let timeouts = Timeouts { step: seconds(2), ..Timeouts::default() };
    let workflow = world.workflow([vec![build], vec![tidy]]);
    let report = world.finish(world.plan(&workflow).timeouts(timeouts)).await;
    let (outcome, cause, _) = gist(&report, "build");
    assert_eq!((outcome, cause), (Outcome::Failed, "timeout"));
    assert_eq!(ending(&report, "build").evidence.as_deref(), Some("it ran longer than 2s"));
    assert_eq!(world.seen.output("tidy"), "tidied");
}

async fn a_silent_step_is_ended_and_a_chatty_one_is_not(world: World) {
    let mut silent = world.step("silent", &Script::new().print("one word").forever());
    silent.failure = Some(FailurePolicy::Ignore);
    let word = |script: Script, _| script.print("a word\n").sleep(1);
    let chatty = world.step("chatty", &(0..5).fold(Script::new(), word));
    let timeouts = Timeouts { silence: seconds(4), ..Timeouts::default() };
    let workflow = world.workflow([vec![silent, chatty]]);
    let report = world.finish(world.plan(&workflow).timeouts(timeouts)).await;
    assert_eq!(ending(&report, "silent").cause, Cause::SilenceTimeout);
    assert!(ending(&report, "chatty").succeeded(), "{report:?}");
    assert_eq!(world.seen.output("silent"), "one word", "what it said is there");
}
