//! Output on its way: whole, in order, and never holding up a step that has ended.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jobwright_backend::StreamKind::{Stderr, Stdout};
use jobwright_backend::conformance::Script;
use jobwright_model::Secret;
use jobwright_runtime::Limits;

use super::scenario;
use crate::suite::Scenario;
use crate::world::{Site, World, ending};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(huge_output_comes_byte_for_byte_but_for_its_secrets),
        scenario!(the_two_streams_stay_apart_and_in_order),
        scenario!(what_holds_the_log_open_does_not_hold_the_step),
        scenario!(what_goes_on_writing_does_not_hold_the_step),
        scenario!(an_observer_that_fails_fails_nobody),
    ]
}

// covers: woodpecker 56, 60
async fn huge_output_comes_byte_for_byte_but_for_its_secrets(world: World) {
    let secret = "open-sesame-4711";
    let all_bytes: Vec<u8> = (0..=255).collect();
    let script = Script::new()
        .fill(b'a', 3_000_017)
        .print(format!(" {secret} "))
        .print(&all_bytes)
        .fill(b'b', 1_000_003)
        .print("\nend");
    let mut workflow = world.workflow([vec![world.step("build", &script)]]);
    workflow.secrets = vec![Secret { name: "SESAME".to_owned(), value: secret.to_owned() }];
    let report = world.run(&workflow).await;
    assert!(report.ending.succeeded(), "{report:?}");
    let filled = |byte, count| vec![byte; count];
    let parts = [filled(b'a', 3_000_017), b" ******** ".into(), all_bytes, filled(b'b', 1_000_003)];
    let expected = [parts.concat(), b"\nend".to_vec()].concat();
    let printed = world.seen.bytes("build", &[Stdout]);
    let same = printed.iter().zip(&expected).take_while(|(a, b)| a == b).count();
    assert!(printed == expected, "{} bytes, not {}; they part at byte {same}", printed.len(), expected.len());
}

// covers: woodpecker 59
async fn the_two_streams_stay_apart_and_in_order(world: World) {
    let line = |script: Script, n| script.print(format!("out {n}\n")).complain(format!("err {n}\n"));
    let script = (0..50).fold(Script::new(), line);
    let report = world.run(&world.workflow([vec![world.step("build", &script)]])).await;
    assert!(report.ending.succeeded());
    for (stream, word) in [(Stdout, "out"), (Stderr, "err")] {
        let expected: String = (0..50).map(|n| format!("{word} {n}\n")).collect();
        assert_eq!(String::from_utf8_lossy(&world.seen.bytes("build", &[stream])), expected);
    }
}

/// Runs `script` with short patience and answers how long the step's end took from its word on.
async fn end_with(world: &World, script: &Script) -> Duration {
    let limits = Limits { drain: Duration::from_secs(3), ..Limits::default() };
    let workflow = world.workflow([vec![world.step("build", script)]]);
    let began = async {
        world.seen.until_printed("build", "ready").await;
        Instant::now()
    };
    let (report, began) = tokio::join!(world.finish(world.plan(&workflow).limits(limits)), began);
    let took = began.elapsed();
    assert!(ending(&report, "build").succeeded(), "{report:?}");
    took
}

/// With its first process a container ends whole; elsewhere somebody is told what held the log.
fn assert_told(world: &World) {
    let told = world.seen.notices().iter().any(|notice| notice.contains("still holds its output open"));
    assert_eq!(told, !matches!(world.site(), Site::Containers(_)), "{:?}", world.seen.notices());
}

// covers: woodpecker 60
async fn what_holds_the_log_open_does_not_hold_the_step(world: World) {
    let took = end_with(&world, &Script::new().leave_behind().say_ready()).await;
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    assert_told(&world);
}

// covers: woodpecker 60
async fn what_goes_on_writing_does_not_hold_the_step(world: World) {
    let took = end_with(&world, &Script::new().leave_behind_writing("more\n").say_ready()).await;
    assert!(took < Duration::from_secs(15), "it took {took:?}");
    // A line each second keeps the log from ever being silent long enough, so it is the bound that ends it.
    if world.bench().is_some() {
        assert!(world.seen.output("build").matches("more").count() >= 1);
    }
}

// covers: woodpecker 27
async fn an_observer_that_fails_fails_nobody(world: World) {
    world.seen.fails.store(true, Ordering::Relaxed);
    let report = world.run(&world.workflow([vec![world.step("build", &Script::new().print("x"))]])).await;
    assert!(report.ending.succeeded(), "{report:?}");
    assert_eq!(world.seen.output("build"), "x", "it was told all the same");
}
