//! The trait itself.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use globset::Glob;
use jobwright_model::{Step, StepExit, TaskUuid, Workflow};
use jobwright_workspace::{Owner, PackOptions, Project, Selection, pack};

use crate::{
    Availability, BackendInfo, Capabilities, Error, Inventory, LogPosition, LogStream, Progress, Result,
    StepControl, WorkflowDiscoverer, WorkflowResumer,
};

/// Files on their way into or out of a workspace, as the bytes of an uncompressed tar archive.
pub use jobwright_workspace::TarStream;

/// What creates and destroys workflow environments and steps.
///
/// One value serves many workflows at the same time. Every future may be dropped at any await: nothing is left half owned,
/// and what was created is found again by `destroy_step` and `destroy_workflow`. `wait_step` and `tail_step` may be called
/// again, from another process too. What a backend cannot do answers [`crate::Error::Unsupported`], never a silent success.
///
/// Names in an engine derive from (task, step), so a workflow that runs twice under two task uuids does not collide.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The backend's unique name: the key into a step's `backend_options` and the value that selects it.
    fn name(&self) -> &'static str;

    /// What this backend can do. Does not change during its life.
    fn capabilities(&self) -> Capabilities;

    /// Whether it can be used here, and if not, why. A cheap look; changes nothing.
    async fn is_available(&self) -> Availability;

    /// Connects; called once, before any workflow.
    ///
    /// # Errors
    /// [`crate::Error::NoSettings`] when the backend needs settings and was built without;
    /// [`crate::Error::EngineGone`] when its engine does not answer.
    async fn load(&self) -> Result<BackendInfo>;

    /// Makes the isolated place for `workflow` (workspace, network); called once per task, before any of its steps.
    ///
    /// # Errors
    /// [`crate::Error::InvalidWorkflow`], with the step where one is to blame; whatever the engine refuses. What was made
    /// before the error is found by `destroy_workflow`.
    async fn setup_workflow(&self, workflow: &Workflow, task: &TaskUuid) -> Result<()>;

    /// As [`setup_workflow`](Self::setup_workflow), for a task whose steps work on `directory` of this host itself, an absolute path, in place of a
    /// workspace of the task's own. Nobody removes it or puts files into it.
    ///
    /// # Errors
    /// As `setup_workflow`; [`crate::Error::Unsupported`] from a backend whose steps do not run on this host.
    async fn setup_in_place(&self, _workflow: &Workflow, _task: &TaskUuid, _directory: &Path) -> Result<()> {
        let what = "working on a directory of this host itself".to_owned();
        Err(Error::Unsupported { backend: self.name(), what })
    }

    /// Makes everything ready that can be before `step` runs: pulls the image, creates the container. Nothing runs yet.
    ///
    /// # Errors
    /// [`crate::Error::Image`], [`crate::Error::UnsupportedStepType`], [`crate::Error::InvalidStep`],
    /// [`crate::Error::AlreadyStarted`] for a step that was prepared or started before, and whatever the engine refuses.
    async fn prepare_step(&self, step: &Step, task: &TaskUuid, progress: &dyn Progress) -> Result<()>;

    /// Says until when `step` may run, before it is started: a moment on the clock that counts from boot with suspended time
    /// (`CLOCK_BOOTTIME`). While its owner lives, the owner ends it. A backend whose steps outlive their owner ends it by itself when
    /// that moment comes and nobody watches it, and its exit says so ([`StepExit::overdue`]); for one that cannot, this does nothing, and
    /// whoever adopts the step finds that its time is over.
    fn bound_step(&self, _step: &Step, _task: &TaskUuid, _until: Duration) {}

    /// Starts `step`, preparing what was not prepared, and returns without waiting for its end. Steps of one task may be
    /// started at the same time.
    ///
    /// # Errors
    /// [`crate::Error::Start`] and those of `prepare_step`; [`crate::Error::AlreadyStarted`] for a second start of one step.
    async fn start_step(&self, step: &Step, task: &TaskUuid) -> Result<()>;

    /// Waits until `step` no longer runs and says how it ended, as often as it is asked.
    ///
    /// # Errors
    /// [`crate::Error::UnknownStep`] for a step that was never started or is destroyed; [`crate::Error::EngineGone`] when
    /// the engine stopped answering, which says nothing about the step.
    async fn wait_step(&self, step: &Step, task: &TaskUuid) -> Result<StepExit>;

    /// The step's output from `from` on, as it comes, until its end or the step's destruction. Closing it early harms
    /// nothing. A stream that some left-behind process keeps open may outlast the step's own end.
    ///
    /// # Errors
    /// [`crate::Error::UnknownStep`]; what the engine refuses. The stream's items carry errors of their own.
    async fn tail_step(&self, step: &Step, task: &TaskUuid, from: LogPosition) -> Result<LogStream>;

    /// Ends `step` if it runs (SIGTERM, the backend's grace, SIGKILL, for the whole tree: DESIGN rule 9), and removes what
    /// it took. Idempotent; safe when its start failed or never ran; touches no other step. After it returns, a
    /// `wait_step` that was already waiting has its answer.
    ///
    /// # Errors
    /// Whatever keeps the step from being gone.
    async fn destroy_step(&self, step: &Step, task: &TaskUuid) -> Result<()>;

    /// Ends what still runs of the task and removes all that it took, so that nothing of `task` is left and the uuid can be
    /// used again. Idempotent; safe when set-up failed or never ran, and after a restart of Jobwright.
    ///
    /// # Errors
    /// Whatever could not be removed; everything else is removed all the same.
    async fn destroy_workflow(&self, workflow: &Workflow, task: &TaskUuid) -> Result<()>;

    /// Unpacks `tar` below `path` in the task's workspace; `path` is relative to it, empty for the workspace itself.
    /// Symlinks, modes and times are kept. May be called after `setup_workflow` and before any step runs.
    ///
    /// # Errors
    /// [`crate::Error::Workspace`] for an archive that is broken or would write elsewhere, [`crate::Error::DiskFull`],
    /// [`crate::Error::UnknownTask`].
    async fn put(&self, task: &TaskUuid, path: &str, tar: TarStream) -> Result<()>;

    /// Brings `project`'s files into the task's workspace, under the same conditions as `put`. A backend that shares a disk with
    /// the project overrides this with a copy; the others get a tar stream that belongs to root.
    ///
    /// # Errors
    /// As `put`; [`crate::Error::Workspace`] when the project cannot be read.
    async fn put_project(&self, task: &TaskUuid, project: &Project) -> Result<()> {
        let options = PackOptions { owner: Some(Owner { uid: 0, gid: 0 }), ..PackOptions::default() };
        let selection = Selection::Tree(project.options().clone());
        let tar = pack(project.root(), &selection, &options)
            .await
            .map_err(|error| Error::Workspace(error.to_string()))?;
        self.put(task, "", tar).await
    }

    /// The files of the task's workspace that match any of `paths` (relative to the workspace), as a tar stream. A glob that
    /// matches a directory takes all below it.
    ///
    /// # Errors
    /// [`crate::Error::NothingMatches`], also for a workspace in which there is nothing; [`crate::Error::UnknownTask`].
    async fn get(&self, task: &TaskUuid, paths: &[Glob]) -> Result<TarStream>;

    /// Unpacks `tar` into the file system that is `step`'s own, outside of the workspace: names count from its root. May be called when the
    /// step is prepared and not started.
    ///
    /// # Errors
    /// As `put`; [`crate::Error::UnknownStep`]; [`crate::Error::Unsupported`] from a backend whose steps have no file system of their own.
    async fn put_into_step(&self, _step: &Step, _task: &TaskUuid, _tar: TarStream) -> Result<()> {
        Err(no_own_files(self.name()))
    }

    /// The files of `step`'s own file system that match any of `paths` (from its root on), as a tar stream. May be called when the step has
    /// ended and is not destroyed.
    ///
    /// # Errors
    /// As `get`; [`crate::Error::UnknownStep`]; [`crate::Error::Unsupported`] as above.
    async fn get_from_step(&self, _step: &Step, _task: &TaskUuid, _paths: &[Glob]) -> Result<TarStream> {
        Err(no_own_files(self.name()))
    }

    /// Reaching into a running step, where the backend can.
    fn control(&self) -> Option<&dyn StepControl> {
        None
    }

    /// Finding the workflows of a dead owner, where the backend can.
    fn discoverer(&self) -> Option<&dyn WorkflowDiscoverer> {
        None
    }

    /// Telling what is in its engine, where the backend can.
    fn inventory(&self) -> Option<&dyn Inventory> {
        None
    }

    /// Taking over a running step, where the backend can.
    fn resumer(&self) -> Option<&dyn WorkflowResumer> {
        None
    }
}

fn no_own_files(backend: &'static str) -> Error {
    Error::Unsupported { backend, what: "files of a step outside of its workspace".to_owned() }
}
