//! Folders of tasks that are over, kept for the tasks that come: a file system takes longer to make and remove three directories
//! than to give one another name, and many short jobs do little else. Only what is as it was when it was made is kept: two empty
//! directories with nothing to tell of whoever used them, and an empty file that was an output and becomes another. Not for tasks
//! whose steps run as another user.
//!
//! `STATE/process/spare/PID-START/N/{home,workspace,spare}`, each process's own; gone with the backend.

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jobwright_shim::record::{SPARE, StepFiles};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, RenameFlags};
use rustix::io::Errno;

use crate::place::{HOME, TaskPlace, WORKSPACE, make_private_all};
use crate::shims::{belongs_to_the_living, own_name};

/// More are rarely wanted at the same time.
const MOST: usize = 64;
/// A workspace with more in it than this is removed as a tree, by another thread.
const FEW: usize = 32;
/// An output of more bytes than this is removed.
const SHORT: i64 = 64 << 10;

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
            let _ = fs::remove_file(spare.join(SPARE));
            let folders = [&spare.join(WORKSPACE), &spare.join(HOME), spare];
            let _ = folders.into_iter().try_for_each(fs::remove_dir);
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Empties the output of a step that is over and makes it the spare file of its folder; false when it is to be removed as any other.
/// It loses its name first: under that name nobody finds an empty output, and whoever follows it sees by its mark that it is not the
/// step's any more.
pub(crate) fn keep_output(files: &StepFiles) -> bool {
    let Some(spare) = files.spare() else { return false };
    let empty = || -> io::Result<bool> {
        let path = files.output();
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, &path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1;
        let is_ours = plain_mode(&file)? == Some(Mode::RUSR | Mode::WUSR);
        if !is_file || !is_ours || stat.st_size > SHORT {
            return Ok(false);
        }
        fs::rename(&path, &spare)?;
        if let Err(error) = rustix::fs::ftruncate(&file, 0) {
            fs::remove_file(&spare)?;
            tracing::debug!(%error, "an output could not be emptied");
        }
        Ok(true)
    };
    empty().unwrap_or(false)
}

/// Empties the workspace of the few files that are in it, and says whether the task's folder is as it was when it was made. What
/// lies there was its steps' to change, so no link is followed.
fn is_as_new(dir: &Path) -> io::Result<bool> {
    let task = open(CWD, dir)?;
    let (home, workspace) = (open(&task, HOME)?, open(&task, WORKSPACE)?);
    let inside = names_in(&task)?;
    let is_private = plain_mode(&home)? == Some(Mode::RWXU);
    let is_ours = |(name, kind): &(CString, FileType)| match name.to_bytes() {
        name if name == SPARE.as_bytes() => *kind == FileType::RegularFile,
        name => name == HOME.as_bytes() || name == WORKSPACE.as_bytes(),
    };
    if !inside.iter().all(is_ours) || !is_private || !names_in(&home)?.is_empty() {
        return Ok(false);
    }
    let Some(mode) = plain_mode(&workspace)? else { return Ok(false) };
    if !empty(&workspace)? {
        return Ok(false);
    }
    if mode != Mode::RWXU {
        // The project's own, which its copy has.
        rustix::fs::fchmod(&workspace, Mode::RWXU)?;
    }
    Ok(true)
}

fn open(at: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, path, flags, Mode::empty())?)
}

/// Up to one name more than [`FEW`]; the rest would change nothing. The descriptor is read to its end, so it tells them once.
fn names_in(directory: &OwnedFd) -> io::Result<Vec<(CString, FileType)>> {
    let mut space = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(directory, &mut space);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
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

/// Ours, and without attributes, which a rename would keep; with its mode.
fn plain_mode(directory: &OwnedFd) -> io::Result<Option<Mode>> {
    let stat = rustix::fs::fstat(directory)?;
    let attributes = match rustix::fs::flistxattr(directory, &mut [0_u8; 0][..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(errno) => return Err(errno.into()),
    };
    let is_plain = stat.st_uid == rustix::process::geteuid().as_raw() && attributes == 0;
    Ok(is_plain.then(|| Mode::from_raw_mode(stat.st_mode)))
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
    fn an_output_is_emptied_and_waits_for_the_next_step() {
        let world = World::new();
        let task = world.task("t1");
        let files = StepFiles { dir: task.dir.clone(), stem: "s".into() };
        let spare = files.spare().unwrap();
        let write = |files: &StepFiles, bytes: &[u8], mode| {
            fs::write(files.output(), bytes).unwrap();
            fs::set_permissions(files.output(), fs::Permissions::from_mode(mode)).unwrap();
        };
        write(&files, b"text", 0o600);
        assert!(keep_output(&files));
        assert!(!files.output().exists() && fs::read(&spare).unwrap().is_empty());
        assert!(world.spares.keep(&task));
        let task = world.task("t2");
        assert!(task.dir.join(SPARE).exists());

        let files = StepFiles { dir: task.dir, stem: "s".into() };
        write(&files, b"text", 0o644);
        assert!(!keep_output(&files), "others may read it");
        write(&files, &[0; 1 + SHORT as usize], 0o600);
        assert!(!keep_output(&files), "it is long");
        write(&files, b"text", 0o600);
        fs::hard_link(files.output(), files.dir.join("link")).unwrap();
        assert!(!keep_output(&files), "it has another name");
        assert_eq!(fs::read(files.output()).unwrap(), b"text");
    }

    #[test]
    fn nothing_is_left_when_the_backend_is_gone() {
        let world = World::new();
        let task = world.task("t1");
        fs::write(task.dir.join(SPARE), "").unwrap();
        assert!(world.spares.keep(&task));
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
