//! The port's promises, kept by real processes.
#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use jobwright_backend::Backend;
use jobwright_backend::conformance::{Fixture, run};
use jobwright_model::Step;
use jobwright_process::RunAsChoice;
use serde_json::json;
use support::Bench;

/// Two owners, each with its state directory.
struct OnThisHost {
    own: Bench,
    other: Bench,
}

#[async_trait]
impl Fixture for OnThisHost {
    async fn fresh(&self) -> Arc<dyn Backend> {
        Arc::new(self.own.backend().await)
    }

    async fn stranger(&self) -> Option<Arc<dyn Backend>> {
        Some(Arc::new(self.other.backend().await))
    }

    fn image(&self) -> String {
        String::new()
    }

    fn limit_memory(&self, step: &mut Step, bytes: u64) {
        step.backend_options.insert("process".to_owned(), json!({ "memory": bytes }));
    }

    async fn leftovers(&self) -> Vec<String> {
        [self.own.leftovers(), self.other.leftovers()].concat()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_backend_conforms() {
    let fixture = OnThisHost { own: Bench::new(), other: Bench::new() };
    run(&fixture).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_with_a_user_for_each_task() {
    if !support::is_root() {
        eprintln!("skipped: only root can run steps as another user");
        return;
    }
    let bench = || {
        let work = tempfile::tempdir_in("/var/tmp").unwrap();
        // Kept by path: the backend checks that it is passable, which a temporary directory is not at first.
        let work = work.keep();
        Bench::with(|settings| {
            settings.run_as = Some(RunAsChoice::Auto);
            settings.work_dir = Some(work);
        })
    };
    let fixture = OnThisHost { own: bench(), other: bench() };
    let report = run(&fixture).await;
    for bench in [&fixture.own, &fixture.other] {
        let work = bench.settings.work_dir.as_ref().unwrap();
        std::fs::remove_dir(work).expect("nothing is left in the work directory");
    }
    report.assert_passed();
}
