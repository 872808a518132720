//! Steps in the background that what comes after them waits for until they are ready.

use std::collections::BTreeMap;

use jobwright_backend::dummy::Verb;
use jobwright_model::{Cause, Outcome, Readiness, Step, StepType, StepUuid, Workflow};
use jobwright_runtime::WorkflowRun;
use tokio::time::Instant;

use crate::support::{Event, World, ending, gist, phase, seconds, step, tight, with, workflow};

fn service(name: &str, environment: &[(&str, &str)]) -> Step {
    with(step(name, environment), |step| step.kind = StepType::Service)
}

/// All services of `flow` are waited for, with this command and for this long.
fn ready(flow: &Workflow, command: Option<&str>, timeout: u64) -> BTreeMap<StepUuid, Readiness> {
    let services = flow.steps().filter(|step| step.kind == StepType::Service);
    let readiness = Readiness { command: command.map(str::to_owned), timeout: seconds(timeout) };
    services.map(|step| (step.uuid.clone(), readiness.clone())).collect()
}

fn plan(world: &World, flow: &Workflow, command: Option<&str>, timeout: u64) -> WorkflowRun {
    world.plan(flow).ready(ready(flow, command, timeout))
}

fn is_start(event: &Event) -> bool {
    *event == Event::Started
}

// covers: local-ci 117 (the health check)
#[tokio::test(start_paused = true)]
async fn what_comes_after_a_service_begins_when_its_health_check_succeeds() {
    let world = World::new();
    let flow = workflow([vec![service("db", &[("DUMMY_HEALTH", "7s")])], vec![step("test", &[])]]);
    let begun = Instant::now();
    let report = world.finish(plan(&world, &flow, None, 60)).await;
    assert!(report.ending.succeeded(), "{report:?}");
    let took = begun.elapsed();
    assert!(took >= seconds(7) && took < seconds(9), "{took:?}");
    assert_eq!(world.seen.order(is_start), ["db", "test"]);
    assert_eq!(gist(ending(&report, "db")).1, "workflow_ended");
}

// covers: local-ci 117 (running)
#[tokio::test(start_paused = true)]
async fn a_service_without_command_and_health_check_is_ready_when_it_runs() {
    let world = World::new();
    let flow = workflow([vec![service("db", &[])], vec![step("test", &[])]]);
    let begun = Instant::now();
    let report = world.finish(plan(&world, &flow, None, 60)).await;
    assert!(report.ending.succeeded());
    assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
}

// covers: local-ci 117 (the command comes before the health check)
#[tokio::test(start_paused = true)]
async fn a_command_says_when_a_service_is_ready_whatever_its_health_check_says() {
    let world = World::new();
    let flow = workflow([vec![service("db", &[("DUMMY_HEALTH", "unhealthy")])], vec![step("test", &[])]]);
    let report = world.finish(plan(&world, &flow, Some("true"), 60)).await;
    assert!(report.ending.succeeded(), "{report:?}");
    assert_eq!(world.engine.calls().count(Verb::Health), 0);
}

// covers: local-ci 117 (early exit)
#[tokio::test(start_paused = true)]
async fn a_service_that_ends_before_it_is_ready_fails_its_workflow() {
    for code in ["3", "0"] {
        let world = World::new();
        let environment = [("SLEEP", "2s"), ("STEP_EXIT_CODE", code), ("DUMMY_OUTPUT", "no room\n")];
        let flow = workflow([vec![service("db", &environment)], vec![step("test", &[])]]);
        let report = world.finish(plan(&world, &flow, Some("false"), 60)).await;
        assert_eq!((report.ending.outcome, &report.ending.cause), (Outcome::Failed, &Cause::NotReady));
        let text = format!("service \"db\": exited with code {code} before becoming ready");
        assert_eq!(report.ending.evidence, Some(text));
        assert_eq!(ending(&report, "db").exit_code, code.parse().ok());
        assert_eq!(world.seen.output("db"), "no room\n", "its last words are told");
        assert!(world.seen.traces("test").iter().all(|event| *event != Event::Started));
    }
}

