//! Files of single steps outside of the workspace: brought before a step starts, kept when it passed and before it is gone.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jobwright_backend::dummy::Verb;
use jobwright_backend::{Backend, Error};
use jobwright_model::{Cause, Step, TaskUuid};
use jobwright_runtime::StepFiles;

use crate::support::{World, ending, gist, seconds, step, workflow};

/// Notes what the engine had been asked by then.
struct Files {
    world: jobwright_backend::dummy::DummyEngine,
    seen: Mutex<Vec<(String, Verb)>>,
    brings: bool,
    keeps_for: u64,
}

impl Files {
    fn new(world: &World) -> Self {
        Self { world: world.engine.clone(), seen: Mutex::default(), brings: true, keeps_for: 0 }
    }

    fn note(&self, what: &str, step: &Step) {
        let last = self.world.calls().of_step(&step.name).into_iter().next_back();
        self.seen.lock().unwrap().push((format!("{what} {}", step.name), last.unwrap()));
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(what, last)| format!("{what} after {last:?}")).collect()
    }
}

#[async_trait]
impl StepFiles for Files {
    async fn bring(&self, _backend: &dyn Backend, _task: &TaskUuid, step: &Step) -> Result<(), Error> {
        self.note("bring", step);
        if self.brings { Ok(()) } else { Err(Error::Workspace("no room".to_owned())) }
    }

    async fn keep(&self, _backend: &dyn Backend, _task: &TaskUuid, step: &Step) {
        self.note("keep", step);
        tokio::time::sleep(seconds(self.keeps_for)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn they_are_brought_before_the_start_and_kept_of_what_passed() {
    let world = World::new();
    let files = Arc::new(Files::new(&world));
    let flow = workflow([vec![step("a", &[])], vec![step("b", &[("STEP_EXIT_CODE", "3")])]]);
    world.finish(world.plan(&flow).step_files(Some(Arc::clone(&files) as _))).await;
    let seen = files.seen();
    assert_eq!(seen[0], "bring a after Prepare");
    assert!(seen[1].starts_with("keep a after") && !seen[1].contains("Destroy"), "{seen:?}");
    assert_eq!(seen[2..], ["bring b after Prepare"], "nothing is kept of what failed");
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_files_cannot_be_brought_does_not_start() {
    let world = World::new();
    let files = Files { brings: false, ..Files::new(&world) };
    let report =
        world.finish(world.plan(&workflow([vec![step("a", &[])]])).step_files(Some(Arc::new(files)))).await;
    assert_eq!(gist(ending(&report, "a")).1, "workspace");
    assert!(!world.engine.calls().of_step("a").contains(&Verb::Start));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_does_not_wait_for_what_is_being_kept() {
    let world = World::new();
    let files = Files { keeps_for: 3600, ..Files::new(&world) };
    let begun = tokio::time::Instant::now();
    let run = world.plan(&workflow([vec![step("a", &[])]])).step_files(Some(Arc::new(files)));
    let cancel = async {
        tokio::time::sleep(seconds(60)).await;
        world.scope.cancel(Cause::ByUser);
    };
    tokio::join!(world.finish(run), cancel);
    assert!(begun.elapsed() < seconds(65), "{:?}", begun.elapsed());
}
