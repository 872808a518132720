//! What a project's files look like at one moment, to tell later which of them have become others. Not for when to look again.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::listing::Kind;
use super::project::Project;
use crate::{Error, Result};

/// The files of a project, and of others beside it, as they were seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// By path: relative to the project's root, or absolute for a file beside it.
    marks: BTreeMap<PathBuf, Mark>,
    directories: BTreeMap<PathBuf, DirectoryId>,
}

/// What a file shows of itself without being read. A file of another content has another mark, as each write moves its time and each
/// replacement brings another inode; who may read it is no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Directory,
    Leaf { kind: Kind, inode: u64, bytes: u64, modified: (i64, i64) },
}

/// Which directory stands at a path: one that was removed and made again is another, also when it has the old one's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryId {
    device: u64,
    inode: u64,
    made: Option<SystemTime>,
}

impl DirectoryId {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), made: metadata.created().ok() }
    }

    /// Whether two equal ids are sure to mean one directory. Not where the file system does not keep when it was made.
    pub fn is_certain(&self) -> bool {
        self.made.is_some()
    }
}

impl Mark {
    fn of(kind: Kind, metadata: &Metadata) -> Self {
        match kind {
            Kind::Directory => Self::Directory,
            kind => Self::Leaf {
                kind,
                inode: metadata.ino(),
                bytes: metadata.len(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
            },
        }
    }
}

impl Project {
    /// Looks at all files that a job would get, without reading them.
    ///
    /// # Errors
    ///
    /// Those of [`Project::list`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        let root =
            std::fs::canonicalize(self.root()).map_err(|source| Error::reading(self.root(), source))?;
        let listing = self.list()?;
        let mut snapshot = Snapshot::default();
        for (path, kind) in listing.paths() {
            // What vanished since it was listed is not there.
            if let Ok(metadata) = root.join(&path).symlink_metadata() {
                snapshot.marks.insert(path, Mark::of(kind, &metadata));
            }
        }
        let directories = listing.directories.iter().map(|directory| root.join(&directory.path));
        directories.for_each(|path| snapshot.look_into(path));
        Ok(snapshot)
    }
}

impl Snapshot {
    /// Adds the file at the absolute `path`, which may lie anywhere. Symlinks are followed: it is what would be read there that counts.
    pub fn add_file(&mut self, path: &Path) {
        if let Ok(metadata) = path.metadata() {
            self.marks.insert(path.to_owned(), Mark::of(Kind::File, &metadata));
        }
        if let Some(parent) = path.parent() {
            self.look_into(parent.to_owned());
        }
    }

    /// Whether it has the file at that path.
    pub fn contains(&self, path: &Path) -> bool {
        self.marks.contains_key(path)
    }

    /// What has appeared, vanished or become another since `earlier`, in the order of the paths. A directory is no other because of what is
    /// in it.
    pub fn changes_since(&self, earlier: &Self) -> Vec<PathBuf> {
        let now = self.marks.iter().filter(|(path, mark)| earlier.marks.get(*path) != Some(mark));
        let gone = earlier.marks.keys().filter(|path| !self.marks.contains_key(*path));
        let mut changes: Vec<PathBuf> = now.map(|(path, _)| path).chain(gone).cloned().collect();
        changes.sort();
        changes
    }

    /// The directories in which something may change, absolute, each with what tells it from a later one at its path.
    pub fn directories(&self) -> impl Iterator<Item = (&Path, DirectoryId)> {
        self.directories.iter().map(|(path, id)| (path.as_path(), *id))
    }

    fn look_into(&mut self, directory: PathBuf) {
        if let Ok(metadata) = directory.metadata() {
            self.directories.insert(directory, DirectoryId::of(&metadata));
        }
    }
}
