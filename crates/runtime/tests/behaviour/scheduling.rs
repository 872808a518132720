//! Which step runs when: stages, dependencies, and what a failure does to both.

use jobwright_backend::dummy::{Act, give_script};
use jobwright_model::{Step, StepType};
use tokio::time::Instant;

use crate::support::{Event, World, ending, gist, on, seconds, step, with, workflow};

fn after(step: Step, dependencies: &[&str]) -> Step {
    with(step, |step| step.depends_on = dependencies.iter().map(|name| (*name).to_owned()).collect())
}

fn starts(world: &World) -> Vec<String> {
    world.seen.order(|event| *event == Event::Started)
}

// covers: woodpecker 20, 33
#[tokio::test(start_paused = true)]
async fn the_steps_of_a_stage_run_together_and_stages_one_after_the_other() {
    let world = World::new();
    let begun = Instant::now();
    let takes = |name, time| step(name, &[("SLEEP", time)]);
    let flow =
        workflow([vec![takes("a", "10s"), takes("b", "4s"), takes("c", "7s")], vec![takes("d", "5s")]]);
    assert!(world.run(&flow).await.ending.succeeded());
    assert_eq!(begun.elapsed(), seconds(15));
    assert_eq!(starts(&world).last().map(String::as_str), Some("d"));
}

// covers: woodpecker 20
#[tokio::test(start_paused = true)]
async fn steps_of_a_stage_can_wait_for_each_other() {
    let world = World::new();
    let waits = with(step("a", &[]), |step| give_script(step, &[Act::AwaitFile("ready".into())]));
    let makes = with(step("b", &[]), |step| {
        give_script(step, &[Act::WriteFile { path: "ready".into(), bytes: b"1".to_vec() }]);
    });
    assert!(world.run(&workflow([vec![waits, makes]])).await.ending.succeeded());
}

// covers: woodpecker 33
#[tokio::test(start_paused = true)]
async fn a_step_that_fails_does_not_end_its_siblings() {
    let world = World::new();
    let flow = workflow([vec![step("bad", &[("STEP_EXIT_CODE", "1")]), step("b", &[("SLEEP", "1m")])]]);
    let report = world.run(&flow).await;
    assert!(ending(&report, "b").succeeded());
    assert_eq!(gist(&report.ending).1, "exit_code");
}

// covers: woodpecker 35
#[tokio::test(start_paused = true)]
async fn what_follows_a_failure_is_traced_once_as_skipped_and_never_reaches_the_backend() {
    let world = World::new();
    let flow = workflow([
        vec![step("build", &[("STEP_EXIT_CODE", "1")])],
        vec![step("deploy", &[])],
        vec![step("tell", &[])],
    ]);
    let report = world.run(&flow).await;
    for name in ["deploy", "tell"] {
        assert_eq!(gist(ending(&report, name)).1, "condition");
        assert!(matches!(world.seen.traces(name).as_slice(), [Event::Skipped(_)]));
        assert!(world.engine.calls().of_step(name).is_empty());
    }
}

// covers: woodpecker 36
#[tokio::test(start_paused = true)]
async fn conditions_decide_for_commands_plugins_and_detached_steps_alike() {
    let kinds: [fn(&mut Step); 3] =
        [|_| {}, |step| step.kind = StepType::Plugin, |step| step.detached = true];
    for kind in kinds {
        for (code, runs) in [("0", ["on-success", "always"]), ("1", ["on-failure", "always"])] {
            let world = World::new();
            let conditional = |name, success, failure| on(success, failure, with(step(name, &[]), kind));
            let later = vec![
                conditional("on-success", true, false),
                conditional("on-failure", false, true),
                conditional("always", true, true),
                conditional("never", false, false),
            ];
            world.run(&workflow([vec![step("first", &[("STEP_EXIT_CODE", code)])], later])).await;
            let mut ran = starts(&world);
            ran.retain(|name| name != "first");
            ran.sort();
            let mut expected = runs.map(str::to_owned);
            expected.sort();
            assert_eq!(ran, expected, "after exit code {code}");
        }
    }
}

// covers: woodpecker 42
#[tokio::test(start_paused = true)]
async fn a_service_does_not_hold_up_the_next_stage() {
    let world = World::new();
    let service = with(step("db", &[]), |step| step.kind = StepType::Service);
    let begun = Instant::now();
    let report =
        world.run(&workflow([vec![service, step("a", &[])], vec![step("b", &[("SLEEP", "5s")])]])).await;
    assert!(report.ending.succeeded());
    assert!(begun.elapsed() < seconds(7), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_names_its_dependencies_starts_as_soon_as_they_have_ended() {
    let world = World::new();
    let begun = Instant::now();
    let flow = workflow([
        vec![step("quick", &[("SLEEP", "1s")]), step("slow", &[("SLEEP", "60s")])],
        vec![after(step("next", &[("SLEEP", "1s")]), &["quick"])],
        vec![after(step("last", &[("SLEEP", "1s")]), &["next"])],
    ]);
    let watch = async {
        world.seen.until("last", |event| matches!(event, Event::Ended(_))).await;
        begun.elapsed()
    };
    let (report, took) = tokio::join!(world.run(&flow), watch);
    assert!(report.ending.succeeded());
    assert_eq!(took, seconds(3), "it did not wait for slow");
}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_what_depends_on_it_and_nothing_beside_it() {
    let world = World::new();
    let flow = workflow([
        vec![step("bad", &[("STEP_EXIT_CODE", "1")]), step("good", &[])],
        vec![after(step("of-bad", &[]), &["bad"]), after(step("of-good", &[]), &["good"])],
        vec![after(step("further", &[]), &["of-bad"]), step("stage", &[])],
    ]);
    let report = world.run(&flow).await;
    assert!(ending(&report, "of-good").succeeded());
    for name in ["of-bad", "further", "stage"] {
        assert_eq!(gist(ending(&report, name)).1, "condition", "{name}");
    }
}

// covers: woodpecker 36
#[tokio::test(start_paused = true)]
async fn a_lint_that_fails_beside_a_build_skips_the_deploy_and_runs_the_notification() {
    let world = World::new();
    let service = with(step("db", &[]), |step| step.kind = StepType::Service);
    let flow = workflow([
        vec![service],
        vec![step("lint", &[("STEP_EXIT_CODE", "1")]), step("build", &[("SLEEP", "1s")])],
        vec![step("deploy", &[])],
        vec![on(false, true, step("notify", &[]))],
    ]);
    let report = world.run(&flow).await;
    assert_eq!(gist(ending(&report, "deploy")).1, "condition");
    assert!(ending(&report, "notify").succeeded() && ending(&report, "build").succeeded());
    assert_eq!(gist(&report.ending).1, "exit_code", "a notification that passed mends nothing");
}
