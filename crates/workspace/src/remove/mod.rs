//! Removes a job's directory, whatever the job left in it.
//!
//! Not here: deciding that a directory may be removed, beyond refusing the obviously wrong ones (`guard`).

mod descent;
mod guard;

use std::path::Path;

use crate::Result;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveReport {
    /// Directories, the root included.
    pub directories: u64,
    /// Files, symlinks and everything else.
    pub others: u64,
}

/// Removes the directory `path` with everything in it. One that is not there is removed already.
///
/// Modes do not matter where they can be changed (directories 0000, and as root also files of others and immutable ones), depth does not
/// either (paths longer than `PATH_MAX` included). Symlinks are removed, never followed, and `path` itself must not be one. Mounts are not entered: the
/// removal stops at the first, and what was removed before that is gone.
///
/// # Errors
///
/// [`Error::RefusedRemoval`](crate::Error::RefusedRemoval) when `path` is not absolute, contains `..`, is `/` or directly in it, or is or holds a
/// user's home; [`Error::NotADirectory`](crate::Error::NotADirectory); [`Error::MountPoint`](crate::Error::MountPoint) with the mount's path;
/// [`Error::StillInUse`](crate::Error::StillInUse) when files keep appearing; [`Error::Unwritable`](crate::Error::Unwritable) for the first name that
/// could not be removed.
pub fn remove_tree(path: &Path) -> Result<RemoveReport> {
    let target = guard::check(path)?;
    descent::remove(&target)
}
