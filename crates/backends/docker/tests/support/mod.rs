//! What the tests share: which engines are there, the image that steps run in (made from the host's static busybox, as
//! nothing can be pulled), and backends whose things are looked for afterwards.
//!
//! `JOBWRIGHT_TEST_DOCKER_HOST` and `JOBWRIGHT_TEST_PODMAN_HOST` name the engines; without them, Docker is looked for at its
//! usual socket, and a Podman service is started for the test. What is absent is skipped with a line that says so.

#![allow(dead_code, unreachable_pub)]

pub mod base;
pub mod own_engine;
pub mod podman;
pub mod proxy;
pub mod scripted;

use std::path::Path;
use std::sync::Arc;

use jobwright_backend::Backend;
use jobwright_docker::{Docker, DockerSettings};
use jobwright_model::{OwnerId, Stage, Step, StepUuid, TaskUuid, Workflow};

/// The image of all steps.
pub const IMAGE: &str = "jobwright-test/steps:1";

/// An engine under test.
#[derive(Clone)]
pub struct Engine {
    /// Its address.
    pub host: String,
    /// Whether it is Podman.
    pub podman: bool,
    service: Option<Arc<podman::Service>>,
}

impl Engine {
    /// Docker with the image in it; none, with a line that says why, when there is none.
    pub async fn docker() -> Option<Self> {
        let host = std::env::var("JOBWRIGHT_TEST_DOCKER_HOST")
            .unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        if host.strip_prefix("unix://").is_some_and(|socket| !Path::new(socket).exists()) {
            eprintln!("SKIPPED: no Docker engine at {host} (set JOBWRIGHT_TEST_DOCKER_HOST)");
            return None;
        }
        let engine = Self { host, podman: false, service: None };
        engine.with_image().await
    }

    /// Podman with the image in it; none, with a line that says why, when there is none.
    pub async fn podman() -> Option<Self> {
        let given = std::env::var("JOBWRIGHT_TEST_PODMAN_HOST").ok();
        let (host, service) = match given {
            Some(host) => (host, None),
            None => match podman::Service::start() {
                Ok(service) => (service.host(), Some(Arc::new(service))),
                Err(reason) => {
                    eprintln!("SKIPPED: no Podman: {reason} (set JOBWRIGHT_TEST_PODMAN_HOST)");
                    return None;
                }
            },
        };
        let engine = Self { host, podman: true, service };
        engine.with_image().await
    }

    /// All engines that are there.
    pub async fn all() -> Vec<Self> {
        [Self::docker().await, Self::podman().await].into_iter().flatten().collect()
    }

    async fn with_image(self) -> Option<Self> {
        match base::provide(&self.host).await {
            Ok(()) => Some(self),
            Err(reason) => {
                eprintln!("SKIPPED: {}: {reason}", self.host);
                None
            }
        }
    }

    /// Settings for this engine, with a grace that does not hold tests up.
    pub fn settings(&self) -> DockerSettings {
        DockerSettings { host: Some(self.host.clone()), stop_timeout: 2, ..DockerSettings::default() }
    }

    /// A bollard client, for what a test does behind the backend's back.
    pub fn client(&self) -> bollard::Docker {
        base::client(&self.host).expect("it was connected to before")
    }
}

/// A backend of an owner of its own, whose task is destroyed and looked for at the end.
pub struct Bench {
    pub engine: Engine,
    pub owner: OwnerId,
    pub docker: Arc<Docker>,
    pub task: TaskUuid,
    pub workflow: Workflow,
}

impl Bench {
    pub fn new(engine: &Engine) -> Self {
        Self::with(engine, engine.settings())
    }

    pub fn with(engine: &Engine, settings: DockerSettings) -> Self {
        let owner = OwnerId::random();
        let docker = Arc::new(Docker::new(Some(settings), owner.clone()));
        Self {
            engine: engine.clone(),
            owner,
            docker,
            task: TaskUuid::random(),
            workflow: Workflow::default(),
        }
    }

    /// Another instance for the same owner, as after a restart.
    pub fn fresh(&self) -> Arc<Docker> {
        Arc::new(Docker::new(Some(self.engine.settings()), self.owner.clone()))
    }

    /// Sets up a workflow of one stage of `steps` with a volume, and a network where a step joins one.
    pub async fn set_up(&mut self, steps: &[&Step]) {
        let stage = Stage { steps: steps.iter().map(|&step| step.clone()).collect() };
        self.workflow = Workflow {
            stages: vec![stage],
            network: "net".to_owned(),
            volume: "vol".to_owned(),
            ..Workflow::default()
        };
        self.docker.setup_workflow(&self.workflow, &self.task).await.expect("the workflow is sound");
    }

    /// Starts `step`, reads all of its output, waits for it.
    pub async fn run(&self, step: &Step) -> (Output, jobwright_model::StepExit) {
        self.docker.start_step(step, &self.task).await.expect("it starts");
        let output = self.output(step).await;
        (output, self.docker.wait_step(step, &self.task).await.expect("its end is known"))
    }

    /// All of the output of `step`.
    pub async fn output(&self, step: &Step) -> Output {
        Output::of(&*self.docker, step, &self.task).await
    }

    /// Destroys the task and fails when anything of the owner is left.
    pub async fn done(self) {
        self.docker.destroy_workflow(&self.workflow, &self.task).await.expect("all can be removed");
        let left = self.docker.leftovers(&self.owner).await.expect("the engine answers");
        assert!(left.is_empty(), "left behind: {left}");
    }
}

/// What a step printed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub async fn of(docker: &dyn Backend, step: &Step, task: &TaskUuid) -> Self {
        use futures_util::StreamExt;
        let mut stream =
            docker.tail_step(step, task, jobwright_backend::LogPosition::START).await.expect("it has a log");
        let mut output = Self::default();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.expect("the log can be read");
            let text = String::from_utf8_lossy(&chunk.bytes).into_owned();
            match chunk.stream {
                jobwright_backend::StreamKind::Stdout => output.stdout.push_str(&text),
                jobwright_backend::StreamKind::Stderr => output.stderr.push_str(&text),
            }
        }
        output
    }
}

/// A step that runs `commands` in the workspace at `/ws`.
pub fn step(name: &str, commands: &[&str]) -> Step {
    let mut step = Step::new(name, StepUuid::random());
    step.image = IMAGE.to_owned();
    step.workspace_base = "/ws".to_owned();
    step.working_dir = "/ws".to_owned();
    step.commands = commands.iter().map(|&command| command.to_owned()).collect();
    step
}

/// Runs a test on every engine that is there.
#[macro_export]
macro_rules! on_every_engine {
    ($($(#[$meta:meta])* async fn $name:ident($engine:ident: &Engine) $body:block)+) => {
        mod docker {
            $($(#[$meta])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() {
                if let Some(engine) = super::support::Engine::docker().await { super::behaviour::$name(&engine).await }
            })+
        }
        mod podman {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() {
                if let Some(engine) = super::support::Engine::podman().await { super::behaviour::$name(&engine).await }
            })+
        }
        mod behaviour {
            #[allow(unused_imports)]
            use super::*;
            $(pub(super) async fn $name($engine: &support::Engine) $body)+
        }
    };
}
