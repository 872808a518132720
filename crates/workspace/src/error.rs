//! What can go wrong with a job's files, each with the path and what to do about it.
//!
//! The messages are fragments that fit after "failed to". Not here: things that are only noted (a file that vanished, a
//! socket), which stand in the reports.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a tree could not be listed, copied, packed, unpacked or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be read.
    #[error("read {}: {source}{}", path.display(), advice(source, Access::Read))]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file or directory could not be created, written or changed.
    #[error("write {}: {source}{}", path.display(), advice(source, Access::Write))]
    Unwritable {
        /// What was to be written.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// No space, or no quota, is left where `path` lies.
    #[error("write {}: the disk or quota is full; free some space, or put the state directory on a larger disk", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// A directory was asked for and `path` is something else.
    #[error("use {} as a directory: it is not one; name an existing directory", path.display())]
    NotADirectory {
        /// What was named.
        path: PathBuf,
    },
    /// The destination of a copy is there already.
    #[error("copy into {}: it exists already; name a path that does not exist yet, or remove it first", path.display())]
    DestinationExists {
        /// The destination.
        path: PathBuf,
    },
    /// The destination of a copy lies in the tree that is copied.
    #[error(
        "copy {} into {}: the destination lies inside the source; exclude a directory above it, or choose another place",
        source_dir.display(), dest.display()
    )]
    DestinationInsideSource {
        /// The tree to be copied.
        source_dir: PathBuf,
        /// The destination.
        dest: PathBuf,
    },
    /// A glob cannot be used.
    #[error("read the glob {glob:?}: {reason}")]
    BadGlob {
        /// The glob as it was given.
        glob: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// Globs that selected nothing, while each has to select something.
    #[error("find a file for {} in {}: nothing matches; check the spelling, and that the step that makes it has run", quoted(globs), root.display())]
    NothingMatched {
        /// The globs that matched nothing, as they were given.
        globs: Vec<String>,
        /// The directory that they are relative to.
        root: PathBuf,
    },
    /// A file changed in a way that makes what was packed of it wrong.
    #[error("pack {}: {reason}; pack it when nothing writes to it any more", path.display())]
    ChangedWhileRead {
        /// The file.
        path: PathBuf,
        /// How it changed.
        reason: &'static str,
    },
    /// An archive holds an entry that is never unpacked.
    #[error("unpack the entry {entry:?}: {reason}; make the archive without it")]
    UnsafeEntry {
        /// The entry's name as far as it can be shown.
        entry: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// Something that is not the archive's stands where an entry belongs.
    #[error("unpack {}: a directory is in the way of a file; remove it first", path.display())]
    InTheWay {
        /// The directory.
        path: PathBuf,
    },
    /// The archive is cut short or is not a tar archive.
    #[error("unpack into {}: the archive is broken or cut short after {entries} entries ({reason}); make or send it again", dest.display())]
    CorruptArchive {
        /// Where it was being unpacked.
        dest: PathBuf,
        /// How many entries were whole.
        entries: u64,
        /// What the reader found.
        reason: String,
    },
    /// The archive is larger than it may be.
    #[error(
        "unpack the entry {entry:?}: the archive has more than {max} {limit}; raise the limit if it can be trusted"
    )]
    LimitExceeded {
        /// Which limit.
        limit: Limit,
        /// The limit's value.
        max: u64,
        /// The entry that went over it, as far as it is known.
        entry: String,
    },
    /// A stored archive is not what was stored.
    #[error("use {}: it is damaged ({reason}); remove it, or store it again", path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// How that was seen.
        reason: String,
    },
    /// What the archive was read from failed.
    #[error("read the archive for {}: {source}; check what sends it", dest.display())]
    Stream {
        /// Where it was being unpacked.
        dest: PathBuf,
        /// What the sender or the connection said.
        source: io::Error,
    },
    /// A mount lies inside a tree that is to be removed.
    #[error("remove {}: something is mounted there; unmount it (umount {}) and remove again", path.display(), path.display())]
    MountPoint {
        /// The mount point.
        path: PathBuf,
    },
    /// A path that is never removed as a job's directory.
    #[error("remove {}: {reason}; name the directory that was made for the job", path.display())]
    RefusedRemoval {
        /// The path as it was given.
        path: PathBuf,
        /// Why it is refused.
        reason: &'static str,
    },
    /// A tree kept changing while it was removed.
    #[error("remove {}: something keeps writing to it; end the processes that use it and remove again", path.display())]
    StillInUse {
        /// The directory that was not empty, or was moved, again and again.
        path: PathBuf,
    },
    /// A copy failed, and then what it had made could not be removed.
    #[error("{cause} (and what was copied so far is still at {}, for removing it failed too: {removal})", path.display())]
    LeftBehind {
        /// What is left.
        path: PathBuf,
        /// Why the copy failed.
        cause: Box<Error>,
        /// Why the removal failed.
        removal: Box<Error>,
    },
    /// The thread that did the work ended without an answer: the runtime is shutting down, or there is a bug.
    #[error("finish work on {}: its thread ended early ({reason}); run it again", path.display())]
    Stopped {
        /// What was worked on.
        path: PathBuf,
        /// What the runtime said.
        reason: String,
    },
}

/// What an archive may have only so much of; see [`Limits`](crate::Limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Entries, with the directories that they imply.
    Entries,
    /// Bytes of all files together.
    TotalBytes,
    /// Bytes of one file.
    FileBytes,
    /// Bytes of one entry's path.
    PathBytes,
    /// Bytes of one entry's headers.
    HeaderBytes,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Entries => "entries",
            Self::TotalBytes => "bytes in all",
            Self::FileBytes => "bytes in one file",
            Self::PathBytes => "bytes in one path",
            Self::HeaderBytes => "bytes in the headers of one entry",
        })
    }
}

impl Error {
    pub(crate) fn reading(path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        Self::Unreadable { path: path.as_ref().to_path_buf(), source: source.into() }
    }

    /// A failed write; a full disk or quota is its own error, because what to do about it is another thing.
    pub(crate) fn writing(path: impl AsRef<Path>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.as_ref().to_path_buf(), source.into());
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::DiskFull { path },
            _ => Self::Unwritable { path, source },
        }
    }
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

fn advice(source: &io::Error, access: Access) -> &'static str {
    match (source.kind(), access) {
        (io::ErrorKind::PermissionDenied, Access::Read) => {
            "; give the user that runs jobwright access to it, or name it in .jobwrightignore"
        }
        (io::ErrorKind::PermissionDenied, Access::Write) => {
            "; give the user that runs jobwright access to it"
        }
        (io::ErrorKind::NotFound, _) => "; check the path",
        (io::ErrorKind::ReadOnlyFilesystem, _) => "; choose a place that can be written",
        _ => "",
    }
}

fn quoted(globs: &[String]) -> String {
    globs.iter().map(|glob| format!("{glob:?}")).collect::<Vec<_>>().join(", ")
}
