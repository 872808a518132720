//! What jobs do on every backend: one list of scenarios, run through the runtime on the dummy, on host processes, in Docker and
//! in Podman; whole pipelines through the engine; and storms after which nothing may be left. The sister, one floor up, of the
//! conformance suite in `jobwright-backend`, which asks a backend alone.
//!
//! Not for what only the runtime decides (`crates/runtime/tests`, on a paused clock), nor for one backend's own ways.
//!
//! `JOBWRIGHT_SCENARIOS=secret,cancel` runs only the scenarios whose name contains one of the words. An engine that is absent is
//! skipped with a line that says so; which variables name one is said in the Docker backend's test support.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

/// Docker and Podman, as the Docker backend's own tests find them.
#[path = "../../../backends/docker/tests/support/mod.rs"]
mod engines;
/// A process backend over a state directory of its own, as that backend's own tests have it.
#[path = "../../../backends/process/tests/support/mod.rs"]
mod host;
/// The observer of the runtime's own tests.
#[path = "../../../runtime/tests/behaviour/support/seen.rs"]
#[allow(dead_code, reason = "the runtime's tests use all of it")]
mod seen;

mod around;
mod caches;
/// What the original recorded.
#[path = "../support/golden.rs"]
mod golden;
mod keys;
mod marks;
mod pipelines;
mod project;
mod recordings;
mod rules;
mod scenarios;
mod schedules;
mod service_image;
mod services;
mod shim_killed;
mod storm;
mod suite;
mod world;

use engines::Engine;
use world::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenarios_hold_on_the_dummy() {
    suite::run(Some(Site::Dummy)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenarios_hold_on_host_processes() {
    suite::run(Some(Site::Process)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenarios_hold_in_docker() {
    suite::run(Engine::docker().await.map(Site::Containers)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenarios_hold_in_podman() {
    suite::run(Engine::podman().await.map(Site::Containers)).await;
}
