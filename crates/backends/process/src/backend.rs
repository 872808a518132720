//! The backend itself: the port's methods, each a few lines over the module that does it.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use globset::Glob;
use jobwright_backend::{
    Availability, Backend, BackendInfo, Capabilities, DiscoveredWorkflow, Error, Holding, Inventory,
    LogPosition, LogPrecision, LogStream, Progress, Result, Resumed, StepControl, TarStream,
    WorkflowDiscoverer, WorkflowResumer,
};
use jobwright_journal::StateDir;
use jobwright_model::{OwnerId, Step, StepExit, TaskUuid, Workflow};
use jobwright_shim::StepId;
use jobwright_workspace::{
    CopyOptions, CopyReport, Globs, PackOptions, Project, Selection, UnpackOptions, copy_tree, list_globs,
    offload, pack, unpack,
};

use crate::cgroups::Cgroups;
use crate::place::{TaskPlace, TaskRecord, make_private_all};
use crate::script::NETRC_VARIABLE;
use crate::settings::ProcessSettings;
use crate::shims::Shims;
use crate::spare::Spares;
use crate::start::{Alone, Ready, prepare};
use crate::watch::Watcher;
use crate::{destroy, discovery, environment, exit, inventory, tail};

/// The backend's name.
pub const NAME: &str = "process";

/// A copy of so many names and bytes takes a fraction of a millisecond.
const FEW_NAMES: u64 = 8;
const FEW_BYTES: u64 = 64 << 10;

/// Runs steps as processes of this host.
pub struct ProcessBackend {
    /// `STATE/process`.
    root: PathBuf,
    owner: OwnerId,
    /// Where the work of tasks lies that run as another user.
    shared_work: PathBuf,
    settings: ProcessSettings,
    pub(crate) host_environment: BTreeMap<String, String>,
    pub(crate) shims: Shims,
    spares: Spares,
    cgroups: Cgroups,
    watcher: Watcher,
    /// Steps that were prepared and not destroyed, so that a second time is an error; with what was made ready, until they start.
    prepared: Mutex<HashMap<StepId, Option<Ready>>>,
    /// Until when steps may run that are to be started.
    deadlines: Mutex<HashMap<StepId, Duration>>,
    /// How the tasks are furnished that this process set up and did not destroy.
    records: Mutex<HashMap<TaskUuid, TaskRecord>>,
    /// The project of which the last copy was a small one.
    small_project: Mutex<Option<PathBuf>>,
}

impl ProcessBackend {
    /// A backend whose tasks lie in `state`. Nothing is made or started yet.
    #[must_use]
    pub fn new(state: &StateDir, settings: ProcessSettings) -> Self {
        let root = state.path().join(NAME);
        let shared_work = settings
            .work_dir
            .clone()
            .unwrap_or_else(|| Path::new("/var/tmp").join(format!("jobwright-{}", state.owner())));
        let host_environment = environment::from_host(&settings.host_environment, settings.run_as.is_some());
        let shims = Shims::new(root.join("shims"), settings.shim.clone());
        let cgroups = Cgroups::new(settings.cgroup.clone(), state.owner().clone());
        Self {
            spares: Spares::new(root.join("spare")),
            root,
            owner: state.owner().clone(),
            shared_work,
            settings,
            host_environment,
            shims,
            cgroups,
            watcher: Watcher::default(),
            prepared: Mutex::default(),
            deadlines: Mutex::default(),
            records: Mutex::default(),
            small_project: Mutex::default(),
        }
    }

    pub(crate) fn task(&self, task: &TaskUuid) -> TaskPlace {
        TaskPlace::new(&self.root, task)
    }

    fn uids(&self) -> PathBuf {
        self.root.join("uids")
    }

