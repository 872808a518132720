//! Where a task and its steps lie.
//!
//! ```text
//! STATE/process/
//!   shims/PID-START/        one shim's directory, by the Jobwright process that started it
//!   uids/UID                whose a user id is
//!   tasks/TASK/task.json    written before anything else of the task is made
//!   tasks/TASK/steps/STEP/  start.json (which shim was told to start it), output, exit.json
//!   tasks/TASK/work/        workspace/, home/, scripts/; elsewhere when steps run as another user
//! ```
//!
//! All names are ids, which are safe as file names. What is in a workspace is not looked at here.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jobwright_backend::{Error, Result};
use jobwright_model::{Step, StepUuid, TaskUuid};
use jobwright_shim::StepId;
use jobwright_workspace::Owner;
use serde::{Deserialize, Serialize};

/// What `task.json` says: where the task's things lie and whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    /// The folder of workspace, home and scripts.
    pub(crate) work: PathBuf,
    /// The workspace; outside of `work` when the task works in place.
    pub(crate) workspace: PathBuf,
    /// The user and group of its steps, when they are not Jobwright's own.
    pub(crate) owner: Option<(u32, u32)>,
}

impl TaskRecord {
    pub(crate) fn home(&self) -> PathBuf {
        self.work.join("home")
    }

    pub(crate) fn script(&self, step: &StepUuid) -> PathBuf {
        self.work.join("scripts").join(step.as_str())
    }

    pub(crate) fn owner(&self) -> Option<Owner> {
        self.owner.map(|(uid, gid)| Owner { uid, gid })
    }
}

/// What `start.json` says: who was told to start the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartRecord {
    /// The name of the shim.
    pub(crate) shim: String,
    /// The step's name, for whoever finds it without its workflow.
    pub(crate) name: String,
}

/// A task's folder.
#[derive(Debug, Clone)]
pub(crate) struct TaskPlace {
    pub(crate) task: TaskUuid,
    pub(crate) dir: PathBuf,
}

impl TaskPlace {
    pub(crate) fn new(root: &Path, task: &TaskUuid) -> Self {
        Self { task: task.clone(), dir: root.join("tasks").join(task.as_str()) }
    }

    /// Makes the folder; its name must be free.
    pub(crate) fn create(&self) -> Result<()> {
        let parent = self.dir.parent().expect("a task's folder lies in `tasks`");
        make_private_all(parent).map_err(|error| Error::io(format!("making {}", parent.display()), error))?;
        match private().create(&self.dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Error::NameTaken(self.task.as_str().to_owned()))
            }
            other => other.map_err(|error| Error::io(format!("making {}", self.dir.display()), error)),
        }
    }

    /// Notes what belongs to the task and makes it.
    pub(crate) fn furnish(&self, record: &TaskRecord) -> Result<()> {
        let failed = |error| Error::io(format!("setting up task {}", self.task), error);
        let text = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
        write_new(&self.dir.join("task.json"), &text, 0o600).map_err(failed)?;
        private().create(self.dir.join("steps")).map_err(failed)?;
        make_work(record).map_err(failed)
    }

    /// What was noted.
    pub(crate) fn record(&self) -> Result<TaskRecord> {
        let path = self.dir.join("task.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::UnknownTask(self.task.clone()));
            }
            Err(error) => return Err(Error::io(format!("reading {}", path.display()), error)),
        };
        serde_json::from_slice(&text)
            .map_err(|error| Error::io(format!("reading {}", path.display()), error.into()))
    }

    pub(crate) fn step(&self, step: &StepUuid) -> StepPlace {
        StepPlace {
            id: StepId::new(format!("{}/{step}", self.task)),
            uuid: step.clone(),
            dir: self.dir.join("steps").join(step.as_str()),
        }
    }

    /// The steps that have a folder.
    pub(crate) fn steps(&self) -> Result<Vec<StepPlace>> {
        let path = self.dir.join("steps");
        let failed = |error| Error::io(format!("reading {}", path.display()), error);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut steps = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            // Only ids were ever made here; anything else is not ours to touch.
            let uuid = name.to_str().and_then(|name| StepUuid::new(name).ok());
            steps.extend(uuid.map(|uuid| self.step(&uuid)));
        }
        Ok(steps)
    }
}

/// A step's folder.
#[derive(Debug, Clone)]
pub(crate) struct StepPlace {
    /// The step's name in its shim.
    pub(crate) id: StepId,
    pub(crate) uuid: StepUuid,
    pub(crate) dir: PathBuf,
}

impl StepPlace {
    /// Makes the folder; false when it was there.
    pub(crate) fn create(&self) -> Result<bool> {
        match private().create(&self.dir) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(Error::io(format!("making {}", self.dir.display()), error)),
        }
    }

    /// Notes which shim is told to start the step, before it is told (DESIGN rule 4). The first one to note it wins.
    pub(crate) fn claim(&self, start: &StartRecord) -> Result<()> {
        let failed = |error| Error::io(format!("noting the start of step {}", self.id), error);
        let text = serde_json::to_vec(start).map_err(|error| failed(error.into()))?;
        match write_new(&self.claim_file(), &text, 0o600) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Error::AlreadyStarted(self.uuid.clone()))
            }
            other => other.map_err(failed),
        }
    }

    /// The start came to nothing, and may be tried again.
    pub(crate) fn withdraw_claim(&self) {
        // Should it stay, a second start is refused and destroying the step removes it.
        let _ = fs::remove_file(self.claim_file());
    }

    /// What was noted of the step's start; `None` when no shim was told to start it.
    pub(crate) fn start(&self) -> Result<Option<StartRecord>> {
        let failed = |error| Error::io(format!("reading who started step {}", self.id), error);
        match fs::read(self.claim_file()) {
            // Jobwright died between making the note and writing it, so nobody was told.
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.into())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// The shim of a step that somebody asks about.
    pub(crate) fn shim_of(&self, step: &Step, task: &TaskUuid) -> Result<String> {
        let start = self.start()?.ok_or_else(|| Error::unknown_step(step, task))?;
        Ok(start.shim)
    }

    fn claim_file(&self) -> PathBuf {
        self.dir.join("start.json")
    }
}

/// The folders in which steps work. When they run as another user, that user can enter `work` but change nothing in it, so
/// that no step can put a link where Jobwright, which is root, will write.
fn make_work(record: &TaskRecord) -> io::Result<()> {
    let scripts = record.work.join("scripts");
    for dir in [&record.work, &scripts, &record.home()] {
        private().create(dir)?;
    }
    let own_workspace = record.workspace.starts_with(&record.work);
    if own_workspace {
        private().create(&record.workspace)?;
    }
    let Some(owner) = record.owner() else { return Ok(()) };
    for dir in [&record.work, &scripts] {
        std::os::unix::fs::chown(dir, None, Some(owner.gid))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o750))?;
    }
    for dir in [&record.home(), &record.workspace] {
        std::os::unix::fs::chown(dir, Some(owner.uid), Some(owner.gid))?;
    }
    Ok(())
}

/// Makes a folder and those above it, for this user alone.
pub(crate) fn make_private_all(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file that must not be there yet.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)
}

fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}
