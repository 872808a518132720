//! What a walk over a tree found: plain data.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The chosen entries of a tree, in a fixed order: a directory before what is in it, names in byte order, and in each
/// directory its files and symlinks before its directories. All paths are relative to the tree's root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The directories that are chosen or that hold something chosen; the root, with an empty path, is the first.
    pub directories: Vec<Directory>,
    /// What would have been chosen but is never carried (sockets, fifos, devices), or vanished.
    pub skipped: Vec<Skipped>,
    /// Lines of ignore files that could not be understood; they are left out, as git leaves them out.
    pub rule_problems: Vec<RuleProblem>,
}

/// One directory of a [`Listing`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its path; empty for the root.
    pub path: PathBuf,
    /// Whether the directory itself is chosen, and not only something in it. Always true in a listing by rules.
    pub is_chosen: bool,
    /// The chosen files and symlinks directly in it.
    pub leaves: Vec<Leaf>,
}

/// A file or symlink in a [`Directory`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its name in the directory.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
}

/// What a listed path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link, wherever it points.
    Symlink,
}

/// A path that was left out although it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Which path, relative to the tree's root.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}

/// Why a chosen path was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is a socket.
    Socket,
    /// It is a fifo.
    Fifo,
    /// It is a character or block device.
    Device,
    /// It was listed and then gone.
    Vanished,
    /// It was listed as one kind of thing and then was another.
    Changed,
}

/// A line of an ignore file that has no effect because it cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProblem {
    /// The ignore file.
    pub file: PathBuf,
    /// The line's number from 1; 0 when it concerns the whole file.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl Listing {
    /// Every chosen path with its kind, in the listing's order; the root itself is not among them.
    pub fn paths(&self) -> impl Iterator<Item = (PathBuf, Kind)> + '_ {
        self.directories.iter().flat_map(|directory| {
            let itself = (directory.is_chosen && !directory.path.as_os_str().is_empty())
                .then(|| (directory.path.clone(), Kind::Directory));
            let leaves = directory.leaves.iter().map(|leaf| (directory.path.join(&leaf.name), leaf.kind));
            itself.into_iter().chain(leaves)
        })
    }

    /// How many files and symlinks are chosen.
    pub fn leaf_count(&self) -> usize {
        self.directories.iter().map(|directory| directory.leaves.len()).sum()
    }

    pub(crate) fn skip(&mut self, path: impl AsRef<Path>, reason: SkipReason) {
        self.skipped.push(Skipped { path: path.as_ref().to_path_buf(), reason });
    }
}
