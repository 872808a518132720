//! Puts single entries beneath a destination directory and nowhere else.
//!
//! Every path is checked to be relative and without `..`; every directory is opened beneath the destination without following a symlink,
//! whether the archive made it or it was there before; what stands where a file belongs is unlinked, never written into.
//! Not here: reading the archive and its limits.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use crate::beneath::{Beneath, open_child};
use crate::{Error, Owner, Result};

/// The destination of an archive.
pub(super) struct Destination<'a> {
    path: &'a Path,
    beneath: Beneath,
    owner: Option<Owner>,
    /// The directory of the last entry: entries of one directory usually follow one another. The archive cannot move or
    /// replace a directory, so it stays the right one.
    last: Option<(PathBuf, OwnedFd)>,
    /// How many directories were made because an entry implied them.
    pub(super) implied: u64,
}

/// What an entry's header says of the thing itself.
#[derive(Clone, Copy)]
pub(super) struct Attributes {
    pub(super) mode: Mode,
    pub(super) mtime: (i64, u32),
}

impl Attributes {
    fn times(&self) -> Timestamps {
        let (seconds, nanoseconds) = self.mtime;
        Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
        }
    }
}

/// The path of an entry as it may be used, or why it may not.
pub(super) fn checked_path(name: &[u8]) -> std::result::Result<PathBuf, &'static str> {
    if name.contains(&0) {
        return Err("its name contains a NUL byte");
    }
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(name)).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("its path contains .."),
            _ => return Err("its path is absolute"),
        }
    }
    Ok(path)
}

impl<'a> Destination<'a> {
    pub(super) fn new(path: &'a Path, owner: Option<Owner>) -> Result<Self> {
        let beneath = Beneath::new(path).map_err(|errno| match errno {
            Errno::NOTDIR => Error::NotADirectory { path: path.to_path_buf() },
            errno => Error::writing(path, errno),
        })?;
        Ok(Self { path, beneath, owner, last: None, implied: 0 })
    }

