//! The backend that runs steps in containers through the Docker Engine API: Docker from API 1.41 (20.10) on, and Podman's
//! compatible socket from 4.3 on. Everything of bollard stays inside.
//!
//! # What a workflow becomes
//!
//! | of the workflow | in the engine |
//! |---|---|
//! | its network, when a step joins it | a bridge network `jw_<owner>_<task>_<name>` |
//! | its volume, when a step mounts it or says `workspace_base` | a volume `jw_<owner>_<task>_<name>` |
//! | a step | a container, named by its `container_name_scheme` |
//!
//! Where a step's `networks`, `network_mode` or `volumes` name the workflow's own network or volume, the engine's name is put
//! in its place, so that a file that runs twice at the same time does not meet itself. A step that joins no network is on the
//! engine's default bridge. A volume that is empty is filled from what the first image has at its mount point.
//!
//! All of it carries the labels of `jobwright_backend::labels`. Removal goes by these labels, never by a name alone, so it
//! works after a restart, and it never touches what somebody else put under a name of ours.
//!
//! # What an engine shows
//!
//! For steps with `commands`, secret variables are not in the container's record (`environment`). For an image's own
//! entrypoint they are, as the engine is the only one who can hand them over. Bollard writes requests to the `log` target
//! `bollard` at debug level, visible variables included: a program should not record that target.
//!
//! # What an engine cannot tell
//!
//! A code above 128 may be a process's own or stand for a signal; engines do not say which, so the capability `signals` is
//! not claimed. A step's use of processor and memory at its end is not recorded either. Podman on a host with control groups
//! of version 1 does not tell an end by the memory limit from other ends; once such an engine is loaded, `oom` is not claimed.

mod adopt;
mod belongings;
mod container;
mod control;
mod credentials;
mod end;
mod engine;
mod environment;
mod exec;
mod failure;
mod files;
mod gpus;
mod image;
mod inventory;
mod leftovers;
mod line_ends;
mod logs;
mod network;
mod options;
mod place;
mod plan;
mod ports;
mod prepare;
mod pull;
mod reach;
mod records;
mod script;
mod settings;
mod steps;
mod tasks;
mod tree;
mod workflow;

use std::sync::Arc;

use async_trait::async_trait;
use globset::Glob;
use jobwright_backend::{
    Availability, Backend, BackendInfo, Capabilities, Error, Inventory, LogPosition, LogPrecision, LogStream,
    Progress, Result, StepControl, TarStream, WorkflowDiscoverer, WorkflowResumer,
};
use jobwright_model::{OwnerId, Step, StepExit, TaskUuid, Workflow};
use tokio::sync::OnceCell;

use engine::Engine;
use pull::Pulls;
use tasks::Tasks;

pub use leftovers::Leftovers;
pub use settings::{DockerSettings, PullPolicy};

/// The backend's name.
const NAME: &str = "docker";

/// The Docker backend. Cheap to make: the engine is looked for when it is first needed.
pub struct Docker {
    inner: Arc<Inner>,
}

/// What the parts of this crate share; each adds its methods in its own module.
pub(crate) struct Inner {
    settings: Option<DockerSettings>,
    owner: OwnerId,
    engine: OnceCell<Engine>,
    tasks: Tasks,
    pulls: Pulls,
}

impl Docker {
    /// A backend with these settings whose things belong to `owner`. Without settings every call answers
    /// [`Error::NoSettings`].
    #[must_use]
    pub fn new(settings: Option<DockerSettings>, owner: OwnerId) -> Self {
        let inner = Inner {
            settings,
            owner,
            engine: OnceCell::new(),
            tasks: Tasks::default(),
            pulls: Pulls::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// All that `owner` has in the engine.
    ///
    /// # Errors
    /// [`Error::EngineGone`] when the engine does not answer.
    pub async fn leftovers(&self, owner: &OwnerId) -> Result<Leftovers> {
        self.inner.leftovers(owner).await
    }
}

impl Inner {
    fn settings(&self) -> Result<&DockerSettings> {
        self.settings.as_ref().ok_or(Error::NoSettings(NAME))
    }

    /// The engine; connects when nobody did.
    async fn engine(&self) -> Result<&Engine> {
        let settings = self.settings()?;
        self.engine.get_or_try_init(|| Engine::connect(settings)).await
    }
}

#[async_trait]
impl Backend for Docker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            images: true,
            network: true,
            separate_streams: true,
            // Docker's `local` log driver loses it; `json-file` would change bytes that are not UTF-8 instead.
            long_lines: self
                .inner
                .engine
                .get()
                .is_some_and(|engine| engine.kind == engine::EngineKind::Podman),
            log_precision: LogPrecision::ReplayAndDiscard,
            signals: false,
            oom: self.inner.engine.get().is_none_or(|engine| engine.tells_oom),
            limits: true,
            usage: false,
            files: true,
            survives_owner: true,
        }
    }

    async fn is_available(&self) -> Availability {
        match self.inner.engine().await {
            Ok(engine) => match engine.pulse().await {
                Ok(()) => Availability::Available,
                Err(error) => Availability::Unavailable(error.to_string()),
            },
            Err(error) => Availability::Unavailable(error.to_string()),
        }
    }

    async fn load(&self) -> Result<BackendInfo> {
        let engine = self.inner.engine().await?;
        engine.pulse().await?;
        Ok(BackendInfo {
            platform: engine.platform.clone(),
            engine: engine.title.clone(),
            engine_id: engine.identity.clone(),
        })
    }

    async fn setup_workflow(&self, workflow: &Workflow, task: &TaskUuid) -> Result<()> {
        self.inner.set_up(workflow, task).await
    }

    async fn prepare_step(&self, step: &Step, task: &TaskUuid, progress: &dyn Progress) -> Result<()> {
        if self.inner.tasks.get(task).container(&step.uuid).is_some() {
            return Err(Error::AlreadyStarted(step.uuid.clone()));
        }
        self.inner.prepare(step, task, progress).await
    }

    async fn start_step(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        self.inner.start(step, task).await
    }

    async fn wait_step(&self, step: &Step, task: &TaskUuid) -> Result<StepExit> {
        self.inner.wait(step, task).await
    }

    async fn tail_step(&self, step: &Step, task: &TaskUuid, from: LogPosition) -> Result<LogStream> {
        self.inner.tail(step, task, from).await
    }

    async fn destroy_step(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        self.inner.destroy(step, task).await
    }

    async fn destroy_workflow(&self, _workflow: &Workflow, task: &TaskUuid) -> Result<()> {
        self.inner.tear_down(task).await
    }

    async fn put(&self, task: &TaskUuid, path: &str, tar: TarStream) -> Result<()> {
        self.inner.put(task, path, tar).await
    }

    async fn get(&self, task: &TaskUuid, paths: &[Glob]) -> Result<TarStream> {
        self.inner.get(task, paths).await
    }

    async fn put_into_step(&self, step: &Step, task: &TaskUuid, tar: TarStream) -> Result<()> {
        self.inner.put_into_step(step, task, tar).await
    }

    async fn get_from_step(&self, step: &Step, task: &TaskUuid, paths: &[Glob]) -> Result<TarStream> {
        self.inner.get_from_step(step, task, paths).await
    }

    fn control(&self) -> Option<&dyn StepControl> {
        Some(self)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        Some(self)
    }

    fn discoverer(&self) -> Option<&dyn WorkflowDiscoverer> {
        Some(self)
    }

    fn resumer(&self) -> Option<&dyn WorkflowResumer> {
        Some(self)
    }
}
