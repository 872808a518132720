//! From where a pipeline's files may come: from anywhere, as whoever runs their own file expects, or from beneath one directory only, as
//! a server needs that takes files from others. Not for what a file holds.
//!
//! Within a directory, paths are gone through one part at a time, each opened in the directory before it, and links are followed by
//! hand. So nothing outside is ever opened or looked at, and no answer tells whether something is there.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// The most links on the way to one file, as the kernel has it.
const MOST_LINKS: usize = 40;

/// From where files may be read.
#[derive(Debug, Clone, Default)]
pub(crate) enum Reach {
    /// From everywhere.
    #[default]
    Everywhere,
    /// From beneath this directory, absolute.
    Beneath(PathBuf),
}

/// A regular file that may be read.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    /// Its path without links: two paths of one file have one.
    pub(crate) canonical: PathBuf,
}

/// Why a file is not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// It lies outside of the directory that it has to lie in, or a link on the way leads out of it. Whether it is there was not looked at.
    #[error("it lies outside of the directory that files may come from")]
    Outside,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl Reach {
    /// Opens the regular file at `path`; relative paths count from the working directory.
    pub(crate) fn open(&self, path: &Path) -> Result<Opened, OpenError> {
        match self {
            Self::Everywhere => {
                let canonical = std::fs::canonicalize(path)?;
                // A pipe or a device would be waited for without end.
                if !std::fs::metadata(&canonical)?.is_file() {
                    return Err(not_regular());
                }
                Ok(Opened { file: File::open(&canonical)?, canonical })
            }
            Self::Beneath(root) => Descent::new(root)?.open(&std::path::absolute(path)?),
        }
    }
}

fn not_regular() -> OpenError {
    OpenError::Io(io::Error::other("it is not a regular file"))
}

/// The way from the root down, one open directory for each part of it.
struct Descent {
    root: OwnedFd,
    /// As it was given, and without links: paths may begin with either.
    names: [PathBuf; 2],
    way: Vec<(OsString, OwnedFd)>,
    links: usize,
}

impl Descent {
    fn new(root: &Path) -> Result<Self, OpenError> {
        let root = std::path::absolute(root)?;
        let canonical = std::fs::canonicalize(&root)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&canonical, flags, Mode::empty())?;
        Ok(Self { root: fd, names: [root, canonical], way: Vec::new(), links: 0 })
    }

    /// The absolute `path` from the root on.
    fn inside(&self, path: &Path) -> Result<VecDeque<OsString>, OpenError> {
        let inside = self.names.iter().find_map(|name| path.strip_prefix(name).ok());
        Ok(parts(inside.ok_or(OpenError::Outside)?))
    }

    fn here(&self) -> &OwnedFd {
        self.way.last().map_or(&self.root, |(_, fd)| fd)
    }

    fn open(mut self, path: &Path) -> Result<Opened, OpenError> {
        let mut ahead = self.inside(path)?;
        while let Some(part) = ahead.pop_front() {
            if part == ".." {
                self.way.pop().ok_or(OpenError::Outside)?;
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(self.here(), &part, flags, Mode::empty())?;
            match FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) {
                FileType::Symlink => self.follow(&part, &mut ahead)?,
                FileType::RegularFile if ahead.is_empty() => return self.read(&part),
                FileType::Directory => self.way.push((part, fd)),
                _ if ahead.is_empty() => return Err(not_regular()),
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        Err(not_regular())
    }

    /// Puts what the link `name` says in front of what is ahead.
    fn follow(&mut self, name: &OsStr, ahead: &mut VecDeque<OsString>) -> Result<(), OpenError> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = rustix::fs::readlinkat(self.here(), name, Vec::new())?.into_bytes();
        let target = PathBuf::from(OsString::from_vec(target));
        let mut parts = if target.is_absolute() {
            self.way.clear();
            self.inside(&target)?
        } else {
            parts(&target)
        };
        parts.append(ahead);
        *ahead = parts;
        Ok(())
    }

    /// Opens the file `name` here, which was a regular one a moment ago: should it be another thing now, that is not waited for and
    /// no link is followed.
    fn read(self, name: &OsStr) -> Result<Opened, OpenError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(self.here(), name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(not_regular());
        }
        let [_, root] = self.names;
        let way = self.way.iter().map(|(part, _)| part.as_os_str());
        Ok(Opened { file, canonical: root.join(way.collect::<PathBuf>()).join(name) })
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(part).collect()
}
