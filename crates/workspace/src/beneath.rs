//! A directory beneath which paths are opened without ever leaving it: no symlink is followed, `..` is not understood.
//!
//! What a job wrote must not lead Jobwright, which may be root, to a file elsewhere. So everything that is read from or
//! written into such a tree is opened relative to a descriptor from here, never by a path. Not here: listing and removal.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An open directory and the right to open what lies beneath it.
pub(crate) struct Beneath {
    fd: OwnedFd,
}

impl Beneath {
    /// Opens `root` itself. This path comes from the caller and not from a job, so symlinks in it are followed.
    pub(crate) fn new(root: &Path) -> rustix::io::Result<Self> {
        let fd = rustix::fs::openat(CWD, root, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())?;
        Ok(Self { fd })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens the directory at `relative`; `ELOOP` or `ENOTDIR` when a part of it is a symlink or no directory.
    pub(crate) fn directory(&self, relative: &Path) -> rustix::io::Result<OwnedFd> {
        let path = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.fd, path, DIRECTORY, Mode::empty(), resolve) {
            // An old kernel, an old container's seccomp filter, or a path longer than one system call takes.
            Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => self.directory_step_by_step(relative),
            answer => answer,
        }
    }

    /// The same by one `openat` for each part of the path.
    fn directory_step_by_step(&self, relative: &Path) -> rustix::io::Result<OwnedFd> {
        let mut fd = rustix::fs::openat(&self.fd, ".", DIRECTORY, Mode::empty())?;
        for component in relative.components() {
            match component {
                Component::Normal(name) => fd = open_child(&fd, name)?,
                Component::CurDir => {}
                _ => return Err(Errno::XDEV),
            }
        }
        Ok(fd)
    }
}

/// Opens the directory `name` in `parent` when it is one, and no symlink.
pub(crate) fn open_child(parent: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())
}

/// Opens the file `name` in `parent` to read; never a symlink's target, and never waiting for a fifo's writer.
pub(crate) fn open_file(parent: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// One name in a directory.
pub(crate) struct Found {
    pub(crate) name: CString,
    pub(crate) kind: FileType,
}

impl Found {
    pub(crate) fn name(&self) -> &OsStr {
        OsStr::from_bytes(self.name.to_bytes())
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind == FileType::Directory
    }
}

/// The names in an open directory but `.` and `..`, in the file system's order. A name that vanishes is left out.
pub(crate) fn names_in(directory: impl AsFd) -> rustix::io::Result<Vec<Found>> {
    let directory = directory.as_fd();
    let mut buffer = Vec::with_capacity(32 * 1024);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // Some file systems do not say in the listing what a name is.
        let kind = match entry.file_type() {
            FileType::Unknown => match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            },
            kind => kind,
        };
        found.push(Found { name: name.to_owned(), kind });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways of opening have to refuse the same things: the second is the only one on an old kernel.
    #[test]
    fn neither_way_of_opening_leaves_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir_all(outside.join("b")).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        std::os::unix::fs::symlink("a", root.join("inner")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        let beneath = Beneath::new(&root).unwrap();
        for open in [Beneath::directory, Beneath::directory_step_by_step] {
            assert!(open(&beneath, Path::new("a/b")).is_ok());
            assert!(open(&beneath, Path::new("")).is_ok());
            for refused in ["link", "link/b", "inner/b", "../outside", "a/../../outside", "file", "/"] {
                assert!(open(&beneath, Path::new(refused)).is_err(), "{refused} was opened");
            }
        }
    }
}
