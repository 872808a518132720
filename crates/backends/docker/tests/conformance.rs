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
}

impl Containers {
    fn new(engine: Engine) -> Self {
        Self { engine, owner: OwnerId::random(), strangers: Mutex::default() }
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
        let docker = Docker::new(Some(self.engine.settings()), self.owner.clone());
        let mut owners = self.strangers.lock().unwrap().clone();
        owners.push(self.owner.clone());
        let mut all = Vec::new();
        for owner in owners {
            all.extend(docker.leftovers(&owner).await.expect("the engine answers").iter());
        }
        all
    }

    fn limit_memory(&self, step: &mut Step, bytes: u64) {
        step.backend_options.insert("docker".to_owned(), json!({ "memory": bytes }));
    }
}

async fn conforms(engine: Option<Engine>) {
    let Some(engine) = engine else { return };
    let report = conformance::run(&Containers::new(engine)).await;
    println!("{report}");
    assert!(report.failed().is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_conforms() {
    conforms(Engine::docker().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn podman_conforms() {
    if std::env::var_os("JOBWRIGHT_TEST_SLOW").is_none() {
        println!(
            "skipped: the suite takes nine minutes on Podman; JOBWRIGHT_TEST_SLOW=1 (cargo xtask test --slow) runs it"
        );
        return;
    }
    conforms(Engine::podman().await).await;
}
