//! What a step prints, on its way to the observer: every byte, in order, and never for ever.

use std::sync::atomic::Ordering;

use jobwright_backend::StreamKind;
use jobwright_model::{Outcome, Timeouts};
use jobwright_runtime::Limits;
use tokio::time::Instant;

use crate::support::{Event, Twist, World, ending, gist, seconds, step, workflow};

// covers: woodpecker 55, 56
#[tokio::test(start_paused = true)]
async fn output_is_told_byte_for_byte_however_it_is_cut() {
    let text = "ein Zähler: 1 %\r2 %\r\nno end of line: €";
    for size in ["1", "2", "3", "1000"] {
        let world = World::new();
        world.run(&workflow([vec![step("a", &[("DUMMY_OUTPUT", text), ("DUMMY_SPLIT", size)])]])).await;
        assert_eq!(world.seen.output("a"), text, "in pieces of {size}");
    }
}

// covers: woodpecker 56
#[tokio::test(start_paused = true)]
async fn a_line_of_ten_megabytes_is_a_line() {
    let world = World::new();
    let line = "x".repeat(10 << 20);
    world.run(&workflow([vec![step("a", &[("DUMMY_OUTPUT", &line)])]])).await;
    assert!(world.seen.output("a") == line);
}

// covers: woodpecker 59
#[tokio::test(start_paused = true)]
async fn the_two_streams_are_kept_apart_and_in_their_order() {
    let world = World::new();
    world.run(&workflow([vec![step("a", &[("DUMMY_OUTPUT", "\n"), ("DUMMY_INTERLEAVE", "2")])]])).await;
    assert_eq!(world.seen.output("a"), "\nout 1\nerr 1\nout 2\nerr 2\n");
    assert_eq!(world.seen.bytes("a", &[StreamKind::Stderr]), b"err 1\nerr 2\n");
}

// covers: woodpecker 61
#[tokio::test(start_paused = true)]
async fn a_line_without_an_end_is_shown_while_its_step_waits() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("DUMMY_OUTPUT", "password? "), ("SLEEP", "1h")])]]);
    let begun = Instant::now();
    let watch = async {
        world.seen.until_printed("a", "password? ").await;
        begun.elapsed()
    };
    let (_, after) = tokio::join!(world.run(&flow), watch);
    assert!(after <= seconds(1), "{after:?}");
}

// covers: woodpecker 60
#[tokio::test(start_paused = true)]
async fn a_pipe_that_something_left_behind_holds_open_does_not_hold_the_step() {
    let world = World::new();
    let begun = Instant::now();
    let report = world.run(&workflow([vec![step("a", &[("DUMMY_LOG_OPEN", "true")])]])).await;
    assert_eq!(gist(ending(&report, "a")), (Outcome::Succeeded, "success", Some(0)));
    assert_eq!(begun.elapsed(), Limits::default().drain_silence);
    assert!(world.seen.notices().iter().any(|text| text.contains("still holds its output open")));
}

// covers: woodpecker 60
#[tokio::test(start_paused = true)]
async fn a_log_that_never_ends_is_ended_with_a_notice_and_the_exit_code_counts() {
    let world = World::new();
    let begun = Instant::now();
    let endless = step("a", &[("DUMMY_LOG_ENDLESS", "300ms"), ("STEP_EXIT_CODE", "4")]);
    let report = world.run(&workflow([vec![endless]])).await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "exit_code", Some(4)));
    let took = begun.elapsed();
    assert!((Limits::default().drain..Limits::default().drain + seconds(3)).contains(&took), "{took:?}");
    assert!(world.seen.notices().iter().any(|text| text.contains("still holds its output open")));
}

// covers: woodpecker 60
#[tokio::test(start_paused = true)]
async fn what_was_printed_faster_than_it_is_read_is_read_to_its_end() {
    let world = World::new();
    world.seen.pace.store(100, Ordering::Relaxed);
    let fast = step("a", &[("DUMMY_OUTPUT", "\n"), ("DUMMY_OUTPUT_BYTES", "60000"), ("DUMMY_SPLIT", "100")]);
    let begun = Instant::now();
    let report = world.run(&workflow([vec![fast]])).await;
    assert!(report.ending.succeeded());
    assert_eq!(world.seen.output("a").len(), 60_001);
    assert!(begun.elapsed() > Limits::default().drain, "it took longer than a log may be waited for");
    assert!(world.seen.notices().is_empty());
}

// covers: woodpecker 60
#[tokio::test(start_paused = true)]
async fn a_backlog_is_not_read_for_ever_either() {
    let world = World::new();
    world.seen.pace.store(100, Ordering::Relaxed);
    let fast = step("a", &[("DUMMY_OUTPUT_BYTES", "600000"), ("DUMMY_SPLIT", "100")]);
    let limits = Limits { backlog: seconds(60), ..Limits::default() };
    let begun = Instant::now();
    let report = world.finish(world.plan(&workflow([vec![fast]])).limits(limits)).await;
    assert!(report.ending.succeeded());
    assert!(begun.elapsed() <= seconds(60) + limits.drain + seconds(1), "{:?}", begun.elapsed());
    assert!(world.seen.notices().iter().any(|text| text.contains("does not come to an end")));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_outlives_the_destruction_of_its_step_is_cut_off_and_told() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[("DUMMY_LINES", "2")])]]);
    let report = world.finish(world.plan_on(world.twisted(Twist::LogOutlivesItsStep), &flow)).await;
    assert!(report.ending.succeeded());
    assert!(world.seen.output("a").ends_with("line 2\n"));
    assert!(world.seen.notices().iter().any(|text| text.contains("cut off here")));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_breaks_off_is_told_and_the_step_is_judged_by_its_exit() {
    let world = World::new();
    let broken =
        step("a", &[("DUMMY_OUTPUT", "0123456789"), ("DUMMY_TAIL_BREAK", "4"), ("STEP_EXIT_CODE", "7")]);
    let report = world.run(&workflow([vec![broken]])).await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "exit_code", Some(7)));
    assert_eq!(world.seen.output("a"), "0123");
    assert!(world.seen.notices().iter().any(|text| text.contains("the log breaks off here")));
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_log_broke_off_is_not_called_silent() {
    let world = World::new();
    let broken = step("a", &[("DUMMY_OUTPUT", "0123456789"), ("DUMMY_TAIL_BREAK", "4"), ("SLEEP", "1m")]);
    let silence = Timeouts { silence: Some(seconds(5)), ..Timeouts::default() };
    let report = world.finish(world.plan(&workflow([vec![broken]])).timeouts(silence)).await;
    assert!(ending(&report, "a").succeeded(), "{:?}", ending(&report, "a"));
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_takes_nothing_any_more_does_not_hold_the_step_for_ever() {
    let world = World::new();
    world.seen.is_full.send_replace(true);
    let limits = Limits { backlog: seconds(60), ..Limits::default() };
    let report = world.finish(world.plan(&workflow([vec![step("a", &[])]])).limits(limits)).await;
    assert!(report.ending.succeeded());
    assert!(matches!(world.seen.of("a").last(), Some(Event::Ended(_))));
}
