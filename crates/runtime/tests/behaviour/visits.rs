//! Going into a running step: what the visit gets, how it ends the step, and what ends the visit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jobwright_backend::ExecRequest;
use jobwright_model::{Cause, Ending, Outcome, StepExit};
use jobwright_runtime::{Visited, Visitor};

use crate::support::{Event, World, gist, job, phase, step, with, workflow};

/// Runs a command inside, and leaves with its exit.
struct Runs(&'static [&'static str]);

#[async_trait]
impl Visitor for Runs {
    async fn visit(&self, Visited { control, step, task }: Visited<'_>) -> Result<StepExit, Ending> {
        let argv = self.0.iter().map(|&word| word.to_owned()).collect();
        let request = ExecRequest { argv, ..ExecRequest::default() };
        let failed = |error: jobwright_backend::Error| Ending::new(error.cause()).because(error.to_string());
        let mut session = control.exec(step, task, request).await.map_err(failed)?;
        session.wait().await.map_err(failed)
    }
}

/// Stays, and notes that it was told to go.
#[derive(Default)]
struct Stays {
    came: tokio::sync::Notify,
    went: Arc<AtomicBool>,
}

struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Visitor for Stays {
    async fn visit(&self, _: Visited<'_>) -> Result<StepExit, Ending> {
        let _went = OnDrop(Arc::clone(&self.went));
        self.came.notify_one();
        std::future::pending().await
    }
}

const FOREVER: (&str, &str) = ("SLEEP", "1000h");

#[tokio::test(start_paused = true)]
async fn a_step_that_is_visited_ends_as_the_visit_did() {
    for (argv, expected) in [
        (&["true"][..], (Outcome::Succeeded, "success", None)),
        (&["false"], (Outcome::Failed, "exit_code", Some(1))),
        (&["no-such-program"], (Outcome::Failed, "exit_code", Some(127))),
    ] {
        let world = World::new();
        let workflow = workflow([vec![step("shell", &[FOREVER])]]);
        let report = world.finish(world.plan(&workflow).visitor(Arc::new(Runs(argv)))).await;
        assert_eq!(gist(&report.ending), expected, "{argv:?}");
        assert!(matches!(&world.seen.traces("shell")[..], [Event::Started, Event::Ended(_)]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_visit_ends_with_its_scope_and_everything_is_removed() {
    let world = World::new();
    let workflow = workflow([vec![step("shell", &[FOREVER])]]);
    let visitor = Arc::new(Stays::default());
    let (scope, came) = (world.scope.clone(), Arc::clone(&visitor));
    tokio::spawn(async move {
        came.came.notified().await;
        scope.cancel(Cause::ByUser);
    });
    let report = world.finish(world.plan(&workflow).visitor(Arc::clone(&visitor) as _)).await;
    assert_eq!(report.ending.cause, Cause::ByUser);
    assert!(visitor.went.load(Ordering::SeqCst), "the visit goes on");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_ends_under_its_visitor_ends_the_visit() {
    let world = World::new();
    let workflow = workflow([vec![step("shell", &[("SLEEP", "1s"), ("STEP_EXIT_CODE", "7")])]]);
    let visitor = Arc::new(Stays::default());
    let report = world.finish(world.plan(&workflow).visitor(Arc::clone(&visitor) as _)).await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "exit_code", Some(7)));
    assert!(visitor.went.load(Ordering::SeqCst), "the visit goes on");
}

#[tokio::test(start_paused = true)]
async fn only_the_phase_that_is_meant_is_visited_and_services_run_meanwhile() {
    let world = World::new();
    let service = with(step("db", &[FOREVER]), |step| step.detached = true);
    let visited = phase(workflow([vec![service], vec![step("shell", &[FOREVER])]]));
    let before = phase(workflow([vec![step("before", &[])]]));
    let run = world.plan_job(job([before, visited])).visitor(1, Arc::new(Runs(&["true"])));
    let report = run.run().await;
    assert_eq!(report.ending.outcome, Outcome::Succeeded, "{report:?}");
    assert_eq!(world.engine.leftovers(), Vec::<String>::new());
    let service = report.phases[1].steps.iter().find(|step| step.name == "db").unwrap();
    assert_eq!(service.ending.cause, Cause::WorkflowEnded);
}
