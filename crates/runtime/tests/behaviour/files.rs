//! The files that a workflow works on: brought in once, before any step runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jobwright_backend::dummy::{Act, Verb, give_script};
use jobwright_backend::{Backend, Error};
use jobwright_model::{Outcome, Step, TaskUuid};
use jobwright_runtime::WorkspaceSource;

use crate::support::{World, ending, gist, on, seconds, step, tight, with, workflow};
use crate::workspaces::archive;

/// A source that takes its time, counts, and can fail.
#[derive(Default)]
struct Source {
    asked: AtomicUsize,
    fails: bool,
}

#[async_trait]
impl WorkspaceSource for Source {
    async fn deliver(&self, backend: &dyn Backend, task: &TaskUuid) -> Result<(), Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(seconds(5)).await;
        if self.fails {
            return Err(Error::Workspace("the project is gone".to_owned()));
        }
        backend.put(task, "", archive(&[("main.c", "int main;")])).await
    }
}

fn reads(name: &str) -> Step {
    with(step(name, &[]), |step| give_script(step, &[Act::PrintFile("main.c".into())]))
}

#[tokio::test(start_paused = true)]
async fn files_are_brought_in_once_and_before_any_step_starts() {
    let world = World::new();
    let source = Arc::new(Source::default());
    let flow = workflow([vec![reads("a"), reads("b")], vec![reads("c")]]);
    let report = world.finish(world.plan(&flow).files(Arc::clone(&source) as _)).await;
    assert!(report.ending.succeeded());
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
    let verbs: Vec<_> = world.engine.calls().all().iter().map(|call| call.verb).collect();
    let at = |verb| verbs.iter().position(|other| *other == verb).unwrap();
    assert!(at(Verb::Prepare) < at(Verb::Put), "preparing need not wait for files");
    assert!(at(Verb::Put) < at(Verb::Start));
    assert_eq!(world.seen.output("c"), "int main;");
}

#[tokio::test(start_paused = true)]
async fn files_that_cannot_be_brought_in_fail_every_step_and_are_not_brought_in_half_a_second_time() {
    let world = World::new();
    let source = Arc::new(Source { fails: true, ..Source::default() });
    let flow = workflow([vec![reads("a"), reads("b")], vec![on(false, true, reads("c"))]]);
    let report = world.finish(world.plan(&flow).files(Arc::clone(&source) as _)).await;
    for name in ["a", "b", "c"] {
        assert_eq!(gist(ending(&report, name)), (Outcome::Failed, "workspace", None), "{name}");
    }
    assert!(report.error.as_deref().is_some_and(|error| error.contains("the project is gone")));
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
    assert_eq!(world.engine.calls().count(Verb::Start), 0);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_for_a_moment_gets_the_files_when_it_is_back() {
    let world = World::new();
    let source = Arc::new(Source::default());
    let flow = workflow([vec![reads("a")]]);
    let run = world.plan(&flow).files(Arc::clone(&source) as _).limits(tight());
    let outage = async {
        world.engine.calls().until(Verb::Prepare, "a").await;
        tokio::time::sleep(seconds(3)).await;
        world.engine.vanish();
        tokio::time::sleep(seconds(5)).await;
        world.engine.come_back();
    };
    let (report, ()) = tokio::join!(world.finish(run), outage);
    assert!(report.ending.succeeded(), "{report:?}");
    assert_eq!(world.seen.output("a"), "int main;");
    assert_eq!(source.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stays_away_is_not_waited_for_without_end() {
    let world = World::new();
    let flow = workflow([vec![reads("a")]]);
    let run = world.plan(&flow).files(Arc::new(Source::default())).limits(tight());
    let outage = async {
        world.engine.calls().until(Verb::Prepare, "a").await;
        world.engine.vanish();
        tokio::time::sleep(seconds(60)).await;
        world.engine.come_back();
    };
    let (report, ()) = tokio::join!(run.run(), outage);
    assert_eq!(gist(ending(&report, "a")).1, "engine_vanished");
}
