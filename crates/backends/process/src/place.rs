//! Where a task and its steps lie. As few files and folders as can be: each costs about as much as a tenth of a spawn.
//!
//! ```text
//! STATE/process/
//!   shims/PID-START/          one shim's directory, by the Jobwright process that started it
//!   uids/UID                  whose a user id is
//!   spare/                    folders of tasks that are over, for those that come (`spare.rs`)
//!   tasks/TASK/task.json      only where something is not as below; written before it is made
//!   tasks/TASK/workspace/     or the project itself, or elsewhere when steps run as another user
//!   tasks/TASK/home/          likewise
//!   tasks/TASK/spare          an empty file that becomes the output of the next step
//!   tasks/TASK/STEP.script    likewise; what the step's shell reads, when it is long
//!   tasks/TASK/STEP.output    made by the shim when it starts the step: how it ended, which shim has it, what it wrote
//!   tasks/TASK/STEP.cgroups   only of a step with limits: the cgroups made for it
//! ```
//!
//! All names are ids, which are safe as file names. What is in a workspace is not looked at here.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jobwright_backend::{Error, Result};
use jobwright_model::{StepUuid, TaskUuid};
use jobwright_shim::StepId;
use jobwright_shim::frame::{Frame, FrameReader, Placed, StartInfo};
use jobwright_shim::record::StepFiles;
use jobwright_workspace::Owner;
use serde::{Deserialize, Serialize};

use crate::spare::{self, Spares};

/// Names in a task's folder.
pub(crate) const HOME: &str = "home";
pub(crate) const WORKSPACE: &str = "workspace";

/// The place of the exit record and who wrote it are far smaller.
const HEAD: usize = 16 << 10;

const CGROUPS_SUFFIX: &str = ".cgroups";

/// What `task.json` says: where the task's things lie and whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    /// The folder of home, scripts and usually the workspace.
    pub(crate) work: PathBuf,
    /// The workspace; outside of `work` when the task works in place.
    pub(crate) workspace: PathBuf,
    /// The user and group of its steps, when they are not Jobwright's own.
    pub(crate) owner: Option<(u32, u32)>,
}

impl TaskRecord {
    pub(crate) fn home(&self) -> PathBuf {
        self.work.join(HOME)
    }

    pub(crate) fn script(&self, step: &StepUuid) -> PathBuf {
        self.work.join(format!("{step}.script"))
    }

    pub(crate) fn owner(&self) -> Option<Owner> {
        self.owner.map(|(uid, gid)| Owner { uid, gid })
    }
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

    /// Makes the folder of a task as nothing is said, and what belongs to it; its name must be free. It may be a spare one, which has
    /// it all.
    pub(crate) fn create(&self, spares: &Spares) -> Result<()> {
        match spares.furnish(self) {
            Ok(true) => Ok(()),
            Ok(false) => self.create_as(&self.default_record()),
            Err(error) => Err(self.not_made(error)),
        }
    }

    /// The same, with what the record says.
    pub(crate) fn create_as(&self, record: &TaskRecord) -> Result<()> {
        self.create_anew()?;
        self.furnish(record)
    }

    /// The folder alone.
    fn create_anew(&self) -> Result<()> {
        let parent = self.dir.parent().expect("a task's folder lies in `tasks`");
        make_private_all(parent).map_err(|error| Error::io(format!("making {}", parent.display()), error))?;
        private().create(&self.dir).map_err(|error| self.not_made(error))
    }

    fn not_made(&self, error: io::Error) -> Error {
        match error.kind() {
            ErrorKind::AlreadyExists => Error::NameTaken(self.task.as_str().to_owned()),
            _ => Error::io(format!("making {}", self.dir.display()), error),
        }
    }

    /// How a task is furnished when nothing is said.
    pub(crate) fn default_record(&self) -> TaskRecord {
        TaskRecord { work: self.dir.clone(), workspace: self.dir.join(WORKSPACE), owner: None }
    }

    /// Notes what belongs to the task and makes it.
    fn furnish(&self, record: &TaskRecord) -> Result<()> {
        let failed = |error| Error::io(format!("setting up task {}", self.task), error);
        if *record != self.default_record() {
            let text = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
            write_new(&self.record_file(), &text, 0o600).map_err(failed)?;
        }
        make_work(record, &self.dir).map_err(failed)
    }

