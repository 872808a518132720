//! An engine that does not answer: looked at again with patience, and then what runs on it is lost; never passed.

use jobwright_backend::dummy::Verb;
use jobwright_model::{Outcome, Timeouts};
use tokio::time::{Instant, sleep};

use crate::support::{Event, World, ending, gist, seconds, step, tight, workflow};

/// Makes the engine vanish `after` so many seconds for so many.
async fn outage(world: &World, after: u64, lasting: u64) {
    sleep(seconds(after)).await;
    world.engine.vanish();
    sleep(seconds(lasting)).await;
    world.engine.come_back();
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_costs_neither_the_ending_nor_a_byte_of_the_log() {
    let world = World::new();
    let lines = [("DUMMY_OUTPUT", "go\n"), ("DUMMY_LINES", "30"), ("DUMMY_LINE_DELAY", "1s")];
    let flow = workflow([vec![step("a", &lines)]]);
    let (report, ()) = tokio::join!(world.run(&flow), outage(&world, 10, 5));
    assert!(report.ending.succeeded());
    let expected: String =
        std::iter::once("go\n".to_owned()).chain((1..=30).map(|n| format!("line {n}\n"))).collect();
    assert_eq!(world.seen.output("a"), expected);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_gone_for_ever_loses_the_step_within_patience() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("SLEEP", "1h")])], vec![step("b", &[])]]);
    let begun = Instant::now();
    let vanish = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        world.engine.vanish();
        world.seen.until("a", |event| matches!(event, Event::Ended(_))).await;
        begun.elapsed()
    };
    let (report, lost_after) = tokio::join!(world.plan(&flow).limits(tight()).run(), vanish);
    assert_eq!(gist(ending(&report, "a")), (Outcome::Lost, "engine_vanished", None));
    assert_eq!(report.ending.outcome, Outcome::Lost);
    assert!(report.error.is_some() && report.left_behind.is_some());
    assert!(lost_after <= tight().patience + seconds(2), "{lost_after:?}");
    assert!(!ending(&report, "b").succeeded());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_its_engine_no_longer_answers_for_is_lost_even_when_the_rest_answers() {
    let world = World::new();
    let begun = Instant::now();
    let flow = workflow([vec![step("a", &[("DUMMY_ENGINE_GONE", "5s"), ("SLEEP", "1h")])]]);
    let report = world.finish(world.plan(&flow).limits(tight())).await;
    assert_eq!(gist(ending(&report, "a")), (Outcome::Lost, "engine_vanished", None));
    assert!(begun.elapsed() <= seconds(5) + tight().patience + seconds(2), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn each_outage_has_all_of_the_patience() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("SLEEP", "3h"), ("DUMMY_LINES", "1")])]]);
    let outages = async {
        for _ in 0..3 {
            outage(&world, 1800, 8).await;
        }
    };
    let (report, ()) = tokio::join!(world.finish(world.plan(&flow).limits(tight())), outages);
    assert!(report.ending.succeeded(), "{:?}", report.ending);
    assert!(world.seen.notices().is_empty(), "{:?}", world.seen.notices());
}

#[tokio::test(start_paused = true)]
async fn cleaning_up_has_patience_too() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("SLEEP", "10s")])]]);
    let away = async {
        world.engine.calls().until(Verb::DestroyWorkflow, "a").await;
    };
    let hide = async {
        world.seen.until("a", |event| matches!(event, Event::Ended(_))).await;
        world.engine.vanish();
        sleep(seconds(4)).await;
        world.engine.come_back();
    };
    tokio::select! {
        (report, ()) = async { tokio::join!(world.run(&flow), hide) } => {
            assert!(report.ending.succeeded());
            assert_eq!(report.left_behind, None);
        }
        () = away => unreachable!("destroying a workflow is no call of a step"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_gone_at_the_start_makes_no_success() {
    let world = World::new();
    world.engine.vanish();
    let report = world.plan(&workflow([vec![step("a", &[])]])).limits(tight()).run().await;
    assert_eq!(report.ending.outcome, Outcome::Lost);
    assert!(report.error.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_the_steps_silence() {
    let world = World::new();
    let lines = [("DUMMY_OUTPUT", "go\n"), ("DUMMY_LINES", "20"), ("DUMMY_LINE_DELAY", "1s")];
    let flow = workflow([vec![step("a", &lines)]]);
    let run = world.plan(&flow).timeouts(Timeouts { silence: Some(seconds(3)), ..Timeouts::default() });
    let (report, ()) = tokio::join!(world.finish(run), outage(&world, 5, 8));
    assert!(report.ending.succeeded(), "{:?}", report.ending);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_breaks_off_for_ever_says_so() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("DUMMY_ENGINE_GONE", "5s"), ("SLEEP", "1h")])]]);
    world.finish(world.plan(&flow).limits(tight())).await;
    assert!(world.seen.notices().iter().any(|text| text.contains("the log breaks off here")));
    assert!(matches!(world.seen.of("a").last(), Some(Event::Ended(_))), "and it says so before the end");
}