    fn prepared(&self) -> MutexGuard<'_, HashMap<StepId, Option<Ready>>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deadlines(&self) -> MutexGuard<'_, HashMap<StepId, Duration>> {
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a new task's places, with its workspace at `in_place` where that is given.
    fn set_up(&self, task: &TaskUuid, in_place: Option<&Path>) -> Result<()> {
        let place = self.task(task);
        let record = self.plan(&place, in_place)?;
        // A spare folder has a workspace and a home that others do not need.
        match record == place.default_record() {
            true => place.create(&self.spares)?,
            false => place.create_as(&record)?,
        }
        self.records().insert(task.clone(), record);
        Ok(())
    }

    /// How a task was furnished: by this process, or as its folder says.
    pub(crate) fn record(&self, place: &TaskPlace) -> Result<TaskRecord> {
        let known = self.records().get(&place.task).cloned();
        known.map_or_else(|| place.record(), Ok)
    }

    fn record_or_default(&self, place: &TaskPlace) -> Result<TaskRecord> {
        let known = self.records().get(&place.task).cloned();
        known.map_or_else(|| place.record_or_default(), Ok)
    }

    fn records(&self) -> MutexGuard<'_, HashMap<TaskUuid, TaskRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies a project on another thread, but one of which the last copy was a small one: then handing it over takes longer than
    /// the copy.
    async fn copy_project(
        &self,
        project: &Path,
        workspace: &Path,
        options: &CopyOptions,
    ) -> jobwright_workspace::Result<CopyReport> {
        let is_small = self.small_project().as_deref() == Some(project);
        let report = match is_small {
            true => copy_tree(project, workspace, options),
            false => offload::copy_tree(project, workspace, options).await,
        }?;
        let names = report.directories + report.files + report.symlinks + report.hard_links;
        let stays_small = names <= FEW_NAMES && report.bytes <= FEW_BYTES;
        if stays_small != is_small {
            *self.small_project() = stays_small.then(|| project.to_owned());
        }
        Ok(report)
    }

    fn small_project(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.small_project.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a new task's things will lie.
    fn plan(&self, place: &TaskPlace, in_place: Option<&Path>) -> Result<TaskRecord> {
        let Some(choice) = self.settings.run_as else {
            let record = place.default_record();
            let workspace = in_place.map_or(record.workspace, Path::to_owned);
            return Ok(TaskRecord { workspace, ..record });
        };
        if in_place.is_some() {
            let what = "working in place as another user, who may not be allowed to".to_owned();
            return Err(Error::Unsupported { backend: NAME, what });
        }
        let failed = |error| Error::io(format!("choosing a user for task {}", place.task), error);
        make_shared(&self.shared_work).map_err(failed)?;
        let owner = choice.of_task(&place.task, &self.uids()).map_err(failed)?;
        let work = self.shared_work.join(place.task.as_str());
        let workspace = work.join("workspace");
        Ok(TaskRecord { work, workspace, owner: Some((owner.uid, owner.gid)) })
    }
}

/// A folder that everybody can pass through and nobody but us can see into.
fn make_shared(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    fs::DirBuilder::new().recursive(true).mode(0o711).create(path)?;
    let data = fs::symlink_metadata(path)?;
    if !data.is_dir() || data.uid() != rustix::process::geteuid().as_raw() || data.mode() & 0o022 != 0 {
        let why = format!("{} is not a directory that only this user can write to", path.display());
        return Err(std::io::Error::other(why));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o711))
}

#[async_trait]
impl Backend for ProcessBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            images: false,
            network: false,
            separate_streams: true,
            long_lines: true,
            log_precision: LogPrecision::Exact,
            signals: true,
            oom: self.cgroups.tell_memory(),
            limits: self.cgroups.limit(),
            usage: true,
            files: true,
            survives_owner: true,
        }
    }

    async fn is_available(&self) -> Availability {
        match self.shims.program() {
            Ok(_) => Availability::Available,
            Err(error) => Availability::Unavailable(error.to_string()),
        }
    }

    async fn load(&self) -> Result<BackendInfo> {
        if self.settings.run_as.is_some() && !rustix::process::geteuid().is_root() {
            let operation = "run steps as another user".to_owned();
            let message = "only root can; leave --process-run-as out".to_owned();
            return Err(Error::Engine { engine: NAME, operation, message });
        }
        let program = self.shims.program().map_err(|error| crate::shims::does_not_answer(&error))?;
        make_private_all(&self.root)
            .map_err(|error| Error::io(format!("making {}", self.root.display()), error))?;
        self.shims.sweep();
        self.spares.sweep();
        Ok(BackendInfo {
            platform: platform(),
            engine: format!("host processes under {}", program.display()),
            engine_id: machine_id(Path::new("/etc/machine-id")),
        })
    }

    async fn setup_workflow(&self, _workflow: &Workflow, task: &TaskUuid) -> Result<()> {
        self.set_up(task, self.settings.in_place.as_deref())
    }

    async fn setup_in_place(&self, _workflow: &Workflow, task: &TaskUuid, directory: &Path) -> Result<()> {
        self.set_up(task, Some(directory))
    }

    async fn prepare_step(&self, step: &Step, task: &TaskUuid, _progress: &dyn Progress) -> Result<()> {
        let place = self.task(task);
        let ready = prepare(&place, self.record(&place)?, step, &self.cgroups)?;
        match self.prepared().entry(place.step(&step.uuid).id) {
            Entry::Vacant(free) => drop(free.insert(Some(ready))),
            Entry::Occupied(_) => return Err(Error::AlreadyStarted(step.uuid.clone())),
        }
        Ok(())
    }

    fn bound_step(&self, step: &Step, task: &TaskUuid, until: Duration) {
        self.deadlines().insert(self.task(task).step(&step.uuid).id, until);
    }

    async fn start_step(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        let place = self.task(task);
        let id = place.step(&step.uuid).id;
        let prepared = self.prepared().get_mut(&id).and_then(Option::take);
        let alone = Alone { grace: self.settings.grace(), until: self.deadlines().remove(&id) };
        let prepare_now = || prepare(&place, self.record(&place)?, step, &self.cgroups);
        let ready = prepared.map_or_else(prepare_now, Ok)?;
        ready.start(&self.shims, step, &self.host_environment, alone).await
    }

    async fn wait_step(&self, step: &Step, task: &TaskUuid) -> Result<StepExit> {
        exit::wait(&self.shims, &self.task(task).step(&step.uuid), step, task).await
    }

    async fn tail_step(&self, step: &Step, task: &TaskUuid, from: LogPosition) -> Result<LogStream> {
        tail::tail(&self.shims, &self.watcher, &self.task(task).step(&step.uuid), (step, task), from).await
    }

    async fn destroy_step(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        let place = self.task(task);
        let record = self.record_or_default(&place)?;
        let step_place = place.step(&step.uuid);
        let holders = (&self.shims, &self.watcher);
        destroy::destroy_step(holders, self.settings.grace(), &step_place, &record).await?;
        self.prepared().remove(&step_place.id);
        if step.environment.contains_key(NETRC_VARIABLE) {
            // The credentials were this step's, not the task's. The script may not have come to write them.
            let _ = fs::remove_file(record.home().join(".netrc"));
        }
        Ok(())
    }

    async fn destroy_workflow(&self, _workflow: &Workflow, task: &TaskUuid) -> Result<()> {
        let place = self.task(task);
        let prefix = format!("{task}/");
        self.prepared().retain(|step, _| !step.as_str().starts_with(&prefix));
        self.deadlines().retain(|step, _| !step.as_str().starts_with(&prefix));
        let (grace, uids) = (self.settings.grace(), self.uids());
        let spares = &self.spares;
        let record = self.record_or_default(&place)?;
        let run_as = self.settings.run_as;
        let holders = (&self.shims, &self.watcher);
        destroy::destroy_task(holders, grace, (&place, &record), run_as, &uids, spares).await?;
        self.records().remove(task);
        Ok(())
    }

    async fn put(&self, task: &TaskUuid, path: &str, tar: TarStream) -> Result<()> {
        let record = self.record(&self.task(task))?;
        if !record.workspace.starts_with(&record.work) {
            let what = "putting files into a project that is worked on in place".to_owned();
            return Err(Error::Unsupported { backend: NAME, what });
        }
        let options = UnpackOptions { owner: record.owner(), ..UnpackOptions::default() };
        let destination = destination(&record, path)?;
        unpack(tar, &destination, &options).await.map(drop).map_err(workspace_error)
    }

    /// A copy of the project's files, or nothing at all when the task works on them in place.
    async fn put_project(&self, task: &TaskUuid, project: &Project) -> Result<()> {
        let record = self.record(&self.task(task))?;
        if !record.workspace.starts_with(&record.work) {
            return Ok(());
        }
        let tree = project.options().clone();
        let into_empty = true;
        let options = CopyOptions { tree, owner: record.owner(), into_empty, ..CopyOptions::default() };
        match self.copy_project(project.root(), &record.workspace, &options).await {
            // A workspace that holds something already is added to.
            Err(jobwright_workspace::Error::DestinationExists { .. }) => {
                let selection = Selection::Tree(options.tree);
                let tar = pack(project.root(), &selection, &PackOptions::default()).await;
                self.put(task, "", tar.map_err(workspace_error)?).await
            }
            copied => copied.map(drop).map_err(workspace_error),
        }
    }

    async fn get(&self, task: &TaskUuid, paths: &[Glob]) -> Result<TarStream> {
        let record = self.record(&self.task(task))?;
        let globs: Vec<&str> = paths.iter().map(Glob::glob).collect();
        let globs = Globs::new(&globs).map_err(workspace_error)?;
        if matching(&record.workspace, &globs, paths.len()).await? == 0 {
            let named: Vec<String> = paths.iter().map(|glob| format!("{:?}", glob.glob())).collect();
            return Err(Error::NothingMatches(named.join(", ")));
        }
        let options = PackOptions { allow_unmatched: true, ..PackOptions::default() };
        pack(&record.workspace, &Selection::Globs(globs), &options).await.map_err(workspace_error)
    }

    fn control(&self) -> Option<&dyn StepControl> {
        Some(self)
    }

    fn discoverer(&self) -> Option<&dyn WorkflowDiscoverer> {
        Some(self)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        Some(self)
    }

    fn resumer(&self) -> Option<&dyn WorkflowResumer> {
        Some(self)
    }
}

