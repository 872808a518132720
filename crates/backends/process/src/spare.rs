//! Folders of tasks that are over, kept for the tasks that come: a file system takes longer to make and remove three directories
//! than to give one another name, and many short jobs do little else. Only what is as it was when it was made is kept: two empty
//! directories with nothing to tell of whoever used them. Not for tasks whose steps run as another user.
//!
//! `STATE/process/spare/PID-START/N/{home,workspace}`, each process's own; gone with the backend.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::place::{HOME, TaskPlace, WORKSPACE, make_private_all};
use crate::shims::{belongs_to_the_living, own_name};

/// More are rarely wanted at the same time.
const MOST: usize = 64;
/// A workspace with more in it than this is removed as a tree, by another thread.
const FEW: usize = 32;

/// The spare folders of this process.
pub(crate) struct Spares {
    root: PathBuf,
    /// Where this process's own lie.
    dir: PathBuf,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    free: Vec<PathBuf>,
    made: u64,
}

impl Spares {
    pub(crate) fn new(root: PathBuf) -> Self {
        let dir = root.join(own_name());
        Self { root, dir, shelf: Mutex::default() }
    }

    /// Gives a spare folder the name of `task`; false when there is none. The name must be free.
    pub(crate) fn furnish(&self, task: &TaskPlace) -> io::Result<bool> {
        let Some(spare) = self.shelf().free.pop() else { return Ok(false) };
        match rustix::fs::renameat_with(CWD, &spare, CWD, &task.dir, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            // Somebody cleared it away, or the file system has no such renaming.
            Err(Errno::NOENT | Errno::INVAL) => Ok(false),
            Err(errno) => {
                self.shelf().free.push(spare);
                Err(errno.into())
            }
        }
    }

    /// Keeps the folder of a task that has ended and that owns nothing elsewhere. False when it cannot be kept: then it is to be
    /// removed as any other.
    pub(crate) fn keep(&self, task: &TaskPlace) -> bool {
        if self.shelf().free.len() >= MOST || !is_as_new(&task.dir).unwrap_or(false) {
            return false;
        }
        let mut shelf = self.shelf();
        if shelf.made == 0 && make_private_all(&self.dir).is_err() {
            return false;
        }
        shelf.made += 1;
        let spare = self.dir.join(shelf.made.to_string());
        let kept = fs::rename(&task.dir, &spare).is_ok();
        if kept {
            shelf.free.push(spare);
        }
        kept
    }

    /// Removes what dead processes kept.
    pub(crate) fn sweep(&self) {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        for entry in entries {
            let is_dead = entry.file_name().to_str().is_some_and(|name| !belongs_to_the_living(name));
            if is_dead && let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(%error, "cannot remove {}", entry.path().display());
            }
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        let shelf = self.shelf.get_mut().unwrap_or_else(PoisonError::into_inner);
        if shelf.made == 0 {
            return;
        }
        // What cannot be removed now is removed by the next process's sweep.
        for spare in &shelf.free {
            let folders = [&spare.join(WORKSPACE), &spare.join(HOME), spare];
            let _ = folders.into_iter().try_for_each(fs::remove_dir);
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Empties the workspace of the few files that are in it, and says whether the task's folder is as it was when it was made. What
/// lies there was its steps' to change, so no link is followed.
fn is_as_new(dir: &Path) -> io::Result<bool> {
    let task = open(CWD, dir)?;
    let (home, workspace) = (open(&task, HOME)?, open(&task, WORKSPACE)?);
    let inside = names_in(&task)?;
    let only_ours = inside.len() == 2 && is_private(&home)? && names_in(&home)?.is_empty();
    if !only_ours || !is_plain(&workspace)? || !empty(&workspace)? {
        return Ok(false);
    }
    // The project's own mode, which its copy has.
    rustix::fs::fchmod(&workspace, Mode::RWXU)?;
    Ok(true)
}

fn open(at: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, path, flags, Mode::empty())?)
}

/// Up to one name more than [`FEW`]; the rest would change nothing.
fn names_in(directory: &OwnedFd) -> io::Result<Vec<(std::ffi::CString, FileType)>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if name != c"." && name != c".." {
            names.push((name.to_owned(), entry.file_type()));
        }
        if names.len() > FEW {
            break;
        }
    }
    Ok(names)
}

