//! The end that somebody asks for, at every moment of a workflow's life.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jobwright_backend::ProgressEvent;
use jobwright_backend::conformance::Script;
use jobwright_model::{Cause, Outcome};
use jobwright_runtime::WorkflowReport;

use super::{containers, scenario};
use crate::seen::Event;
use crate::suite::Scenario;
use crate::world::{World, ending};

/// What an engine may take beside the grace of two seconds.
const MARGIN: Duration = Duration::from_secs(12);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_workflow_cancelled_before_it_began_shows_nothing),
        scenario!(cancelling_while_an_image_is_pulled_ends_at_once, containers),
        scenario!(cancelling_while_a_step_starts_leaves_nothing),
        scenario!(cancelling_ends_a_step_and_all_that_it_started),
        scenario!(a_step_that_ignores_the_signal_has_the_grace_and_no_more),
        scenario!(a_step_that_ends_well_when_told_to_is_still_cancelled),
    ]
}

fn assert_cancelled(report: &WorkflowReport) {
    assert_eq!(report.ending.cause, Cause::ByUser, "{report:?}");
    assert_eq!(report.error, None, "a cancellation is no error");
}

// covers: woodpecker 14, 45
async fn a_workflow_cancelled_before_it_began_shows_nothing(world: World) {
    world.scope.cancel(Cause::ByUser);
    let report = world.run(&world.workflow([vec![world.step("build", &Script::new())]])).await;
    assert_cancelled(&report);
    assert!(world.seen.all().is_empty());
}

/// The registry takes the connection and never says a word.
// covers: woodpecker 46
async fn cancelling_while_an_image_is_pulled_ends_at_once(world: World) {
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut step = world.step("build", &Script::new());
    step.image = format!("{}/jobwright-test/slow:1", registry.local_addr().unwrap());
    let workflow = world.workflow([vec![step]]);
    let cancel = async {
        let is_pull = |event: &Event| matches!(event, Event::Progress(ProgressEvent::PullStarted { .. }));
        world.seen.until("build", is_pull).await;
        world.scope.cancel(Cause::ByUser);
        Instant::now()
    };
    let (report, asked) = tokio::join!(world.run(&workflow), cancel);
    assert_cancelled(&report);
    assert_eq!(ending(&report, "build").outcome, Outcome::Cancelled);
    assert!(asked.elapsed() < MARGIN, "it took {:?}", asked.elapsed());
}

/// At several moments between the decision to start and the running step.
// covers: woodpecker 16, 45, 46
async fn cancelling_while_a_step_starts_leaves_nothing(world: World) {
    let at = async |after: u64| {
        let world = World::open(&world.site()).await;
        let script = Script::new().leave_behind().forever();
        let workflow =
            world.workflow([vec![world.step("build", &script)], vec![world.step("later", &Script::new())]]);
        let cancel = async {
            world.seen.until("build", |event| *event == Event::Started).await;
            tokio::time::sleep(Duration::from_millis(after)).await;
            world.scope.cancel(Cause::ByUser);
        };
        let (report, ()) = tokio::join!(world.run(&workflow), cancel);
        assert_cancelled(&report);
        assert_eq!(ending(&report, "build").outcome, Outcome::Cancelled);
        assert!(world.seen.traces("later").is_empty());
    };
    join_all([0, 3, 30, 300].map(at)).await;
}

/// A grandchild in a session of its own does not get away either.
// covers: woodpecker 45, 47, 48, 49, 52
async fn cancelling_ends_a_step_and_all_that_it_started(world: World) {
    let mut step = world.step("build", &Script::new().leave_behind().say_ready().forever());
    if super::shell(&world).is_none() {
        let text =
            "sh -c 'sleep 1000000 & exec sleep 1000000' & setsid sleep 1000000 & printf 'ready\\n'; wait";
        step.entrypoint = world.shell("", text).entrypoint;
    }
    let later = world.step("later", &Script::new());
    let workflow = world.workflow([vec![step], vec![later]]);
    let cancel = async {
        world.seen.until_printed("build", "ready").await;
        // The shell says that it is ready before those that it started have started theirs.
        let all = async {
            while world.bench().is_some() && world.mark.processes().len() < 4 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let all_are_there = tokio::time::timeout(MARGIN, all).await.is_ok();
        world.scope.cancel(Cause::ByUser);
        (Instant::now(), all_are_there)
    };
    let (report, (asked, all_are_there)) = tokio::join!(world.run(&workflow), cancel);
    assert!(asked.elapsed() < MARGIN, "it took {:?}", asked.elapsed());
    assert_cancelled(&report);
    assert_eq!(ending(&report, "build").outcome, Outcome::Cancelled);
    assert!(world.seen.traces("later").is_empty(), "what was not begun is not told of");
    assert!(all_are_there, "the processes that are to be ended never were there");
}

// covers: woodpecker 47, 49, 53
async fn a_step_that_ignores_the_signal_has_the_grace_and_no_more(world: World) {
    let step = world.step("build", &Script::new().ignore_term().say_ready().forever());
    let cancel = async {
        world.seen.until_printed("build", "ready").await;
        world.scope.cancel(Cause::ByUser);
        Instant::now()
    };
    let workflow = world.workflow([vec![step]]);
    let (report, asked) = tokio::join!(world.run(&workflow), cancel);
    let took = asked.elapsed();
    assert_cancelled(&report);
    assert!(took > Duration::from_millis(900), "it had no grace: {took:?}");
    assert!(took < MARGIN, "it took {took:?}");
}

// covers: woodpecker 47
async fn a_step_that_ends_well_when_told_to_is_still_cancelled(world: World) {
    let script = Script::new().on_term("told", 0).say_ready().forever();
    let workflow = world.workflow([vec![world.step("build", &script)]]);
    let cancel = async {
        world.seen.until_printed("build", "ready").await;
        world.scope.cancel(Cause::ByUser);
    };
    let (report, ()) = tokio::join!(world.run(&workflow), cancel);
    assert_cancelled(&report);
    let build = ending(&report, "build");
    assert_eq!((build.outcome, build.exit_code), (Outcome::Cancelled, Some(0)));
}
