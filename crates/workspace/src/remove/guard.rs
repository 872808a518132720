//! Refuses to remove what is never a job's directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use crate::{Error, Result};

/// A directory that may be removed: the real path of its parent, and its name there.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) parent: PathBuf,
    pub(super) name: OsString,
}

impl Target {
    pub(super) fn path(&self) -> PathBuf {
        self.parent.join(&self.name)
    }
}

pub(super) fn check(path: &Path) -> Result<Target> {
    let refuse = |reason| Error::RefusedRemoval { path: path.to_path_buf(), reason };
    if !path.is_absolute() {
        return Err(refuse("it is not an absolute path"));
    }
    if path.components().any(|component| component == Component::ParentDir) {
        return Err(refuse("it contains .."));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(refuse("it is the root of the file system"));
    };
    // Its directory may be reached through symlinks; what counts is where that is.
    let parent = match parent.canonicalize() {
        Ok(parent) => parent,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => parent.to_path_buf(),
        Err(error) => return Err(Error::reading(parent, error)),
    };
    let target = Target { parent, name: name.to_os_string() };
    let real = target.path();
    if real.components().count() <= 2 {
        return Err(refuse("it lies directly in the root of the file system"));
    }
    if HOMES.iter().any(|home| home.starts_with(&real)) {
        return Err(refuse("it is, or holds, a user's home directory"));
    }
    Ok(target)
}

/// Looked up once: a job's directory does not become somebody's home while this process runs.
static HOMES: LazyLock<Vec<PathBuf>> = LazyLock::new(homes);

/// The homes of this process's user, of the users that the system knows, and of those who have a directory in `/home`.
fn homes() -> Vec<PathBuf> {
    let own = std::env::var_os("HOME").map(PathBuf::from);
    // A system without the file has no users to lose a home.
    let users = std::fs::read("/etc/passwd").unwrap_or_default();
    let known = users.split(|&byte| byte == b'\n').filter_map(|line| {
        let home = line.split(|&byte| byte == b':').nth(5)?;
        Some(PathBuf::from(OsStr::from_bytes(home)))
    });
    let in_home = std::fs::read_dir("/home").into_iter().flatten().flatten().map(|entry| entry.path());
    let real = |home: PathBuf| home.canonicalize().unwrap_or(home);
    own.into_iter().chain(known).chain(in_home).filter(|home| home.is_absolute()).map(real).collect()
}
