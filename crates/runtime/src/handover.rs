//! A workspace on its way from one phase's workflow to the next one's: taken out when the first has ended and before it is
//! destroyed, put in before the first step of the second. On the way it lies in a file without a name, which only its owner
//! can read and which goes with this process.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use globset::Glob;
use jobwright_backend::{Backend, Error};
use jobwright_model::TaskUuid;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio_util::io::ReaderStream;

/// How much of a workspace is in memory at a time.
const PIECE: usize = 64 << 10;

/// Where a workflow's files come from.
#[async_trait]
pub trait WorkspaceSource: Send + Sync {
    /// Brings the files into `task`'s workspace on `backend`. Called once for a task, when its first step is prepared and before
    /// any runs; a later phase of the same job may ask again when no step of the one before changed anything.
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
    pub(crate) spool_in: PathBuf,
}

/// What became of a workspace that somebody waits for.
pub(crate) enum Legacy {
    /// Nobody waits for it, or nothing was done to it: the next phase begins where this one began.
    Unchanged,
    /// It is here.
    Taken(Arc<dyn WorkspaceSource>),
    /// It is lost, for this reason; masked.
    Lost(String),
}

/// A workspace as an archive in an unnamed file.
struct Spooled(File);

/// A workspace in which there is nothing.
struct Nothing;

/// Takes all files out of the workspace of `task`.
pub(crate) async fn take(
    backend: &dyn Backend,
    task: &TaskUuid,
    spool_in: &Path,
) -> Result<Arc<dyn WorkspaceSource>, Error> {
    let everything = Glob::new("**").map_err(|error| Error::Workspace(error.to_string()))?;
    let mut archive = match backend.get(task, &[everything]).await {
        Ok(archive) => archive,
        Err(Error::NothingMatches(_)) => return Ok(Arc::new(Nothing)),
        Err(error) => return Err(error),
    };
    let spool = private_file(spool_in).map_err(|error| spooling(spool_in, error))?;
    let mut spool = tokio::fs::File::from_std(spool);
    while let Some(piece) = archive.next().await {
        let piece = piece.map_err(|error| Error::Workspace(format!("the archive broke off: {error}")))?;
        spool.write_all(&piece).await.map_err(|error| spooling(spool_in, error))?;
    }
    spool.flush().await.map_err(|error| spooling(spool_in, error))?;
    Ok(Arc::new(Spooled(spool.into_std().await)))
}

/// A file without a name that only its owner may read, even where `/proc` gives it one.
fn private_file(dir: &Path) -> io::Result<File> {
    let file = tempfile::tempfile_in(dir)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn spooling(spool_in: &Path, error: io::Error) -> Error {
    Error::io(format!("keeping a workspace for the next phase in {}", spool_in.display()), error)
}

#[async_trait]
impl WorkspaceSource for Spooled {
    async fn deliver(&self, backend: &dyn Backend, task: &TaskUuid) -> Result<(), Error> {
        let unreadable = |error| Error::io("reading the workspace of the phase before", error);
        let mut spool = tokio::fs::File::from_std(self.0.try_clone().map_err(unreadable)?);
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