    /// How the task was furnished.
    pub(crate) fn record(&self) -> Result<TaskRecord> {
        let path = self.record_file();
        let failed = |error| Error::io(format!("reading {}", path.display()), error);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| failed(error.into())),
            // Not told by anything in it: a step may have removed its own home.
            Err(error) if error.kind() == ErrorKind::NotFound && self.dir.is_dir() => {
                Ok(self.default_record())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::UnknownTask(self.task.clone())),
            Err(error) => Err(failed(error)),
        }
    }

    /// The same for whoever clears away what may be there.
    pub(crate) fn record_or_default(&self) -> Result<TaskRecord> {
        match self.record() {
            Err(Error::UnknownTask(_)) => Ok(self.default_record()),
            other => other,
        }
    }

    fn record_file(&self) -> PathBuf {
        self.dir.join("task.json")
    }

    pub(crate) fn step(&self, step: &StepUuid) -> StepPlace {
        StepPlace {
            id: StepId::new(format!("{}/{step}", self.task)),
            uuid: step.clone(),
            files: StepFiles { dir: self.dir.clone(), stem: step.as_str().to_owned() },
        }
    }

    /// The steps that were started and not destroyed, as the folder shows them.
    pub(crate) fn steps(&self) -> Result<Vec<StepPlace>> {
        let failed = |error| Error::io(format!("reading {}", self.dir.display()), error);
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut uuids = BTreeSet::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let named = |suffix: &str| StepUuid::new(name.to_str()?.strip_suffix(suffix)?).ok();
            // One that has cgroups was at least about to be started.
            uuids.extend(named(".output").or_else(|| named(CGROUPS_SUFFIX)));
        }
        Ok(uuids.iter().map(|uuid| self.step(uuid)).collect())
    }
}

/// A step's files.
#[derive(Debug, Clone)]
pub(crate) struct StepPlace {
    /// The step's name in its shim.
    pub(crate) id: StepId,
    pub(crate) uuid: StepUuid,
    pub(crate) files: StepFiles,
}

impl StepPlace {
    /// Whether a shim has begun to start the step, and it was not destroyed.
    pub(crate) fn has_output(&self) -> bool {
        self.files.output().exists()
    }

    /// What the shim wrote when it had started the step: who it is, and which process it started. `None` when it did not come to that.
    pub(crate) fn start(&self) -> Result<Option<StartInfo>> {
        let failed = |error| Error::io(format!("reading the output of step {}", self.id), error);
        let file = match File::open(self.files.output()) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut head = vec![0; HEAD];
        let length = file.read_at(&mut head, 0).map_err(failed)?;
        let mut reader = FrameReader::at(0);
        reader.push(&head[..length]);
        loop {
            match reader.next_frame() {
                Ok(Some(Placed { frame: Frame::Exit, .. })) => {}
                Ok(Some(Placed { frame: Frame::Start(info), .. })) => return Ok(Some(info)),
                Ok(None) => return Ok(None),
                Ok(Some(_)) => return Err(failed(io::Error::other("it does not begin with who wrote it"))),
                Err(error) => return Err(failed(io::Error::other(error))),
            }
        }
    }

    /// Where the cgroups are noted that are made for the step.
    pub(crate) fn cgroups_file(&self) -> PathBuf {
        self.files.dir.join(format!("{}{CGROUPS_SUFFIX}", self.uuid))
    }

    /// Removes everything that is the step's own; the output may be used again when nobody follows it, as that empties it.
    pub(crate) fn remove(&self, record: &TaskRecord, is_followed: bool) -> io::Result<()> {
        // The output last: while it is there, the step is found again.
        remove_if_there(&record.script(&self.uuid))?;
        if record.owner.is_none() && !is_followed && spare::keep_output(&self.files) {
            return Ok(());
        }
        remove_if_there(&self.files.output())
    }
}

fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The folders in which steps work. When they run as another user, that user can enter `work` but change nothing in it, so
/// that no step can put a link where Jobwright, which is root, will write.
fn make_work(record: &TaskRecord, task: &Path) -> io::Result<()> {
    if record.work != task {
        private().create(&record.work)?;
    }
    if record.workspace.starts_with(&record.work) {
        private().create(&record.workspace)?;
    }
    private().create(record.home())?;
    let Some(owner) = record.owner() else { return Ok(()) };
    std::os::unix::fs::chown(&record.work, None, Some(owner.gid))?;
    fs::set_permissions(&record.work, fs::Permissions::from_mode(0o750))?;
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
