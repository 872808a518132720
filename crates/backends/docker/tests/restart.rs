//! The engine itself is restarted while a step runs, with and without its option to keep containers alive meanwhile.

// The lint's exception for tests does not reach their fixtures.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jobwright_backend::{Backend, DiscoveredWorkflow, Error};
use jobwright_docker::{Docker, DockerSettings};
use jobwright_model::{ExitStatus, OwnerId, Stage, Step, StepUuid, TaskUuid, Workflow};
use rustix::process::Signal;

use support::own_engine::OwnEngine;
use support::{IMAGE, Output};

/// A step that runs, and what it runs on.
struct World {
    engine: OwnEngine,
    owner: OwnerId,
    task: TaskUuid,
    workflow: Workflow,
    step: Step,
    shared: PathBuf,
}

/// One for each restart; none, with a line that says why, where there can be no engine.
async fn running(live_restore: bool) -> Option<World> {
    let started = async {
        let engine = OwnEngine::start(live_restore)?;
        support::base::provide(&engine.host()).await?;
        Ok::<_, String>(engine)
    };
    let engine = match started.await {
        Ok(engine) => engine,
        Err(reason) => {
            eprintln!("skipped the restart of an engine: {reason}");
            return None;
        }
    };
    let shared = engine.shared();
    let mut step = Step::new("chatty", StepUuid::random());
    step.image = IMAGE.to_owned();
    step.network_mode = "none".to_owned();
    step.volumes = vec![format!("{}:/shared", shared.display())];
    let script = "trap 'exit 9' TERM; i=0; while [ ! -e /shared/gate ]; do echo line $i; i=$((i+1)); \
                  echo $i > /shared/new; mv /shared/new /shared/lines; sleep 0.05; done; echo end; exit 7";
    step.entrypoint = ["/bin/sh", "-c", script].map(str::to_owned).into();
    let workflow = Workflow { stages: vec![Stage { steps: vec![step.clone()] }], ..Workflow::default() };
    let (owner, task) = (OwnerId::random(), TaskUuid::random());
    let world = World { engine, owner, task, workflow, step, shared };
    let docker = world.instance();
    docker.setup_workflow(&world.workflow, &world.task).await.unwrap();
    docker.start_step(&world.step, &world.task).await.unwrap();
    world.await_lines(3);
    Some(world)
}

impl World {
    /// Jobwright after a restart of its own.
    fn instance(&self) -> Arc<Docker> {
        let host = Some(self.engine.host());
        let settings = DockerSettings { host, stop_timeout: 2, ..DockerSettings::default() };
        Arc::new(Docker::new(Some(settings), self.owner.clone()))
    }

    fn lines(&self) -> usize {
        let text = std::fs::read_to_string(self.shared.join("lines")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    fn await_lines(&self, count: usize) {
        let begun = Instant::now();
        while self.lines() < count {
            assert!(begun.elapsed() < Duration::from_secs(30), "the step does not go on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    async fn discovered(&self) -> Vec<DiscoveredWorkflow> {
        self.instance().discoverer().unwrap().discover_workflows().await.unwrap()
    }

    async fn done(self) {
        let docker = self.instance();
        docker.destroy_workflow(&self.workflow, &self.task).await.unwrap();
        assert!(docker.leftovers(&self.owner).await.unwrap().is_empty());
    }
}

async fn survives(signal: Signal) {
    let Some(mut world) = running(true).await else { return };
    let container = world.discovered().await[0].steps[0].container_id.clone();
    let docker = world.instance();
    let (step, task) = (world.step.clone(), world.task.clone());
    let waiting = tokio::spawn(async move { docker.wait_step(&step, &task).await });
    world.engine.down(signal);
    // DESIGN rules 1 and 6: silence says nothing about the step.
    if let Ok(told) = waiting.await.unwrap() {
        panic!("an engine that is gone told how the step ended: {told:?}");
    }
    let away = world.instance();
    let nothing = away.discoverer().unwrap().discover_workflows().await;
    assert!(matches!(nothing, Err(Error::EngineGone { .. })), "{nothing:?}");
    world.await_lines(world.lines() + 3);
    world.engine.up().unwrap();

    let found = world.discovered().await;
    assert_eq!(found[0].steps[0].container_id, container, "it was not started again");
    let later = world.instance();
    later.resumer().unwrap().resume_step(&world.step, &world.task).await.unwrap();
    world.await_lines(world.lines() + 3);
    std::fs::write(world.shared.join("gate"), "").unwrap();
    assert_eq!(later.wait_step(&world.step, &world.task).await.unwrap().status, ExitStatus::Code(7));
    let output = Output::of(&*later, &world.step, &world.task).await.stdout;
    let expected: String = (0..world.lines()).map(|line| format!("line {line}\n")).collect();
    assert_eq!(output, format!("{expected}end\n"), "every line once and in order");
    world.done().await;
}

// covers: woodpecker 82-83, 85
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_live_restore_a_step_outlives_its_engine_s_stop() {
    survives(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_live_restore_a_step_outlives_its_engine_s_death() {
    survives(Signal::KILL).await;
}

/// What ended the container is what is told, and never that it passed.
async fn dies_with(signal: Signal) -> Option<ExitStatus> {
    let mut world = running(false).await?;
    world.engine.down(signal);
    world.engine.up().unwrap();
    let later = world.instance();
    later.resumer().unwrap().resume_step(&world.step, &world.task).await.unwrap();
    let exit = tokio::time::timeout(Duration::from_secs(30), later.wait_step(&world.step, &world.task));
    let status = exit.await.expect("the engine has ended it").unwrap().status;
    assert_ne!(status, ExitStatus::Code(0), "it did not pass");
    assert_eq!(world.discovered().await, vec![], "it does not run any more");
    world.done().await;
    Some(status)
}

// covers: woodpecker 83
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_live_restore_a_stopped_engine_ends_the_step_and_its_own_code_is_told() {
    if let Some(status) = dies_with(Signal::TERM).await {
        assert_eq!(status, ExitStatus::Code(9), "it ended as it does when it is asked to");
    }
}

/// DESIGN rule 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_live_restore_a_step_whose_engine_was_killed_has_not_passed() {
    dies_with(Signal::KILL).await;
}