#[async_trait]
impl WorkflowDiscoverer for ProcessBackend {
    async fn discover_workflows(&self) -> Result<Vec<DiscoveredWorkflow>> {
        discovery::discover(&self.root, &self.shims).await
    }
}

#[async_trait]
impl Inventory for ProcessBackend {
    async fn holdings(&self) -> Result<Vec<Holding>> {
        inventory::holdings(&self.root, &self.shims, &self.owner).await
    }
}

#[async_trait]
impl WorkflowResumer for ProcessBackend {
    async fn resume_step(&self, step: &Step, task: &TaskUuid) -> Result<Resumed> {
        discovery::resume(&self.shims, &self.task(task).step(&step.uuid), step, task).await
    }
}

/// The directory `path` of the workspace, those above it made. What was put there before may hold links, which are not
/// followed.
fn destination(record: &TaskRecord, path: &str) -> Result<PathBuf> {
    let refused = |why: &str| Error::Workspace(format!("cannot unpack into {path:?}: {why}"));
    let mut destination = record.workspace.clone();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => destination.push(name),
            Component::CurDir => continue,
            _ => return Err(refused("it is not a path below the workspace")),
        }
        match fs::symlink_metadata(&destination) {
            Ok(data) if data.is_dir() => {}
            Ok(_) => return Err(refused("a file or link is in the way")),
            Err(_) => {
                let made = fs::create_dir(&destination).and_then(|()| match record.owner() {
                    Some(owner) => std::os::unix::fs::lchown(&destination, Some(owner.uid), Some(owner.gid)),
                    None => Ok(()),
                });
                made.map_err(|error| Error::io(format!("making {}", destination.display()), error))?;
            }
        }
    }
    Ok(destination)
}

