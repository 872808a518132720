//! Copies a project's tree into a new directory, as cheaply as the file system allows.
//!
//! Not here: which files are copied ([`Project`]) and how one file's bytes get across (`contents`).

mod contents;
mod hard_links;
mod transfer;

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::beneath::{Beneath, names_in};
use crate::tree::{Listing, Project, RuleProblem, Skipped, TreeOptions};
use crate::{Error, Owner, Result, remove_tree};
use transfer::{Trees, transfer};

/// What is copied, and how.
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// Which files are copied.
    pub tree: TreeOptions,
    /// Whom everything in the copy, and the copy's root, is given to. Default: whoever copies.
    pub owner: Option<Owner>,
    /// Whether the destination may be there, as an empty directory, which then becomes the copy's root.
    pub into_empty: bool,
    /// How many threads copy. Default: one for a small tree, else two: more do not help one disk.
    pub threads: Option<NonZeroUsize>,
}

/// What a copy made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Directories, the root included.
    pub directories: u64,
    /// Files with contents of their own.
    pub files: u64,
    /// Of these, how many share their blocks with the source until one is written to.
    pub reflinked: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files already counted.
    pub hard_links: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// What was chosen and yet left out.
    pub skipped: Vec<Skipped>,
    /// Lines of ignore files that could not be understood.
    pub rule_problems: Vec<RuleProblem>,
}

/// Copies the tree at `source` to `dest`, which must not exist (but see [`CopyOptions::into_empty`]) and whose parent must.
///
/// Kept: contents, permission bits, modification times of files, directories and symlinks (to the nanosecond), symlinks as they are (dangling and
/// absolute ones too), holes, and hard links between files that are both in the copy. Not kept: set-user-id and set-group-id bits, which would
/// mean another owner's rights in the copy; owners, but for [`CopyOptions::owner`]; extended attributes.
/// A file that vanishes after it was listed is skipped and reported.
///
/// When it fails, what was copied so far is removed again.
///
/// # Errors
///
/// [`Error::NotADirectory`]; [`Error::DestinationExists`]; [`Error::DestinationInsideSource`] unless an excluded path contains `dest`;
/// [`Error::Unreadable`], [`Error::Unwritable`] and [`Error::DiskFull`] with the first path that failed;
/// [`Error::LeftBehind`] when the removal failed as well.
pub fn copy_tree(source: &Path, dest: &Path, options: &CopyOptions) -> Result<CopyReport> {
    let project = Project::new(source, options.tree.clone());
    refuse_dest_inside_source(source, dest, &project)?;
    // The tree is listed before the destination is made: a source that cannot be read leaves nothing behind.
    let listing = project.list()?;
    match rustix::fs::mkdirat(CWD, dest, Mode::RWXU) {
        Err(Errno::EXIST) if options.into_empty && is_empty(dest)? => {}
        Err(Errno::EXIST) => return Err(Error::DestinationExists { path: dest.to_path_buf() }),
        made => made.map_err(|errno| Error::writing(dest, errno))?,
    }
    copy_listed(source, dest, listing, options).map_err(|cause| take_back(dest, cause))
}

/// Whether `path` is an empty directory and no link to one.
fn is_empty(path: &Path) -> Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let unreadable = |errno| Error::reading(path, errno);
    match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(directory) => Ok(names_in(&directory).map_err(unreadable)?.is_empty()),
        Err(Errno::NOTDIR | Errno::LOOP) => Ok(false),
        Err(errno) => Err(unreadable(errno)),
    }
}

fn copy_listed(source: &Path, dest: &Path, listing: Listing, options: &CopyOptions) -> Result<CopyReport> {
    let trees = Trees {
        source: Beneath::new(source).map_err(|errno| Error::reading(source, errno))?,
        dest: Beneath::new(dest).map_err(|errno| Error::writing(dest, errno))?,
        source_path: source,
        dest_path: dest,
        owner: options.owner,
    };
    let mut report = transfer(&trees, &listing, options.threads)?;
    report.rule_problems = listing.rule_problems;
    report.skipped.extend(listing.skipped);
    report.skipped.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(report)
}

fn refuse_dest_inside_source(source: &Path, dest: &Path, project: &Project) -> Result<()> {
    let real_source = source.canonicalize().map_err(|error| Error::reading(source, error))?;
    let parent = match dest.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(Error::DestinationExists { path: dest.to_path_buf() }),
    };
    let real_parent = parent.canonicalize().map_err(|error| Error::writing(parent, error))?;
    let real_dest: PathBuf = real_parent.join(dest.file_name().unwrap_or_default());
    if real_dest.starts_with(&real_source) && !project.excludes(&real_source, &real_dest) {
        return Err(Error::DestinationInsideSource {
            source_dir: source.to_path_buf(),
            dest: dest.to_path_buf(),
        });
    }
    Ok(())
}

/// Removes what a failed copy made.
fn take_back(dest: &Path, cause: Error) -> Error {
    let removed = std::path::absolute(dest)
        .map_err(|error| Error::reading(dest, error))
        .and_then(|dest| remove_tree(&dest));
    match removed {
        Ok(_) => cause,
        Err(removal) => {
            Error::LeftBehind { path: dest.to_path_buf(), cause: Box::new(cause), removal: Box::new(removal) }
        }
    }
}

/// Gives an open file or directory to `owner`.
fn give(fd: impl AsFd, owner: Option<Owner>) -> rustix::io::Result<()> {
    match owner {
        Some(owner) => {
            let (uid, gid) = owner.ids();
            rustix::fs::fchown(fd, uid, gid)
        }
        None => Ok(()),
    }
}