/// Removes what is in a directory; false when it has a directory, or more than few files, in it.
fn empty(directory: &OwnedFd) -> io::Result<bool> {
    let names = names_in(directory)?;
    let is_file = |kind: &FileType| !matches!(kind, FileType::Directory | FileType::Unknown);
    if names.len() > FEW || !names.iter().all(|(_, kind)| is_file(kind)) {
        return Ok(false);
    }
    for (name, _) in names {
        rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
    }
    Ok(true)
}

fn is_private(directory: &OwnedFd) -> io::Result<bool> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(directory)?.st_mode);
    Ok(is_plain(directory)? && mode == Mode::RWXU)
}

/// Ours, and without attributes, which a rename would keep.
fn is_plain(directory: &OwnedFd) -> io::Result<bool> {
    let is_ours = rustix::fs::fstat(directory)?.st_uid == rustix::process::geteuid().as_raw();
    let attributes = match rustix::fs::flistxattr(directory, &mut [0_u8; 0][..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(errno) => return Err(errno.into()),
    };
    Ok(is_ours && attributes == 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use jobwright_model::TaskUuid;

    use super::*;

    struct World {
        folder: tempfile::TempDir,
        spares: Spares,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let spares = Spares::new(folder.path().join("spare"));
            Self { folder, spares }
        }

        /// A task that was set up and has ended.
        fn task(&self, name: &str) -> TaskPlace {
            let task = TaskPlace::new(self.folder.path(), &TaskUuid::new(name).unwrap());
            task.create(&self.spares).unwrap();
            task.furnish(&task.default_record()).unwrap();
            task
        }
    }

    #[test]
    fn a_folder_is_kept_empty_and_given_to_the_next_task() {
        let world = World::new();
        let first = world.task("t1");
        fs::write(first.dir.join(WORKSPACE).join("file"), "x").unwrap();
        fs::set_permissions(first.dir.join(WORKSPACE), fs::Permissions::from_mode(0o755)).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&first.dir).unwrap());
        assert!(world.spares.keep(&first));
        assert!(!first.dir.exists());
        let second = world.task("t2");
        assert_eq!(std::os::unix::fs::MetadataExt::ino(&fs::metadata(&second.dir).unwrap()), inode);
        let workspace = fs::metadata(second.dir.join(WORKSPACE)).unwrap();
        assert_eq!(workspace.permissions().mode() & 0o7777, 0o700);
        assert_eq!(fs::read_dir(second.dir.join(WORKSPACE)).unwrap().count(), 0);
    }

    #[test]
    fn what_a_step_changed_is_not_kept() {
        type Change = fn(&Path);
        let changes: [(&str, Change); 6] = [
            ("a file at home", |dir| fs::write(dir.join(HOME).join("x"), "").unwrap()),
            ("a directory in the workspace", |dir| fs::create_dir(dir.join(WORKSPACE).join("d")).unwrap()),
            ("an output", |dir| fs::write(dir.join("s.output"), "").unwrap()),
            ("a home that others may read", |dir| {
                fs::set_permissions(dir.join(HOME), fs::Permissions::from_mode(0o755)).unwrap();
            }),
            ("a workspace that is a link", |dir| {
                fs::remove_dir(dir.join(WORKSPACE)).unwrap();
                symlink("/etc", dir.join(WORKSPACE)).unwrap();
            }),
            ("no workspace", |dir| fs::remove_dir(dir.join(WORKSPACE)).unwrap()),
        ];
        let world = World::new();
        for (number, (what, change)) in changes.into_iter().enumerate() {
            let task = world.task(&format!("t{number}"));
            change(&task.dir);
            assert!(!world.spares.keep(&task), "{what}");
            assert!(task.dir.exists(), "{what}");
        }
    }

    #[test]
    fn nothing_is_left_when_the_backend_is_gone() {
        let world = World::new();
        assert!(world.spares.keep(&world.task("t1")));
        let World { folder, spares } = world;
        drop(spares);
        assert_eq!(fs::read_dir(folder.path().join("spare")).unwrap().count(), 0);
    }

    #[test]
    fn a_name_that_is_taken_is_not_taken_over() {
        let world = World::new();
        assert!(world.spares.keep(&world.task("t1")));
        world.task("t2");
        assert!(world.spares.keep(&world.task("t3")));
        let taken = TaskPlace::new(world.folder.path(), &TaskUuid::new("t2").unwrap());
        assert!(matches!(taken.create(&world.spares), Err(jobwright_backend::Error::NameTaken(_))));
        assert_eq!(world.spares.shelf().free.len(), 1, "the spare is still there");
    }
}
