//! The unix socket that a server listens on: private, one living server each, and a dead one's is replaced.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use crate::{Error, Result};

/// A listener, and the file that is removed with it.
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of what was bound.
    identity: (u64, u64),
    /// Held as long as the socket is this server's: two that start at the same time do not take each other's socket for a dead one's.
    _lock: File,
}

impl Socket {
    pub(crate) async fn bind(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(failed(path, "find its absolute path"))?;
        private_parent(&path)?;
        let lock = lock(&path)?;
        clear(&path).await?;
        let listener = UnixListener::bind(&path).map_err(failed(&path, "bind the socket"))?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(failed(&path, "make it private"))?;
        let identity = identity(&path).map_err(failed(&path, "look at the socket"))?;
        Ok(Self { listener, path, identity, _lock: lock })
    }
}

/// The file goes, unless it is somebody else's by now. The lock's file stays: who removed it could take the lock from one that has just got it.
impl Drop for Socket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // What is left behind is replaced by the next server.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Makes the socket's directory, or checks that nobody else can enter it. So nobody can connect before the socket has its mode.
fn private_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
        .map_err(failed(path, "make its directory"))?;
    let metadata = std::fs::metadata(parent).map_err(failed(path, "look at its directory"))?;
    let refuse = |problem: String| Err(Error::NotPrivate { path: parent.to_owned(), problem });
    let mode = metadata.mode() & 0o7777;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refuse(format!("belongs to the user {}", metadata.uid()));
    }
    if mode & 0o077 != 0 { refuse(format!("is open to others (mode {mode:04o})")) } else { Ok(()) }
}

fn lock(path: &Path) -> Result<File> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path.with_file_name(name));
    let file = file.map_err(failed(path, "open its lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(path, "lock it")(source)),
    }
}

/// Removes a socket on which nobody listens. A program that does not know our lock may listen on it, so it is tried.
async fn clear(path: &Path) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path, "look at what is there")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(Error::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed(path, "remove a dead server's socket"))
        }
        Ok(_) => Err(Error::InUse(path.to_owned())),
        Err(error) => Err(failed(path, "find out whether somebody listens")(error)),
    }
}

fn failed(path: &Path, operation: &'static str) -> impl FnOnce(io::Error) -> Error {
    let address = path.display().to_string();
    move |source| Error::Listen { address, operation, source }
}
