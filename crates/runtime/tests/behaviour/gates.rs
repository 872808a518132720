//! Gates: what is asked before each step.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jobwright_model::{Cause, Outcome};
use jobwright_runtime::{Gate, Situation, Verdict};

use crate::support::{Event, World, ending, gist, seconds, step, workflow};

/// Gives the step called `at` this verdict, and remembers who asked.
struct Answers {
    at: &'static str,
    verdict: Verdict,
    asked: Mutex<Vec<(String, bool)>>,
}

impl Answers {
    fn new(at: &'static str, verdict: Verdict) -> Arc<Self> {
        Arc::new(Self { at, verdict, asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<(String, bool)> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Gate for Answers {
    async fn ask(&self, Situation { step, failed_before, .. }: Situation<'_>) -> Verdict {
        self.asked.lock().unwrap().push((step.name.clone(), failed_before));
        if step.name == self.at { self.verdict.clone() } else { Verdict::Run }
    }
}

/// Never answers.
struct Hangs;

#[async_trait]
impl Gate for Hangs {
    async fn ask(&self, _: Situation<'_>) -> Verdict {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_skips_a_step_is_traced_once_and_the_workflow_goes_on() {
    let world = World::new();
    let gate = Answers::new("b", Verdict::Skip(Cause::Dependency("x".into())));
    let flow = workflow([vec![step("a", &[])], vec![step("b", &[])], vec![step("c", &[])]]);
    let report = world.finish(world.plan(&flow).gate(gate)).await;
    assert!(report.ending.succeeded() && ending(&report, "c").succeeded());
    assert_eq!(gist(ending(&report, "b")), (Outcome::Skipped, "dependency", None));
    assert!(matches!(world.seen.traces("b").as_slice(), [Event::Skipped(_)]));
    assert!(world.engine.calls().of_step("b").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_stops_ends_what_runs_and_starts_nothing_more() {
    let world = World::new();
    let gate = Answers::new("b", Verdict::Stop(Cause::ByQueue));
    let flow = workflow([vec![step("long", &[("SLEEP", "1h")]), step("a", &[])], vec![step("later", &[])]]);
    let mut flow = flow;
    let mut b = step("b", &[]);
    b.depends_on = vec!["a".into()];
    flow.stages[1].steps.push(b);
    let report = world.finish(world.plan(&flow).gate(gate)).await;
    assert_eq!(gist(&report.ending), (Outcome::Cancelled, "by_queue", None));
    assert_eq!(gist(ending(&report, "long")).1, "by_queue");
    for name in ["b", "later"] {
        assert!(world.seen.traces(name).is_empty(), "{name} was never reached");
    }
}

#[tokio::test(start_paused = true)]
async fn each_gate_is_asked_once_for_a_step_that_the_gates_before_it_let_through() {
    let world = World::new();
    let gate = Answers::new("nobody", Verdict::Run);
    let flow = workflow([
        vec![step("bad", &[("STEP_EXIT_CODE", "1")])],
        vec![step("skipped", &[]), crate::support::on(false, true, step("after", &[]))],
    ]);
    world.finish(world.plan(&flow).gate(Arc::clone(&gate) as _)).await;
    assert_eq!(gate.asked(), [("bad".to_owned(), false), ("after".to_owned(), true)]);
}

#[tokio::test(start_paused = true)]
async fn a_gate_cannot_make_a_step_or_a_workflow_pass() {
    for verdict in [Verdict::Skip(Cause::Success), Verdict::Stop(Cause::Success)] {
        let world = World::new();
        let run = world.plan(&workflow([vec![step("a", &[])]])).gate(Answers::new("a", verdict.clone()));
        let report = world.finish(run).await;
        assert_eq!(ending(&report, "a").outcome, Outcome::Skipped, "{verdict:?}");
        assert_eq!(report.ending.succeeded(), verdict == Verdict::Skip(Cause::Success));
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_never_answers_ends_with_the_scope() {
    let world = World::new();
    let flow = workflow([vec![step("a", &[])]]);
    let cancel = async {
        tokio::time::sleep(seconds(5)).await;
        world.scope.cancel(Cause::ByUser);
    };
    let run = world.plan(&flow).gate(Arc::new(Hangs));
    let (report, ()) = tokio::join!(world.finish(run), cancel);
    assert_eq!(report.ending.cause, Cause::ByUser);
    assert!(world.seen.traces("a").is_empty(), "it was never reached");
}
