//! What decides when a job runs, and what goes on around it, on every backend alike: a matrix with its limit, groups, detached jobs, retries, commands
//! on the host, a cancellation. Not for the order itself, which needs no backend (`tests/modes.rs` and its like).

use jobwright_events::RunMode;
use jobwright_model::Cause;

use crate::engines::Engine;
use crate::project::Project;
use crate::world::Site;

/// Whoever makes a directory that is there already was not alone where it had to be.
const JOBS: &str = r#"
matrix:
  stage: build
  image: IMAGE
  matrix: {values: {V: ["1", "2", "3"]}, max_parallel: 1}
  job_bootstrap: {run: [mkdir DIR/matrix]}
  script: ['echo "value=$V"']
  job_cleanup: {run: [rmdir DIR/matrix]}
one: &group
  stage: build
  image: IMAGE
  concurrency: {group: g, limit: 1}
  job_bootstrap: {run: [mkdir DIR/group]}
  script: [echo alone]
  job_cleanup: {run: [rmdir DIR/group]}
two: *group
beside: {stage: build, image: IMAGE, parallel: true, script: [echo beside]}
flaky:
  stage: test
  image: IMAGE
  retry: 2
  job_bootstrap: {run: ['echo x >> DIR/tries', cp DIR/tries tries]}
  script: ['test $(wc -l < tries) -ge 3']
"#;

const ENDLESS: &str = r#"
endless:
  stage: build
  image: IMAGE
  job_bootstrap: {run: [echo ready > made]}
  script: [cat made; echo all-is-up; sleep 1000000]
  job_cleanup: {run: [echo cleaned-up]}
later: {stage: test, image: IMAGE, script: [echo never]}
"#;

async fn schedules(site: Option<Site>) {
    let Some(site) = site else { return };
    let sites = [&site, &Site::Process];
    let sites = if matches!(site, Site::Process) { &sites[..1] } else { &sites[..] };
    let told = Project::new(sites, JOBS).await.run_in(RunMode::Parallel, None).await;
    assert!(told.report.ending.succeeded(), "{}: {:?}", site.name(), told.report);
    for value in ["1", "2", "3"] {
        let output = told.output(&format!("matrix_V.{value}"));
        assert!(output.contains(&format!("value={value}\n")), "{}: {output}", site.name());
    }
    assert_eq!(told.job("flaky").attempts, 3, "{}", site.name());
    assert!(told.output("beside").contains("beside\n"), "{}", site.name());

    let told = Project::new(sites, ENDLESS).await.run_in(RunMode::Sequential, Some("all-is-up\n")).await;
    assert_eq!(told.job("endless").ending.cause, Cause::ByUser, "{}", site.name());
    assert!(told.output("endless").contains("\ncleaned-up\n"), "{}: {}", site.name(), told.output("endless"));
    assert_eq!(told.job("later").attempts, 0, "{}", site.name());
}

// covers: local-ci 55, 63, 68
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_hold_on_host_processes() {
    schedules(Some(Site::Process)).await;
}

// covers: local-ci 55, 63, 68
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_hold_in_docker() {
    schedules(Engine::docker().await.map(Site::Containers)).await;
}

// covers: local-ci 55, 63, 68
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_hold_in_podman() {
    schedules(Engine::podman().await.map(Site::Containers)).await;
}
