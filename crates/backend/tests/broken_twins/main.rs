//! Every promise of the conformance suite is seen to fail: for each there is a twin of the dummy that breaks it, and the suite
//! must say so. What a twin breaks is one line of [`twin::Fault`]; which cases notice is the table in [`noticed`].

#![allow(clippy::unwrap_used)]

mod noticed;
mod twin;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jobwright_backend::Backend;
use jobwright_backend::conformance::{self, Case, Fixture, Verdict};
use jobwright_backend::dummy::{Dummy, DummyEngine};

use noticed::{NOTICED, PLAIN};
use twin::{Broken, Fault, Memory};

struct OnBroken {
    engine: DummyEngine,
    memory: Arc<Memory>,
    fault: Fault,
}

impl OnBroken {
    fn new(fault: Fault) -> Self {
        Self { engine: DummyEngine::default(), memory: Arc::default(), fault }
    }

    fn over(&self, inner: Dummy) -> Arc<dyn Backend> {
        let memory = Arc::clone(&self.memory);
        Arc::new(Broken { inner: Arc::new(inner), memory, started_here: Mutex::default(), fault: self.fault })
    }
}

#[async_trait]
impl Fixture for OnBroken {
    async fn fresh(&self) -> Arc<dyn Backend> {
        self.over(self.engine.backend())
    }

    async fn stranger(&self) -> Option<Arc<dyn Backend>> {
        let other = match self.fault {
            Fault::AllOwnersAreOne => self.engine.backend(),
            _ => self.engine.backend_of(jobwright_model::OwnerId::random()),
        };
        Some(self.over(other))
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

fn named(names: &[&str]) -> Vec<Case> {
    let cases: Vec<_> = conformance::cases().into_iter().filter(|case| names.contains(&case.name)).collect();
    assert_eq!(cases.len(), names.len(), "every one of these is a case: {names:?}");
    cases
}

#[tokio::test(start_paused = true)]
async fn every_broken_twin_is_noticed() {
    let mut unnoticed = Vec::new();
    for (fault, names) in NOTICED {
        let report = conformance::run_cases(&OnBroken::new(*fault), &named(names)).await;
        let passed = report.lines().iter().filter(|line| !matches!(line.verdict, Verdict::Failed(_)));
        unnoticed.extend(passed.map(|line| format!("{fault:?} by {}: {:?}", line.name, line.verdict)));
    }
    assert!(unnoticed.is_empty(), "not noticed:\n{}", unnoticed.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_twin_without_fault_conforms() {
    conformance::run(&OnBroken::new(Fault::Nothing)).await.assert_passed();
}

#[test]
fn the_cases_that_no_twin_breaks_are_few_and_known() {
    let noticed: HashSet<_> = NOTICED.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let unbroken: Vec<_> =
        conformance::cases().into_iter().filter(|case| !noticed.contains(case.name)).collect();
    // What a twin of the dummy cannot break: cases for real shells, networks and limits, and the plainest of promises, which
    // every other case stands on.
    let known = unbroken.iter().filter(|case| PLAIN.contains(&case.name) || needs_a_real_engine(case));
    let known: HashSet<_> = known.map(|case| case.name).collect();
    let others: Vec<_> = unbroken.iter().map(|case| case.name).filter(|name| !known.contains(name)).collect();
    assert!(others.is_empty(), "nothing breaks these: {others:?}");
}

fn needs_a_real_engine(case: &Case) -> bool {
    let dummy = conformance::Facilities {
        capabilities: Dummy::default().capabilities(),
        shell: false,
        stranger: true,
        control: true,
        discovery: true,
        resume: true,
    };
    (case.needs)(&dummy).is_some()
}
