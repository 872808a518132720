//! The conformance suite on the dummy backend.

use std::sync::Arc;

use async_trait::async_trait;
use jobwright_backend::conformance::{self, Fixture};
use jobwright_backend::dummy::DummyEngine;
use jobwright_backend::{Availability, Backend};
use jobwright_model::OwnerId;

#[derive(Default)]
struct OnDummy {
    engine: DummyEngine,
}

#[async_trait]
impl Fixture for OnDummy {
    async fn fresh(&self) -> Arc<dyn Backend> {
        let dummy = self.engine.backend();
        dummy.load().await.expect("an engine that was not made to vanish loads");
        Arc::new(dummy)
    }

    async fn stranger(&self) -> Option<Arc<dyn Backend>> {
        Some(Arc::new(self.engine.backend_of(OwnerId::random())))
    }

    fn image(&self) -> String {
        "dummy".to_owned()
    }

    async fn leftovers(&self) -> Vec<String> {
        self.engine.leftovers()
    }

    fn runs_shells(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn the_dummy_conforms() {
    let fixture = OnDummy::default();
    assert_eq!(fixture.fresh().await.is_available().await, Availability::Available);
    conformance::run(&fixture).await.assert_passed();
}
