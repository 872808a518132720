//! A workspace on its way from one phase's workflow to the next one's: taken out when the first has ended and before it is
//! destroyed, put in before the first step of the second. On the way it lies in a file that only its owner can read, beside the journal
//! under a name that the journal knows, or without a name where there is no journal; it goes with the job.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use globset::Glob;
use jobwright_backend::{Backend, Error};
use jobwright_model::TaskUuid;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use crate::record::Inheritance;

/// How much of a workspace is in memory at a time.
const PIECE: usize = 64 << 10;

/// Where a workflow's files come from.
#[async_trait]
pub trait WorkspaceSource: Send + Sync {
    /// Brings the files into `task`'s workspace on `backend`. Called once for a task, when its first step is prepared and before
    /// any runs; once more when the engine did not answer and is there again; and a later phase of the same job may ask again when no step of the
    /// one before changed anything.
    ///
    /// # Errors
    /// What the backend answers; [`Error::Workspace`] when the files cannot be read.
    async fn deliver(&self, backend: &dyn Backend, task: &TaskUuid) -> Result<(), Error>;
}

/// That somebody waits for a workflow's workspace.
#[derive(Debug, Clone)]
pub(crate) struct Heirs {
    /// Somebody does even if the workflow does not pass.
    pub(crate) whatever_happens: bool,
    /// Where there is room for it meanwhile.
    pub(crate) spool: Spool,
}

/// Where a workspace lies between two phases.
#[derive(Debug, Clone)]
pub(crate) enum Spool {
    /// In this folder, under the task's name, so that it is found again.
    Named(PathBuf),
    /// In this folder, without a name.
    Unnamed(PathBuf),
}

/// What became of a workspace that somebody waits for.
pub(crate) enum Legacy {
    /// Nobody waits for it, or nothing was done to it: the next phase begins where this one began.
    Unchanged,
    /// It is here; and how that is written down.
    Taken(Arc<dyn WorkspaceSource>, Inheritance),
    /// It is lost, for this reason; masked.
    Lost(String),
}

impl Legacy {
    /// How it is written down.
    pub(crate) fn recorded(&self) -> Inheritance {
        match self {
            Self::Unchanged => Inheritance::Unchanged,
            Self::Taken(_, recorded) => recorded.clone(),
            Self::Lost(reason) => Inheritance::Lost(reason.clone()),
        }
    }

    /// What was written down by an owner that is dead now.
    pub(crate) fn of(recorded: Inheritance) -> Self {
        match recorded {
            Inheritance::Unchanged => Self::Unchanged,
            Inheritance::Nothing => Self::Taken(Arc::new(Nothing), recorded),
            Inheritance::Lost(reason) => Self::Lost(reason),
            Inheritance::Archive(ref path) => match File::open(path) {
                Ok(file) => {
                    let spooled = Spooled { file, path: Some(path.clone()) };
                    Self::Taken(Arc::new(spooled), recorded)
                }
                Err(error) => Self::Lost(format!("{}: {error}", path.display())),
            },
        }
    }
}

/// A workspace as an archive in a file, which is removed with this value when it has a name.
struct Spooled {
    file: File,
    path: Option<PathBuf>,
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::warn!(%error, "cannot remove {}", path.display());
        }
    }
}

/// What a name of a handed-over workspace begins with.
const PREFIX: &str = "handover-";

/// The workspaces in `folder` that are between two phases, or were when their owner died.
#[must_use]
pub fn handovers_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    ours.map(|entry| entry.path()).collect()
}

/// A workspace in which there is nothing.
struct Nothing;

/// Takes all files out of the workspace of `task`.
pub(crate) async fn take(backend: &dyn Backend, task: &TaskUuid, spool: &Spool) -> Result<Legacy, Error> {
    let everything = Glob::new("**").map_err(|error| Error::Workspace(error.to_string()))?;
    let mut archive = match backend.get(task, &[everything]).await {
        Ok(archive) => archive,
        Err(Error::NothingMatches(_)) => return Ok(Legacy::of(Inheritance::Nothing)),
        Err(error) => return Err(error),
    };
    let failed = |error| spooling(spool, error);
    // From here on the file is removed again if this comes to nothing.
    let spooled = spool.file_for(task).map_err(failed)?;
    let mut file = tokio::fs::File::from_std(spooled.file.try_clone().map_err(failed)?);
    while let Some(piece) = archive.next().await {
        let piece = piece.map_err(|error| Error::Workspace(format!("the archive broke off: {error}")))?;
        file.write_all(&piece).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    // One without a name is of no use to anybody else.
    let nameless = || Inheritance::Lost("its owner died, and the files with it".to_owned());
    let recorded = spooled.path.clone().map_or_else(nameless, Inheritance::Archive);
    Ok(Legacy::Taken(Arc::new(spooled), recorded))
}

impl Spool {
    /// A file that only its owner may read, even where `/proc` gives it a name.
    fn file_for(&self, task: &TaskUuid) -> io::Result<Spooled> {
        match self {
            Self::Unnamed(dir) => {
                let file = tempfile::tempfile_in(dir)?;
                file.set_permissions(Permissions::from_mode(0o600))?;
                Ok(Spooled { file, path: None })
            }
            Self::Named(dir) => {
                let path = dir.join(format!("{PREFIX}{task}.tar"));
                // What an owner that died over it left is of no use.
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                let file =
                    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
                Ok(Spooled { file, path: Some(path) })
            }
        }
    }

    fn dir(&self) -> &Path {
        match self {
            Self::Named(dir) | Self::Unnamed(dir) => dir,
        }
    }
}

fn spooling(spool: &Spool, error: io::Error) -> Error {
    Error::io(format!("keeping a workspace for the next phase in {}", spool.dir().display()), error)
}

#[async_trait]
impl WorkspaceSource for Spooled {
    async fn deliver(&self, backend: &dyn Backend, task: &TaskUuid) -> Result<(), Error> {
        let unreadable = |error| Error::io("reading the workspace of the phase before", error);
        let mut spool = tokio::fs::File::from_std(self.file.try_clone().map_err(unreadable)?);
        spool.rewind().await.map_err(unreadable)?;
        backend.put(task, "", ReaderStream::with_capacity(spool, PIECE).boxed()).await
    }
}

#[async_trait]
impl WorkspaceSource for Nothing {
    async fn deliver(&self, _backend: &dyn Backend, _task: &TaskUuid) -> Result<(), Error> {
        Ok(())
    }
}
