//! How the suite tells of a case that hangs, panics, fails, is skipped, or leaves something behind.

#![allow(clippy::unwrap_used)]

use std::panic::catch_unwind;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_backend::Backend;
use jobwright_backend::conformance::{
    Case, Failure, Fixture, Report, Script, Verdict, run_cases, run_cases_side_by_side,
};
use jobwright_backend::dummy::DummyEngine;
use jobwright_model::{TaskUuid, Workflow};

#[derive(Default)]
struct OnDummy(DummyEngine);

#[async_trait]
impl Fixture for OnDummy {
    async fn fresh(&self) -> Arc<dyn Backend> {
        Arc::new(self.0.backend())
    }

    fn image(&self) -> String {
        "dummy".to_owned()
    }

    async fn leftovers(&self) -> Vec<String> {
        self.0.leftovers()
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(5)
    }
}

const PASSES: Case =
    Case { name: "passes", covers: "", needs: |_| None, run: |_| Box::pin(async { Ok(()) }) };

async fn report_of(case: Case) -> Report {
    run_cases(&OnDummy::default(), &[PASSES, case, Case { name: "passes_too", ..PASSES }]).await
}

/// The reason why the case between the two that pass failed, checking that they are not drawn into it.
async fn reason_of(case: Case) -> String {
    let report = report_of(case).await;
    assert_eq!(report.passed(), ["passes", "passes_too"]);
    let failed = report.failed();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, case.name);
    failed[0].1.to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_case_that_hangs_fails_by_name_and_is_cleaned_up_after() {
    let hangs = Case {
        name: "hangs",
        run: |trial| {
            Box::pin(async {
                let step = trial.step("build", &Script::new().forever());
                let task = trial.set_up(&[&step]).await?;
                task.start(&step).await?;
                task.wait(&step).await?;
                Ok(())
            })
        },
        ..PASSES
    };
    assert_eq!(reason_of(hangs).await, "not done after 5s");
}

#[tokio::test(start_paused = true)]
async fn cases_side_by_side_all_run_once_and_are_told_in_their_order() {
    let slow = Case {
        name: "slow",
        run: |_| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_secs(4)).await;
                Ok(())
            })
        },
        ..PASSES
    };
    let (one, other) = (OnDummy::default(), OnDummy::default());
    let begun = tokio::time::Instant::now();
    let report = run_cases_side_by_side(&[&one, &other], &[slow, PASSES, slow, PASSES]).await;
    assert_eq!(report.passed(), ["slow", "passes", "slow", "passes"]);
    assert_eq!(begun.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_case_that_panics_fails_by_name() {
    let panics = Case { name: "panics", run: |_| Box::pin(async { panic!("on purpose") }), ..PASSES };
    assert_eq!(reason_of(panics).await, "it panicked");
}

#[tokio::test(start_paused = true)]
async fn a_case_that_leaves_something_behind_fails() {
    let litters = Case {
        name: "litters",
        run: |trial| {
            Box::pin(async {
                // By its own means, so that the suite does not know of it.
                let task = TaskUuid::random();
                trial.backend().setup_workflow(&Workflow::default(), &task).await?;
                Ok(())
            })
        },
        ..PASSES
    };
    let report = run_cases(&OnDummy::default(), &[litters]).await;
    assert!(report.failed()[0].1.starts_with("left behind: task "), "{report}");
    assert!(report.to_string().contains("left behind after the suite: task "), "{report}");
}

#[tokio::test(start_paused = true)]
async fn what_is_lacking_is_skipped_beforehand_or_on_the_way() {
    let beforehand = Case { name: "beforehand", needs: |_| Some("wings"), ..PASSES };
    let on_the_way =
        Case { name: "on_the_way", run: |_| Box::pin(async { Err(Failure::Lacking("wheels")) }), ..PASSES };
    for (case, lacks) in [(beforehand, "wings"), (on_the_way, "wheels")] {
        let report = report_of(case).await;
        assert_eq!(report.lines()[1].verdict, Verdict::Skipped(lacks));
        assert_eq!(report.skipped(), [(case.name, lacks)]);
        report.assert_passed();
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_shows_the_whole_table() {
    let fails =
        Case { name: "fails", run: |_| Box::pin(async { Err(Failure::new("it is broken")) }), ..PASSES };
    let report = report_of(fails).await;
    let panic = catch_unwind(|| report.assert_passed()).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    for part in ["passed   passes (", "FAILED   fails (", ": it is broken", "2 passed, 1 failed, 0 skipped"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_suite_of_which_nothing_passed_is_no_success() {
    let report = run_cases(&OnDummy::default(), &[]).await;
    assert!(catch_unwind(|| report.assert_passed()).is_err());
}
