//! The removal itself: one directory open at a time, down by names and up by `..`, so that neither depth nor a path's length matters.
//!
//! On the way up the directory must be the one that the way down came from; else something moved the tree meanwhile, and going on would
//! remove elsewhere.

use std::ffi::{CString, OsStr};
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, IFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::RemoveReport;
use super::guard::Target;
use crate::beneath::{Beneath, names_in};
use crate::{Error, Result};

/// How often a directory is emptied again because something was added to it meanwhile, and how often a removal begins anew
/// because somebody else removed the directory that it was in.
const MAX_PASSES: u32 = 16;

/// A directory on the way from the target to where the removal is.
struct Level {
    name: CString,
    /// What the directory is, to know it again.
    identity: (u64, u64),
    /// Directories in it that are still to be removed.
    below: Vec<CString>,
    passes: u32,
}

struct Descent<'r> {
    /// The target's parent, and where it lies.
    top: OwnedFd,
    top_path: PathBuf,
    levels: Vec<Level>,
    /// The directory of the last level.
    here: OwnedFd,
    report: &'r mut RemoveReport,
}

pub(super) fn remove(target: &Target) -> Result<RemoveReport> {
    let mut report = RemoveReport::default();
    for _ in 0..MAX_PASSES {
        match remove_once(target, &mut report) {
            Err(Error::Unreadable { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            done => return done.map(|()| report),
        }
    }
    Err(Error::StillInUse { path: target.path() })
}

/// One way through the tree. That something is not there any more is an error only where there is no way on from it.
fn remove_once(target: &Target, report: &mut RemoveReport) -> Result<()> {
    let parent = match Beneath::new(&target.parent) {
        Ok(parent) => parent,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(Error::reading(&target.parent, errno)),
    };
    let stat = match rustix::fs::statat(parent.fd(), &target.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(Error::reading(target.path(), errno)),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Error::NotADirectory { path: target.path() });
    }
    let hold = || parent.fd().try_clone_to_owned().map_err(|error| Error::reading(&target.parent, error));
    let mut descent =
        Descent { top: hold()?, top_path: target.parent.clone(), levels: Vec::new(), here: hold()?, report };
    let name = CString::new(target.name.as_bytes()).map_err(|error| Error::reading(target.path(), error))?;
    descent.enter(name)?;
    while !descent.levels.is_empty() {
        descent.step()?;
    }
    Ok(())
}

impl Descent<'_> {
    /// Goes one directory down, or removes the present one and goes up.
    fn step(&mut self) -> Result<()> {
        match self.levels.last_mut().and_then(|level| level.below.pop()) {
            Some(name) => self.enter(name),
            None => self.leave(),
        }
    }

    /// Goes down into `name` and empties it of everything but directories; one that is empty is removed from here.
    fn enter(&mut self, name: CString) -> Result<()> {
        if rustix::fs::unlinkat(&self.here, &name, AtFlags::REMOVEDIR).is_ok() {
            self.report.directories += 1;
            return Ok(());
        }
        let directory = match open_removable(&self.here, &name) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::XDEV) => return Err(Error::MountPoint { path: self.path_of(&name) }),
            // It was a directory when it was listed and is another thing now.
            Err(Errno::NOTDIR | Errno::LOOP) => return self.unlink(&name),
            Err(errno) => return Err(Error::writing(self.path_of(&name), errno)),
        };
        let identity = identity_of(&directory).map_err(|errno| Error::reading(self.path_of(&name), errno))?;
        self.here = directory;
        self.levels.push(Level { name, identity, below: Vec::new(), passes: 0 });
        self.empty()
    }

    /// Removes the files in the present directory and notes the directories.
    fn empty(&mut self) -> Result<()> {
        let found = names_in(&self.here).map_err(|errno| Error::reading(self.path(), errno))?;
        let mut below = Vec::new();
        for entry in found {
            if entry.is_directory() {
                below.push(entry.name);
            } else {
                self.unlink(&entry.name)?;
            }
        }
        if let Some(level) = self.levels.last_mut() {
            level.below = below;
            level.passes += 1;
        }
        Ok(())
    }

    fn unlink(&mut self, name: &CString) -> Result<()> {
        let mut answer = rustix::fs::unlinkat(&self.here, name, AtFlags::empty());
        if answer == Err(Errno::PERM) {
            make_mutable_file(&self.here, name);
            answer = rustix::fs::unlinkat(&self.here, name, AtFlags::empty());
        }
        match answer {
            Ok(()) => self.report.others += 1,
            Err(Errno::NOENT) => {}
            Err(Errno::BUSY) => return Err(Error::MountPoint { path: self.path_of(name) }),
            // A directory has taken the file's place; the next pass over this directory finds it.
            Err(Errno::ISDIR) => {}
            Err(errno) => return Err(Error::writing(self.path_of(name), errno)),
        }
        Ok(())
    }

    /// Goes up and removes the directory that was emptied; goes back into it when it is not empty.
    fn leave(&mut self) -> Result<()> {
        let path = self.path();
        let Some(level) = self.levels.pop() else { return Ok(()) };
        let up = self.open_parent(&path)?;
        let emptied = std::mem::replace(&mut self.here, up);
        let mut answer = rustix::fs::unlinkat(&self.here, &level.name, AtFlags::REMOVEDIR);
        if answer == Err(Errno::PERM) {
            make_mutable(&emptied);
            make_mutable(&self.here);
            answer = rustix::fs::unlinkat(&self.here, &level.name, AtFlags::REMOVEDIR);
        }
        match answer {
            Ok(()) => self.report.directories += 1,
            Err(Errno::NOENT) => {}
            Err(Errno::BUSY) => return Err(Error::MountPoint { path }),
            Err(Errno::NOTEMPTY | Errno::EXIST) if level.passes < MAX_PASSES => {
                self.here = emptied;
                self.levels.push(level);
                return self.empty();
            }
            Err(Errno::NOTEMPTY | Errno::EXIST) => return Err(Error::StillInUse { path }),
            Err(errno) => return Err(Error::writing(path, errno)),
        }
        Ok(())
    }

    /// The directory above the present one, whose level has just been taken off.
    fn open_parent(&self, path: &Path) -> Result<OwnedFd> {
        let open = || match self.levels.last() {
            Some(level) => {
                let up = open_directory(&self.here, c"..")?;
                Ok((identity_of(&up)? == level.identity).then_some(up))
            }
            None => rustix::io::fcntl_dupfd_cloexec(&self.top, 0).map(Some),
        };
        open()
            .map_err(|errno: Errno| Error::reading(path, errno))?
            .ok_or_else(|| Error::StillInUse { path: path.to_path_buf() })
    }

    fn path(&self) -> PathBuf {
        let mut path = self.top_path.clone();
        path.extend(self.levels.iter().map(|level| OsStr::from_bytes(level.name.to_bytes())));
        path
    }

    fn path_of(&self, name: &CString) -> PathBuf {
        self.path().join(OsStr::from_bytes(name.to_bytes()))
    }
}