    /// An empty file at `path`, open for writing; what was there before is gone.
    pub(super) fn file(&mut self, path: &Path) -> Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.make(path, |parent, name| rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR))
    }

    /// Gives a file its owner, mode and time.
    pub(super) fn finish(&self, path: &Path, file: &OwnedFd, attributes: &Attributes) -> Result<()> {
        let finish = || {
            if let Some(owner) = self.owner {
                let (uid, gid) = owner.ids();
                rustix::fs::fchown(file, uid, gid)?;
            }
            rustix::fs::fchmod(file, attributes.mode)?;
            rustix::fs::futimens(file, &attributes.times())
        };
        finish().map_err(|errno| self.unwritable(path, errno))
    }

    /// Removes a file whose contents did not all come.
    pub(super) fn take_back(&mut self, path: &Path) -> Result<()> {
        let remove = |parent: &OwnedFd, name: &OsStr| rustix::fs::unlinkat(parent, name, AtFlags::empty());
        self.make(path, remove)
    }

    pub(super) fn symlink(&mut self, path: &Path, target: &[u8], attributes: &Attributes) -> Result<()> {
        let (owner, times) = (self.owner, attributes.times());
        self.make(path, |parent, name| {
            rustix::fs::symlinkat(target, parent, name)?;
            if let Some(owner) = owner {
                let (uid, gid) = owner.ids();
                rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// Gives the file at `first`, which has to be a regular file in the destination, the further name `path`.
    pub(super) fn hard_link(&mut self, path: &Path, first: &Path) -> Result<()> {
        let refused = |reason| Error::UnsafeEntry { entry: path.display().to_string(), reason };
        let Some(name) = first.file_name() else { return Err(refused("it is a hard link to no file")) };
        let parent = first.parent().unwrap_or(Path::new(""));
        let from = self.beneath.directory(parent).map_err(|errno| match errno {
            Errno::NOENT => refused("it is a hard link to a file that is not there"),
            Errno::LOOP | Errno::NOTDIR => refused("it is a hard link through a symlink or a file"),
            errno => self.unwritable(first, errno),
        })?;
        match rustix::fs::statat(&from, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {}
            Ok(_) => return Err(refused("it is a hard link to what is not a regular file")),
            Err(Errno::NOENT) => return Err(refused("it is a hard link to a file that is not there")),
            Err(errno) => return Err(self.unwritable(first, errno)),
        }
        if path == first {
            return Ok(());
        }
        self.make(path, |to, new_name| rustix::fs::linkat(&from, name, to, new_name, AtFlags::empty()))
    }

    /// The directory `path`, made when it is not there; a file or symlink in its place is removed. It stays writable for now.
    pub(super) fn directory(&mut self, path: &Path) -> Result<()> {
        let (Some(name), parent) = (path.file_name(), path.parent().unwrap_or(Path::new(""))) else {
            return Ok(());
        };
        let is_directory = match open_child(self.parent(parent)?, name) {
            Ok(_) => true,
            // There, but closed to us: its mode is given to it when all is unpacked.
            Err(Errno::ACCESS) => true,
            Err(_) => false,
        };
        if is_directory {
            return Ok(());
        }
        self.make(path, |parent, name| rustix::fs::mkdirat(parent, name, Mode::RWXU))
    }

    /// Gives a directory its owner, mode and time, when nothing more comes into it.
    pub(super) fn finish_directory(&self, path: &Path, attributes: &Attributes) -> Result<()> {
        let directory = self.beneath.directory(path).map_err(|errno| self.unwritable(path, errno))?;
        self.finish(path, &directory, attributes)
    }

    /// Calls `make` with the directory of `path` and its name there; what stands in the way is unlinked first.
    fn make<T>(
        &mut self,
        path: &Path,
        make: impl Fn(&OwnedFd, &OsStr) -> rustix::io::Result<T>,
    ) -> Result<T> {
        let root = self.path;
        let (Some(name), parent) = (path.file_name(), path.parent().unwrap_or(Path::new(""))) else {
            return Err(Error::UnsafeEntry { entry: path.display().to_string(), reason: "it has no name" });
        };
        let parent = self.parent(parent)?;
        let mut answer = make(parent, name);
        if matches!(answer, Err(Errno::EXIST)) {
            match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => answer = make(parent, name),
                Err(Errno::ISDIR | Errno::PERM) => return Err(Error::InTheWay { path: root.join(path) }),
                Err(errno) => answer = Err(errno),
            }
        }
        answer.map_err(|errno| Error::writing(root.join(path), errno))
    }

    /// Opens the directory `path`; what is missing of it is made.
    fn parent(&mut self, path: &Path) -> Result<&OwnedFd> {
        if !matches!(&self.last, Some((last, _)) if last == path) {
            let directory = match self.beneath.directory(path) {
                Err(Errno::NOENT) => self.make_parents(path),
                answer => answer,
            };
            let directory = directory.map_err(|errno| match errno {
                Errno::LOOP | Errno::NOTDIR => Error::UnsafeEntry {
                    entry: path.display().to_string(),
                    reason: "what would be unpacked there leads through a symlink or a file",
                },
                errno => self.unwritable(path, errno),
            })?;
            self.last = Some((path.to_path_buf(), directory));
        }
        let (_, directory) = self.last.as_ref().expect("it was set when it was another one");
        Ok(directory)
    }

    fn make_parents(&mut self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let mut directory = self.beneath.directory(Path::new(""))?;
        for name in path {
            directory = match open_child(&directory, name) {
                Err(Errno::NOENT) => {
                    let usual = Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH;
                    rustix::fs::mkdirat(&directory, name, usual)?;
                    self.implied += 1;
                    let made = open_child(&directory, name)?;
                    if let Some(owner) = self.owner {
                        let (uid, gid) = owner.ids();
                        rustix::fs::fchown(&made, uid, gid)?;
                    }
                    made
                }
                answer => answer?,
            };
        }
        Ok(directory)
    }

    pub(super) fn unwritable(&self, path: &Path, source: impl Into<std::io::Error>) -> Error {
        Error::writing(self.path.join(path), source)
    }
}
