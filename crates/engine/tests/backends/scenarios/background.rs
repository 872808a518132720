//! Services and detached steps: they hold nobody up, fail nobody, and end with their workflow.

use std::time::{Duration, Instant};

use jobwright_backend::conformance::Script;
use jobwright_model::{Cause, Outcome, Step, StepType, TaskUuid};

use super::scenario;
use crate::suite::Scenario;
use crate::world::{World, connected, ending, gist, while_running};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(services_and_detached_steps_end_with_their_workflow),
        scenario!(a_failing_service_fails_nobody_and_its_code_is_told),
        scenario!(a_service_that_cannot_start_fails_the_workflow),
        scenario!(background_steps_are_reached_by_their_names, network),
    ]
}

fn service(mut step: Step) -> Step {
    (step.kind, step.detached) = (StepType::Service, true);
    step
}

fn detached(mut step: Step) -> Step {
    step.detached = true;
    step
}

// covers: woodpecker 17, 40, 42
async fn services_and_detached_steps_end_with_their_workflow(world: World) {
    let up = |name: &str| Script::new().on_term("term", 0).write_file(name, "").forever();
    let database = service(world.step("database", &up("database")));
    let watcher = detached(world.step("watcher", &up("watcher")));
    let build = world.step("build", &Script::new().await_file("database").await_file("watcher").say_ready());
    let workflow = world.workflow([vec![database, watcher], vec![build]]);
    let mut took = Duration::MAX;
    let timed = async {
        world.seen.until_printed("build", "ready").await;
        let begun = Instant::now();
        world.seen.until("database", |event| matches!(event, crate::seen::Event::Ended(_))).await;
        took = begun.elapsed();
    };
    let (report, ()) = tokio::join!(world.run(&workflow), timed);
    assert!(report.ending.succeeded(), "{report:?}");
    for name in ["database", "watcher"] {
        assert_eq!(ending(&report, name).cause, Cause::WorkflowEnded);
    }
    assert!(took < Duration::from_secs(15), "it took {took:?}");
}

/// The build goes on when the service's end was told, so that it is seen to have ended by itself.
// covers: woodpecker 40
async fn a_failing_service_fails_nobody_and_its_code_is_told(world: World) {
    let database = service(world.step("database", &Script::new().exit(7)));
    let build = world.step("build", &Script::new().await_file("go"));
    let workflow = world.workflow([vec![database], vec![build]]);
    let task = TaskUuid::random();
    let run = world.finish(world.plan(&workflow).task(task.clone()));
    let report = while_running(run, world.touch_after("database", &task, "go")).await;
    assert!(report.ending.succeeded(), "{report:?}");
    assert_eq!(gist(&report, "database"), (Outcome::Failed, "exit_code", Some(7)));
}

// covers: woodpecker 41
async fn a_service_that_cannot_start_fails_the_workflow(world: World) {
    let database = service(world.unstartable("database"));
    let build = world.step("build", &Script::new());
    let report = world.run(&world.workflow([vec![database], vec![build]])).await;
    assert_eq!(report.ending.cause, Cause::StartFailure);
    assert_eq!(ending(&report, "build").outcome, Outcome::Skipped);
}

fn network(world: &World) -> Option<&'static str> {
    (!world.backend.capabilities().network).then_some("network between steps")
}

async fn background_steps_are_reached_by_their_names(world: World) {
    let serve = |name: &str, port: u16| {
        connected(world.shell(name, &format!("while :; do echo I am {name} | nc -l -p {port}; done")))
    };
    let ask = "ask() { i=0; until nc -w 2 $1 $2 < /dev/null | grep -q \"I am $1\"; do \
               i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done; }; \
               ask the-service 7001 && ask the-watcher 7002";
    let client = connected(world.shell("client", ask));
    let background = vec![service(serve("the-service", 7001)), detached(serve("the-watcher", 7002))];
    let report = world.run(&world.workflow([background, vec![client]])).await;
    assert!(report.ending.succeeded(), "{report:?}");
}
