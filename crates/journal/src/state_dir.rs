//! The state directory (DESIGN section 8): where everything lies that must outlive Jobwright, and whose things are whose.

use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jobwright_model::{InvalidId, OwnerId, RunId};

use crate::journal::is_owned;

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateDirError {
    /// It cannot be made, read or written.
    #[error("state directory {}: {source}", .path.display())]
    Io {
        /// The directory, or the file in it.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// It belongs to somebody else, who could read what is in it or put something there.
    #[error("state directory {} belongs to uid {owner}, not to us: choose another with JOBWRIGHT_STATE_DIR", .path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Others may read it, and it holds things already: whose they are is not ours to decide.
    #[error(
        "state directory {} has mode {mode:03o} and is not empty: make it 0700 if it is Jobwright's, or choose another",
        .path.display()
    )]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The owner file does not hold an id.
    #[error("{}: {source}", .path.display())]
    Owner {
        /// The owner file.
        path: PathBuf,
        /// What is wrong with it.
        source: InvalidId,
    },
}

/// An open state directory. Its `owner` id marks everything that is created in an engine on its behalf.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
    owner: OwnerId,
}

impl StateDir {
    /// Where the state directory lies when nothing else is said: `$JOBWRIGHT_STATE_DIR`, else `/var/lib/jobwright` for root,
    /// else `$XDG_STATE_HOME/jobwright`, else `~/.local/state/jobwright`.
    #[must_use]
    pub fn default_path() -> PathBuf {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = set("JOBWRIGHT_STATE_DIR") {
            return path;
        }
        if let Some(path) = set("XDG_STATE_HOME") {
            return path.join("jobwright");
        }
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/lib/jobwright");
        }
        set("HOME").unwrap_or_else(|| PathBuf::from("/")).join(".local/state/jobwright")
    }

    /// Opens the directory at `path`, making it (mode 0700) and its owner id when there is none.
    ///
    /// # Errors
    /// [`StateDirError`] when it cannot be made or used, or belongs to another user.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let path = std::path::absolute(path)
            .map_err(|source| StateDirError::Io { path: path.to_owned(), source })?;
        make_private(&path)?;
        let owner = read_or_make_owner(&path.join("owner"))?;
        Ok(Self { path, owner })
    }

    /// The directory at `path` as it is, without making or changing anything; none when there is none, or it was never opened.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn existing(path: &Path) -> Result<Option<Self>, StateDirError> {
        let path = std::path::absolute(path)
            .map_err(|source| StateDirError::Io { path: path.to_owned(), source })?;
        let fail = |source| StateDirError::Io { path: path.clone(), source };
        let metadata = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(fail)?,
        };
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(StateDirError::Foreign { path, owner: metadata.uid() });
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(StateDirError::Exposed { path, mode: metadata.mode() & 0o777 });
        }
        let file = path.join("owner");
        match fs::read_to_string(&file) {
            Ok(text) => {
                let owner = OwnerId::new(text.trim())
                    .map_err(|source| StateDirError::Owner { path: file, source })?;
                Ok(Some(Self { path, owner }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateDirError::Io { path: file, source }),
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The id that marks what is created on this directory's behalf.
    #[must_use]
    pub fn owner(&self) -> &OwnerId {
        &self.owner
    }

    /// The folder of a run: its journal, its event log. Not made by this.
    #[must_use]
    pub fn run_dir(&self, run: &RunId) -> PathBuf {
        self.path.join("runs").join(run.as_str())
    }

    /// Makes the folder of a run (mode 0700).
    ///
    /// # Errors
    /// [`StateDirError::Io`].
    pub fn create_run_dir(&self, run: &RunId) -> Result<PathBuf, StateDirError> {
        let path = self.run_dir(run);
        make_private(&path)?;
        Ok(path)
    }

    /// Makes a run's folder under a new id, which nobody else gets.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn create_new_run_dir(&self) -> Result<(RunId, PathBuf), StateDirError> {
        make_private(&self.path.join("runs"))?;
        loop {
            let run = RunId::generate();
            let path = self.run_dir(&run);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok((run, path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(StateDirError::Io { path, source }),
            }
        }
    }

    /// The runs that have a folder, the oldest first.
    ///
    /// # Errors
    /// [`StateDirError::Io`].
    pub fn runs(&self) -> Result<Vec<RunId>, StateDirError> {
        let path = self.path.join("runs");
        let fail = |source| StateDirError::Io { path: path.clone(), source };
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        let mut runs = Vec::new();
        for entry in entries {
            let name = entry.map_err(fail)?.file_name();
            runs.extend(name.to_str().and_then(|name| RunId::new(name).ok()));
        }
        runs.sort();
        Ok(runs)
    }

    /// Whether the owner of a run's journal lives.
    ///
    /// # Errors
    /// [`StateDirError::Io`].
    pub fn run_is_owned(&self, run: &RunId) -> Result<bool, StateDirError> {
        let path = self.run_dir(run).join("journal");
        is_owned(&path).map_err(|source| StateDirError::Io { path, source })
    }
}

/// Makes `path` and what is above it, all that is new with mode 0700. An existing one that others may read is made private
/// while it is empty; later it may be somebody's home or `/tmp`, named by mistake.
fn make_private(path: &Path) -> Result<(), StateDirError> {
    let fail = |source| StateDirError::Io { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fail)?;
    let metadata = fs::metadata(path).map_err(fail)?;
    let us = rustix::process::geteuid();
    if metadata.uid() != us.as_raw() {
        return Err(StateDirError::Foreign { path: path.to_owned(), owner: metadata.uid() });
    }
    if metadata.mode() & 0o077 != 0 {
        if fs::read_dir(path).map_err(fail)?.next().is_some() {
            return Err(StateDirError::Exposed { path: path.to_owned(), mode: metadata.mode() & 0o777 });
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(fail)?;
    }
    Ok(())
}

/// The first one to link a finished file under the name wins; a half-written owner id is never seen.
fn read_or_make_owner(path: &Path) -> Result<OwnerId, StateDirError> {
    let fail = |source| StateDirError::Io { path: path.to_owned(), source };
    for _ in 0..2 {
        match fs::read_to_string(path) {
            Ok(text) => {
                return OwnerId::new(text.trim())
                    .map_err(|source| StateDirError::Owner { path: path.to_owned(), source });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
        }
        let draft = path.with_extension(OwnerId::random().as_str());
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(fail)?;
        let written = writeln!(file, "{}", OwnerId::random()).and_then(|()| file.sync_all());
        let linked = written.and_then(|()| fs::hard_link(&draft, path));
        fs::remove_file(&draft).map_err(fail)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(error)),
            _ => {}
        }
    }
    Err(fail(io::Error::new(io::ErrorKind::NotFound, "the owner id vanishes as soon as it is written")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Journal;

    #[test]
    fn a_state_directory_is_private_and_keeps_its_owner_id() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/state");
        let first = StateDir::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(StateDir::open(&path).unwrap().owner(), first.owner());
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn many_that_open_it_first_agree_on_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let opened: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| StateDir::open(&path).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(opened.iter().all(|state| state.owner() == opened[0].owner()));
    }

    #[test]
    fn an_empty_directory_is_made_private_and_one_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open_to_all = || fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        open_to_all();
        StateDir::open(dir.path()).unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o777, 0o700);
        open_to_all();
        let error = StateDir::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("mode 755"), "{error}");
        assert_eq!(fs::metadata(dir.path()).unwrap().mode() & 0o777, 0o755, "it is left as it was");
    }

    #[test]
    fn what_exists_is_looked_at_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        assert!(StateDir::existing(&path).unwrap().is_none());
        assert!(!path.exists());
        let opened = StateDir::open(&path).unwrap();
        assert_eq!(StateDir::existing(&path).unwrap().unwrap().owner(), opened.owner());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(StateDir::existing(&path), Err(StateDirError::Exposed { mode: 0o750, .. })));
    }

    #[test]
    fn a_damaged_owner_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(dir.path().join("owner"), "../x").unwrap();
        let error = StateDir::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("owner"), "{error}");
    }

    #[test]
    fn runs_are_listed_in_order_and_tell_whether_their_owner_lives() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        assert!(state.runs().unwrap().is_empty());
        let runs = ["20261120T132503Z-567825", "20261121T000000Z-000000"].map(|id| RunId::new(id).unwrap());
        for run in runs.iter().rev() {
            state.create_run_dir(run).unwrap();
        }
        let _journal = Journal::<String>::open(&state.run_dir(&runs[0]).join("journal")).unwrap();
        assert_eq!(state.runs().unwrap(), runs);
        assert!(state.run_is_owned(&runs[0]).unwrap());
        assert!(!state.run_is_owned(&runs[1]).unwrap());
    }
}