// covers: local-ci 117 (the limit)
#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_get_ready_in_time_fails_its_workflow_and_is_ended() {
    let world = World::new();
    let flow = workflow([vec![service("db", &[])], vec![step("test", &[])]]);
    let begun = Instant::now();
    let report = world.finish(plan(&world, &flow, Some("printenv NOTHING"), 60)).await;
    assert_eq!(report.ending.cause, Cause::NotReady);
    let why = report.ending.evidence.clone().unwrap();
    assert_eq!(why, "service \"db\": not ready after 1m00s: its command exited with code 1");
    assert!(begun.elapsed() >= seconds(60) && begun.elapsed() < seconds(63), "{:?}", begun.elapsed());
    assert_eq!(ending(&report, "db").signal, Some(15));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_does_not_end_is_given_up_with_the_time() {
    let world = World::new();
    let flow = workflow([vec![service("db", &[])], vec![step("test", &[])]]);
    let report = world.finish(plan(&world, &flow, Some("sleep 1h"), 5)).await;
    let why = report.ending.evidence.clone().unwrap();
    assert!(why.contains("not ready after 5.0s"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn what_a_failing_command_printed_last_is_told_without_secrets() {
    let world = World::new();
    let mut flow = workflow([vec![service("db", &[])], vec![step("test", &[])]]);
    flow.secrets = vec![jobwright_model::Secret { name: "S".into(), value: "hunter2000".into() }];
    let report = world.finish(plan(&world, &flow, Some("hunter2000"), 5)).await;
    let why = report.ending.evidence.clone().unwrap();
    assert!(why.ends_with("its command exited with code 127: ********: not found"), "{why}");
}

// covers: local-ci 118
#[tokio::test(start_paused = true)]
async fn services_get_ready_side_by_side() {
    let world = World::new();
    let services = ["a", "b", "c"].map(|name| service(name, &[("DUMMY_HEALTH", "10s")]));
    let flow = workflow([services.to_vec(), vec![step("test", &[])]]);
    let begun = Instant::now();
    let report = world.finish(plan(&world, &flow, None, 60)).await;
    assert!(report.ending.succeeded());
    assert!(begun.elapsed() < seconds(13), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_ends_the_wait_for_the_others() {
    let world = World::new();
    let dies = service("dies", &[("SLEEP", "1s"), ("STEP_EXIT_CODE", "2")]);
    let flow = workflow([vec![service("slow", &[]), dies], vec![step("test", &[])]]);
    let begun = Instant::now();
    let report = world.finish(plan(&world, &flow, Some("false"), 60)).await;
    assert!(begun.elapsed() < seconds(5), "{:?}", begun.elapsed());
    assert!(report.ending.evidence.clone().unwrap().contains("\"dies\""));
    assert_eq!(gist(ending(&report, "slow")).1, "workflow_ended");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_the_wait_at_once() {
    let world = World::new();
    let flow = workflow([vec![service("db", &[])], vec![step("test", &[])]]);
    let begun = Instant::now();
    let cancel = async {
        world.engine.calls().until(Verb::Exec, "db").await;
        world.scope.cancel(Cause::ByUser);
    };
    let (report, ()) = tokio::join!(world.finish(plan(&world, &flow, Some("sleep 1h"), 3600)), cancel);
    assert_eq!(report.ending.cause, Cause::ByUser);
    assert_eq!(gist(ending(&report, "db")).1, "by_user");
    assert!(begun.elapsed() < seconds(2), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_exit_nobody_knows_is_lost_and_not_called_unready() {
    let world = World::new();
    let unknown = service("db", &[("SLEEP", "1s"), ("DUMMY_EXIT_UNKNOWN", "true"), ("STEP_EXIT_CODE", "0")]);
    let flow = workflow([vec![unknown], vec![step("test", &[])]]);
    let report = world.finish(plan(&world, &flow, Some("false"), 60)).await;
    assert_eq!((report.ending.outcome, &report.ending.cause), (Outcome::Lost, &Cause::StatusUnreadable));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_for_a_moment_is_waited_for() {
    let world = World::new();
    let flow = workflow([vec![service("db", &[("DUMMY_HEALTH", "6s")])], vec![step("test", &[])]]);
    let outage = async {
        world.engine.calls().until(Verb::Health, "db").await;
        world.engine.vanish();
        tokio::time::sleep(seconds(3)).await;
        world.engine.come_back();
    };
    let run = plan(&world, &flow, None, 60).limits(tight());
    let (report, ()) = tokio::join!(world.finish(run), outage);
    assert!(report.ending.succeeded(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_phase_of_a_job_says_which_of_its_steps_are_waited_for() {
    let world = World::new();
    let flow =
        workflow([vec![service("db", &[("SLEEP", "1s"), ("STEP_EXIT_CODE", "4")])], vec![step("t", &[])]]);
    let mut phase = phase(flow.clone());
    phase.ready = ready(&flow, Some("false"), 60);
    let report = world.run_job(crate::support::job([phase])).await;
    assert_eq!(report.ending.cause, Cause::NotReady);
}