fn workspace_error(error: jobwright_workspace::Error) -> Error {
    match error {
        jobwright_workspace::Error::DiskFull { path } => {
            Error::DiskFull(format!("writing {}", path.display()))
        }
        other => Error::Workspace(other.to_string()),
    }
}

/// How many of the `count` globs match anything; one that does is enough (the port's rule).
async fn matching(workspace: &Path, globs: &Globs, count: usize) -> Result<usize> {
    let (root, globs) = (workspace.to_owned(), globs.clone());
    let listed = tokio::task::spawn_blocking(move || list_globs(&root, &globs)).await;
    let listed = listed.map_err(|error| Error::Workspace(error.to_string()))?;
    let (_, unmatched) = listed.map_err(workspace_error)?;
    Ok(count.saturating_sub(unmatched.len()))
}

/// This machine's identity, which outlives its restarts; none where nobody gave it one.
fn machine_id(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let id = text.trim();
    let sound = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then(|| format!("machine:{id}"))
}

/// As Go names it.
fn platform() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}/{arch}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_machine_id_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("machine-id");
        assert_eq!(machine_id(&file), None);
        for (text, id) in [
            ("0123456789abcdef0123456789abcdef\n", Some("machine:0123456789abcdef0123456789abcdef")),
            ("uninitialized\n", None),
            ("", None),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(machine_id(&file).as_deref(), id, "{text:?}");
        }
    }
}
