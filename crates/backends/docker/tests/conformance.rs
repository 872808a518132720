//! The port's promises, on the real engines.

// The lint's exception for tests does not reach their fixtures.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jobwright_backend::Backend;
use jobwright_backend::conformance::{self, Fixture};
use jobwright_docker::Docker;
use jobwright_model::{OwnerId, Step};
use serde_json::json;

use support::{Engine, IMAGE};

/// An engine, an owner, and the strangers who were made beside him.
struct Containers {
    engine: Engine,
    owner: OwnerId,
    strangers: Mutex<Vec<OwnerId>>,
    /// Looks for leftovers.
    watchman: Docker,
}

impl Containers {
    fn new(engine: Engine) -> Self {
        let owner = OwnerId::random();
        let watchman = Docker::new(Some(engine.settings()), owner.clone());
        Self { engine, owner, strangers: Mutex::default(), watchman }
    }

    async fn instance(&self, owner: &OwnerId) -> Arc<dyn Backend> {
        let docker = Docker::new(Some(self.engine.settings()), owner.clone());
        docker.load().await.expect("the engine answers");
        Arc::new(docker)
    }
}

#[async_trait]
impl Fixture for Containers {
    async fn fresh(&self) -> Arc<dyn Backend> {
        self.instance(&self.owner).await
    }

    async fn stranger(&self) -> Option<Arc<dyn Backend>> {
        let owner = OwnerId::random();
        self.strangers.lock().unwrap().push(owner.clone());
        Some(self.instance(&owner).await)
    }

    fn image(&self) -> String {
        IMAGE.to_owned()
    }

    async fn leftovers(&self) -> Vec<String> {
        let mut owners = self.strangers.lock().unwrap().clone();
        owners.push(self.owner.clone());
        let mut all = Vec::new();
        for owner in owners {
            all.extend(self.watchman.leftovers(&owner).await.expect("the engine answers").iter());
        }
        all
    }

    /// Each takes these engines up to a second, several at a time.
    fn many(&self) -> u8 {
        12
    }

    fn limit_memory(&self, step: &mut Step, bytes: u64) {
        step.backend_options.insert("docker".to_owned(), json!({ "memory": bytes }));
    }
}

/// Passes when no case failed; `lanes` of them run at a time, as most of a case's time is waiting for the engine, on Podman
/// even more than on Docker.
async fn conforms(engine: Option<Engine>, lanes: usize) {
    let Some(engine) = engine else { return };
    let fixtures: Vec<_> = (0..lanes).map(|_| Containers::new(engine.clone())).collect();
    let fixtures: Vec<&dyn Fixture> = fixtures.iter().map(|fixture| fixture as &dyn Fixture).collect();
    let report = conformance::run_side_by_side(&fixtures).await;
    println!("{report}");
    report.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_conforms() {
    conforms(Engine::docker().await, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn podman_conforms() {
    conforms(Engine::podman().await, 4).await;
}
