//! The three timeouts that a job's author may set: in all, for a step, and for a step's silence.

use std::time::Duration;

use jobwright_model::{Outcome, StepType, Timeouts};
use tokio::time::Instant;

use crate::support::{Event, Twist, World, ending, gist, on, seconds, step, with, workflow};

const NONE: Timeouts = Timeouts { total: None, step: None, silence: None };

// covers: woodpecker 51
#[tokio::test(start_paused = true)]
async fn the_total_timeout_ends_the_workflow_and_says_which_one_it_was() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("SLEEP", "1h")])], vec![on(true, true, step("b", &[]))]]);
    let begun = Instant::now();
    let run = world.plan(&flow).timeouts(Timeouts { total: Some(seconds(30)), ..NONE });
    let report = world.finish(run).await;
    assert_eq!(begun.elapsed(), seconds(30));
    assert_eq!(gist(&report.ending), (Outcome::Failed, "timeout", None));
    assert_eq!(report.ending.evidence.as_deref(), Some("the job ran longer than 30s"));
    assert_eq!(gist(ending(&report, "a")).1, "timeout");
    assert!(world.seen.traces("b").is_empty());
    assert_eq!(report.error, None);
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_counts_set_up_and_preparation() {
    for twist in [Twist::SetUpHangs, Twist::PrepareHangs] {
        let world = World::new();
        let flow = workflow([vec![step("a", &[])]]);
        let run = world.plan_on(world.twisted(twist), &flow);
        let report = world.finish(run.timeouts(Timeouts { total: Some(seconds(30)), ..NONE })).await;
        assert_eq!((gist(&report.ending).1, report.error), ("timeout", None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_steps_timeout_fails_that_step_and_the_workflow_goes_on_to_what_runs_on_failure() {
    let world = World::new();
    let flow = workflow([
        vec![step("a", &[("SLEEP", "1h")]), step("b", &[("SLEEP", "9s")])],
        vec![step("c", &[]), on(false, true, step("d", &[]))],
    ]);
    let run = world.plan(&flow).timeouts(Timeouts { step: Some(seconds(10)), ..NONE });
    let report = world.finish(run).await;
    assert_eq!(gist(ending(&report, "a")), (Outcome::Failed, "timeout", None));
    assert_eq!(ending(&report, "a").evidence.as_deref(), Some("it ran longer than 10s"));
    assert_eq!(ending(&report, "a").signal, Some(15));
    assert!(ending(&report, "b").succeeded() && ending(&report, "d").succeeded());
    assert_eq!(gist(&report.ending).1, "timeout");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_silent_for_too_long_is_ended_and_one_that_prints_is_not() {
    let world = World::new();
    let chatty = step("chatty", &[("DUMMY_LINES", "10"), ("DUMMY_LINE_DELAY", "4s")]);
    let silent = step("silent", &[("SLEEP", "1h")]);
    let run = world.plan(&workflow([vec![chatty, silent]]));
    let report = world.finish(run.timeouts(Timeouts { silence: Some(seconds(5)), ..NONE })).await;
    assert!(ending(&report, "chatty").succeeded());
    assert_eq!(gist(ending(&report, "silent")), (Outcome::Failed, "silence_timeout", None));
    assert_eq!(ending(&report, "silent").evidence.as_deref(), Some("it printed nothing for 5s"));
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_is_slow_is_not_the_steps_silence() {
    let world = World::new();
    world.seen.is_full.send_replace(true);
    let flow = workflow([vec![step("a", &[("SLEEP", "12s")])]]);
    let run = world.plan(&flow).timeouts(Timeouts { silence: Some(seconds(5)), ..NONE });
    let drain = async {
        tokio::time::sleep(seconds(10)).await;
        world.seen.is_full.send_replace(false);
    };
    let (report, ()) = tokio::join!(world.finish(run), drain);
    assert!(report.ending.succeeded(), "{:?}", report.ending);
    assert!(world.seen.output("a").contains("StepName: a"));
}

#[tokio::test(start_paused = true)]
async fn background_steps_have_no_timeouts_of_their_own() {
    let world = World::new();
    let service = with(step("db", &[]), |step| step.kind = StepType::Service);
    let chatty = step("a", &[("DUMMY_OUTPUT", "go\n"), ("DUMMY_LINES", "9"), ("DUMMY_LINE_DELAY", "1s")]);
    let run = world.plan(&workflow([
        vec![service],
        vec![chatty.clone()],
        vec![with(chatty, |step| {
            step.name = "b".into();
            step.uuid = self::step("b", &[]).uuid;
        })],
    ]));
    let timeouts = Timeouts { step: Some(seconds(11)), silence: Some(seconds(3)), total: None };
    let report = world.finish(run.timeouts(timeouts)).await;
    assert_eq!(gist(ending(&report, "db")).1, "workflow_ended");
    assert!(report.ending.succeeded());
}

#[tokio::test(start_paused = true)]
async fn timeouts_beyond_all_clocks_are_none() {
    let world = World::new();
    let run = world.plan(&workflow([vec![step("a", &[("SLEEP", "9s")])]]));
    let ages = Some(Duration::MAX);
    let report = world.finish(run.timeouts(Timeouts { total: ages, step: ages, silence: ages })).await;
    assert!(report.ending.succeeded());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_ends_while_its_timeout_strikes_has_one_ending() {
    let world = World::new();
    let run = world.plan(&workflow([vec![step("a", &[("SLEEP", "10s")])]]));
    let report = world.finish(run.timeouts(Timeouts { step: Some(seconds(10)), ..NONE })).await;
    assert!(matches!(world.seen.traces("a").as_slice(), [Event::Started, Event::Ended(_)]));
    assert!(["success", "timeout"].contains(&gist(&report.ending).1));
}
