//! The walk over a tree: opens directories, lists and orders them, and asks a [`Chooser`] what to take.
//!
//! No symlink is followed and nothing is recursive, so neither a deep tree nor a hostile one troubles it.
//! Not here: why something is chosen.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::listing::{Directory, Kind, Leaf, Listing, SkipReason};
use crate::beneath::{Beneath, Found, names_in};
use crate::{Error, Result};

/// Decides what a walk takes.
pub(crate) trait Chooser {
    /// What holds inside one directory.
    type Scope: Clone;

    /// What holds inside the directory that `visit` shows, given what holds around it and how it was chosen.
    fn enter(&mut self, around: &Self::Scope, visit: &Visit<'_>) -> Self::Scope;

    /// What to do with the entry at `path` (relative to the root), whose directory has `scope`.
    fn choose(&mut self, scope: &Self::Scope, path: &[u8], is_directory: bool) -> Verdict;
}

/// A directory that the walk enters.
pub(crate) struct Visit<'a> {
    /// Relative to the root; empty for the root.
    pub(crate) path: &'a [u8],
    pub(crate) verdict: Verdict,
    pub(crate) fd: BorrowedFd<'a>,
    pub(crate) found: &'a [Found],
}

impl Visit<'_> {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.found.iter().any(|found| found.name.to_bytes() == name.as_bytes())
    }
}

/// What a [`Chooser`] says of one entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Take it, and beneath it what is chosen.
    Take,
    /// Take it although a rule ignores it; beneath it only what git tracks.
    TakeTracked,
    /// Do not take the directory itself, but look into it.
    PassThrough,
    /// Leave it, and all that is beneath it.
    Leave,
}

/// Walks the tree at `root` and returns what `chooser` takes. The caller's `outside` scope surrounds the root.
pub(crate) fn walk<C: Chooser>(
    root: &Path,
    chooser: &mut C,
    outside: C::Scope,
    verdict: Verdict,
) -> Result<Listing> {
    let beneath = Beneath::new(root).map_err(|errno| match errno {
        Errno::NOTDIR => Error::NotADirectory { path: root.to_path_buf() },
        errno => Error::reading(root, errno),
    })?;
    let mut listing = Listing::default();
    let mut pending = vec![(Vec::new(), verdict, outside)];
    while let Some((path, verdict, around)) = pending.pop() {
        let Some((directory, below, scope)) =
            visit(root, &beneath, chooser, &around, path, verdict, &mut listing)?
        else {
            continue;
        };
        listing.directories.push(directory);
        pending.extend(below.into_iter().rev().map(|(path, verdict)| (path, verdict, scope.clone())));
    }
    Ok(listing)
}

type Visited<S> = (Directory, Vec<(Vec<u8>, Verdict)>, S);

/// Lists one directory; `None` when it is gone or is no directory any more, which `listing` then notes.
fn visit<C: Chooser>(
    root: &Path,
    beneath: &Beneath,
    chooser: &mut C,
    around: &C::Scope,
    path: Vec<u8>,
    verdict: Verdict,
    listing: &mut Listing,
) -> Result<Option<Visited<C::Scope>>> {
    let relative = Path::new(OsStr::from_bytes(&path));
    let unreadable = |errno| Error::reading(root.join(relative), errno);
    let fd = match beneath.directory(relative) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => {
            listing.skip(relative, SkipReason::Vanished);
            return Ok(None);
        }
        Err(Errno::LOOP | Errno::NOTDIR) => {
            listing.skip(relative, SkipReason::Changed);
            return Ok(None);
        }
        Err(errno) => return Err(unreadable(errno)),
    };
    let mut found = names_in(&fd).map_err(unreadable)?;
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let scope = chooser
        .enter(around, &Visit { path: &path, verdict, fd: rustix::fd::AsFd::as_fd(&fd), found: &found });

    let mut leaves = Vec::new();
    let mut below = Vec::new();
    let mut full = path.clone();
    for entry in &found {
        full.truncate(path.len());
        append(&mut full, entry.name.to_bytes());
        let verdict = chooser.choose(&scope, &full, entry.is_directory());
        match (verdict, kind_of(entry.kind)) {
            (Verdict::Leave, _) => {}
            (verdict, Ok(Kind::Directory)) => below.push((full.clone(), verdict)),
            (Verdict::PassThrough, _) => {}
            (_, Ok(kind)) => leaves.push(Leaf { name: entry.name().to_os_string(), kind }),
            (_, Err(reason)) => listing.skip(Path::new(OsStr::from_bytes(&full)), reason),
        }
    }
    let path = PathBuf::from(std::ffi::OsString::from_vec(path));
    let directory = Directory { path, is_chosen: verdict != Verdict::PassThrough, leaves };
    Ok(Some((directory, below, scope)))
}

fn kind_of(file_type: FileType) -> std::result::Result<Kind, SkipReason> {
    match file_type {
        FileType::RegularFile => Ok(Kind::File),
        FileType::Directory => Ok(Kind::Directory),
        FileType::Symlink => Ok(Kind::Symlink),
        FileType::Socket => Err(SkipReason::Socket),
        FileType::Fifo => Err(SkipReason::Fifo),
        _ => Err(SkipReason::Device),
    }
}

/// Appends `name` to the relative path `path`, with a slash between them where one belongs.
pub(crate) fn append(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}
