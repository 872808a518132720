//! Services that a job waits for until they are ready, in Docker and in Podman.

use std::time::{Duration, Instant};

use jobwright_events::RunMode;
use jobwright_model::Cause;

use crate::engines::Engine;
use crate::project::{Project, Told};
use crate::service_image::provide;
use crate::world::Site;

/// Ready when `/ready` is there, which it is after a second.
const SLOW: &str = "echo starting up; sleep 1; touch /ready; echo up; exec sleep 1000";
const DIES: &str = "echo no room for my data >&2; exit 3";

fn container_job(services: &str) -> String {
    format!("a:\n  stage: build\n  image: IMAGE\n  services:\n{services}  script: [echo the-job-ran]\n")
}

async fn run(engine: &Engine, services: &str) -> Told {
    run_until(engine, services, None).await
}

async fn run_until(engine: &Engine, services: &str, until: Option<&str>) -> Told {
    let site = Site::Containers(engine.clone());
    Project::new(&[&site], &container_job(services)).await.run_in(RunMode::Sequential, until).await
}

impl Told {
    /// The numbers of the events in which `step` printed `text`.
    fn printed(&self, step: &str, text: &str) -> Vec<u64> {
        let of_step = self.events.iter().filter(|event| event.r#type == "log_line" && event.step == step);
        of_step.filter(|event| event.data.contains(text)).map(|event| event.seq).collect()
    }
}

async fn a_command_that_says_when(engine: Engine) {
    let image = provide(&engine, "slow", SLOW, None).await;
    let told = run(
        &engine,
        &format!("    - {{image: \"{image}\", alias: db, ready: {{command: test -e /ready}}}}\n"),
    )
    .await;
    assert!(told.job("a").ending.succeeded(), "{:?} {}", told.report, told.output("a"));
    let up = told.printed("db", "up\n");
    let ran = told.printed("a", "the-job-ran\n");
    assert!(up.last() < ran.last(), "the script waited for it: {up:?} {ran:?}");
}

async fn a_health_check_of_the_image(engine: Engine) {
    let image = provide(&engine, "checked", SLOW, Some("test -e /ready")).await;
    let told = run(&engine, &format!("    - {{image: \"{image}\", alias: db}}\n")).await;
    assert!(told.job("a").ending.succeeded(), "{:?} {}", told.report, told.output("a"));
    assert!(told.printed("db", "up\n").last() < told.printed("a", "the-job-ran\n").last());
    let never = provide(&engine, "never-well", "exec sleep 1000", Some("false")).await;
    let told =
        run(&engine, &format!("    - {{image: \"{never}\", alias: db, ready: {{timeout: 2s}}}}\n")).await;
    let error = told.job("a").error.as_deref().unwrap();
    assert!(
        error.starts_with("Job a failed: service \"db\": not ready after 2.0s: its health check"),
        "{error}"
    );
}

async fn a_service_that_dies_early(engine: Engine) {
    let image = provide(&engine, "dies", DIES, None).await;
    let service = format!("    - {{image: \"{image}\", alias: db, ready: {{command: \"false\"}}}}\n");
    let told = run(&engine, &service).await;
    let report = told.job("a");
    assert_eq!(report.ending.cause, Cause::NotReady, "{report:?}");
    assert_eq!(
        report.error.as_deref(),
        Some("Job a failed: service \"db\": exited with code 3 before becoming ready")
    );
    assert_eq!(told.printed("db", "no room for my data").len(), 1, "its last output is in the log");
    assert!(told.printed("a", "the-job-ran").is_empty());
}

async fn services_get_ready_side_by_side(engine: Engine) {
    let image = provide(&engine, "slow", SLOW, None).await;
    let service = |alias: &str| {
        format!("    - {{image: \"{image}\", alias: {alias}, ready: {{command: test -e /ready}}}}\n")
    };
    let told = run(&engine, &(service("one") + &service("two") + &service("three"))).await;
    assert!(told.job("a").ending.succeeded(), "{:?}", told.report);
    // Each began before the first was up: they take turns otherwise.
    let first_up = ["one", "two", "three"].iter().filter_map(|step| told.printed(step, "up\n").pop()).min();
    for step in ["one", "two", "three"] {
        assert!(told.printed(step, "starting up").first() < first_up.as_ref(), "{step}");
    }
}

async fn a_cancel_during_the_wait(engine: Engine) {
    let image = provide(&engine, "slow", SLOW, None).await;
    let service =
        format!("    - {{image: \"{image}\", alias: db, ready: {{command: \"false\", timeout: 1h}}}}\n");
    let begun = Instant::now();
    let told = run_until(&engine, &service, Some("up\n")).await;
    assert_eq!(told.job("a").ending.cause, Cause::ByUser);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

async fn a_service_called_like_its_job(engine: Engine) {
    let image = provide(&engine, "slow", SLOW, None).await;
    let service = format!("    - {{image: \"{image}\", alias: a, ready: {{command: test -e /ready}}}}\n");
    let told = run(&engine, &service).await;
    assert!(told.job("a").ending.succeeded(), "{:?}", told.report);
    assert!(told.printed("a", "starting up").is_empty(), "its lines are told apart from the script's");
    assert_eq!(told.printed("a-service", "starting up").len(), 1);
}

// covers: local-ci 117 (the command)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_waits_for_its_services_command_in_docker() {
    if let Some(engine) = Engine::docker().await {
        a_command_that_says_when(engine).await;
    }
}

// covers: local-ci 117 (the command)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_waits_for_its_services_command_in_podman() {
    if let Some(engine) = Engine::podman().await {
        a_command_that_says_when(engine).await;
    }
}

// covers: local-ci 117 (the health check)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_waits_for_its_services_health_in_docker() {
    if let Some(engine) = Engine::docker().await {
        a_health_check_of_the_image(engine).await;
    }
}

// covers: local-ci 117 (the health check)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_waits_for_its_services_health_in_podman() {
    if let Some(engine) = Engine::podman().await {
        a_health_check_of_the_image(engine).await;
    }
}

// covers: local-ci 117 (early exit)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_dies_early_fails_its_job_in_docker() {
    if let Some(engine) = Engine::docker().await {
        a_service_that_dies_early(engine).await;
    }
}

// covers: local-ci 117 (early exit)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_dies_early_fails_its_job_in_podman() {
    if let Some(engine) = Engine::podman().await {
        a_service_that_dies_early(engine).await;
    }
}

// covers: local-ci 118
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_get_ready_side_by_side_in_docker() {
    if let Some(engine) = Engine::docker().await {
        services_get_ready_side_by_side(engine).await;
    }
}

// covers: local-ci 118
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_get_ready_side_by_side_in_podman() {
    if let Some(engine) = Engine::podman().await {
        services_get_ready_side_by_side(engine).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_while_a_service_gets_ready_is_prompt_in_docker() {
    if let Some(engine) = Engine::docker().await {
        a_cancel_during_the_wait(engine).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_while_a_service_gets_ready_is_prompt_in_podman() {
    if let Some(engine) = Engine::podman().await {
        a_cancel_during_the_wait(engine).await;
    }
}

// covers: local-ci 119
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_services_lines_are_told_apart_in_docker() {
    if let Some(engine) = Engine::docker().await {
        a_service_called_like_its_job(engine).await;
    }
}

// covers: local-ci 119
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_services_lines_are_told_apart_in_podman() {
    if let Some(engine) = Engine::podman().await {
        a_service_called_like_its_job(engine).await;
    }
}
