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
mod deaths;
mod lives;
mod output;
mod requests;
mod site;
mod visits;

use std::sync::Arc;

use engines::Engine;
use jobwright_backend::Error as BackendError;
use jobwright_docker::{Docker, DockerSettings};
use jobwright_executor::{Error, Executions, Executor, ExecutorOptions};
use jobwright_journal::StateDir;
use jobwright_model::{ExecutionRequest, SpecConfig};
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

// covers: nunet 8
#[tokio::test]
async fn an_engine_that_is_not_there_is_an_error_and_nothing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    let host = Some("unix:///nonexistent/docker.sock".to_owned());
    let settings = DockerSettings { host, ..DockerSettings::default() };
    let docker = Arc::new(Docker::new(Some(settings), state.owner().clone()));
    let executor = Executions::open(state.clone(), [docker as _], ExecutorOptions::default()).unwrap();
    let spec = SpecConfig::new("docker").with_param("image", "any");
    let refused = executor.start(ExecutionRequest::new(site::job(), site::name("one"), spec)).await;
    assert!(matches!(refused, Err(Error::Backend(BackendError::EngineGone { .. }))), "{refused:?}");
    assert!(executor.list().await.unwrap().is_empty());
    assert!(state.runs().unwrap().is_empty());
}
