//! What an executor promises, kept on every backend: one list of cases, run over the dummy, host processes, Docker and Podman. A new backend
//! joins with a [`Site`] and a test of one line.
//!
//! `JOBWRIGHT_EXECUTIONS=pause,log` runs only the cases whose name contains one of the words. An engine that is absent is skipped with a
//! line that says so.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

/// Docker and Podman, as the Docker backend's own tests find them.
#[path = "../../../backends/docker/tests/support/mod.rs"]
mod engines;
/// A process backend over a state directory of its own, as that backend's own tests have it.
#[path = "../../../backends/process/tests/support/mod.rs"]
mod host;

mod cases;
mod site;
mod visits;

use engines::Engine;
use site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn executions_hold_on_the_dummy() {
    cases::run(Some(Site::Dummy)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn executions_hold_on_host_processes() {
    cases::run(Some(Site::Process)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn executions_hold_in_docker() {
    cases::run(Engine::docker().await.map(Site::Containers)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn executions_hold_in_podman() {
    cases::run(Engine::podman().await.map(Site::Containers)).await;
}
