//! A file on its way to being whole: only one writer at a time, in whatever process, has the draft of a name, and nobody sees the name
//! change before the draft is finished. Not for what is in it.
//!
//! The lock is on the draft itself, so that no lock file is left over: whoever dies gives it back, and the next writer goes on with the
//! file that is there, from its beginning.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// What a draft's name ends with.
pub(super) const PARTIAL: &str = ".partial";

/// An empty file that only we write to.
pub(super) struct Draft {
    pub(super) file: File,
    path: PathBuf,
    target: PathBuf,
}

impl Draft {
    /// The draft of `target`; none while somebody else has it.
    pub(super) fn lock(target: &Path) -> io::Result<Option<Self>> {
        let path = draft_of(target);
        loop {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => return Ok(None),
                answer => answer?,
            }
            // It may have become the target, or been removed, between the opening and the lock.
            if is_at(&file, &path)? {
                file.set_len(0)?;
                return Ok(Some(Self { file, path, target: target.to_owned() }));
            }
        }
    }

    /// Shows it under the target's name, in place of what was there.
    pub(super) fn publish(self) -> io::Result<()> {
        std::fs::rename(&self.path, &self.target)
    }
}

impl Drop for Draft {
    /// Removes what was not published, while the lock still keeps others from taking it.
    fn drop(&mut self) {
        if matches!(is_at(&self.file, &self.path), Ok(true))
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(path = %self.path.display(), %error, "an unfinished archive stays until the next is written");
        }
    }
}

fn draft_of(target: &Path) -> PathBuf {
    let mut name = target.file_name().map_or_else(OsString::new, OsString::from);
    name.push(PARTIAL);
    target.with_file_name(name)
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the draft at `path` when nobody writes to it.
pub(super) fn remove_abandoned(path: &Path) -> io::Result<bool> {
    let file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Ok(false),
        answer => answer?,
    }
    if !is_at(&file, path)? {
        return Ok(false);
    }
    std::fs::remove_file(path).map(|()| true)
}