/// Opens the directory `name` in `parent` so that what is in it can be removed, whatever its mode.
/// `EXDEV` when something is mounted on it.
fn open_removable(parent: &OwnedFd, name: &CString) -> rustix::io::Result<OwnedFd> {
    // Only a handle at first: it needs no permission, and it stays the same directory whatever the name becomes.
    let handle = open_within_mount(parent, name)?;
    let stat = rustix::fs::fstat(&handle)?;
    let is_open = Mode::from_raw_mode(stat.st_mode).contains(Mode::RWXU);
    if !is_open && !rustix::process::geteuid().is_root() {
        // A handle cannot be chmodded; through /proc it is, without looking the name up again.
        let by_handle = format!("/proc/self/fd/{}", rustix::fd::AsRawFd::as_raw_fd(&handle));
        rustix::fs::chmod(by_handle, Mode::RWXU)?;
    }
    open_directory(&handle, c".")
}

fn open_within_mount(parent: &OwnedFd, name: &CString) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    match rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => {
            // Without openat2, a mount shows by its device; a bind mount of the same file system does not.
            let handle = rustix::fs::openat(parent, name, flags, Mode::empty())?;
            let same_device = rustix::fs::fstat(&handle)?.st_dev == rustix::fs::fstat(parent)?.st_dev;
            if same_device { Ok(handle) } else { Err(Errno::XDEV) }
        }
        answer => answer,
    }
}

fn open_directory(at: &OwnedFd, name: &std::ffi::CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

fn identity_of(directory: &OwnedFd) -> rustix::io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(directory)?;
    Ok((stat.st_dev as u64, stat.st_ino as u64))
}

fn make_mutable_file(directory: &OwnedFd, name: &CString) {
    make_mutable(directory);
    if let Ok(file) = crate::beneath::open_file(directory, OsStr::from_bytes(name.to_bytes())) {
        make_mutable(&file);
    }
}

/// Takes the flags away that forbid removal. Where there are no such flags, or no right to change them, the removal that
/// follows says what is wrong.
fn make_mutable(file: impl AsFd) {
    let forbidding = IFlags::IMMUTABLE | IFlags::APPEND;
    if let Ok(flags) = rustix::fs::ioctl_getflags(&file)
        && flags.intersects(forbidding)
    {
        let _ = rustix::fs::ioctl_setflags(&file, flags.difference(forbidding));
    }
}
