//! Makes the listed directories, copies what is in them by one or two threads, then gives the directories their modes and times.
//!
//! Directories come first and are finished last: a directory that is read-only in the source has to be writable until it is filled, and
//! filling it changes its time.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::contents::{Failure, Ways};
use super::hard_links::{ManyNamed, copy_and_link};
use super::{CopyReport, give};
use crate::beneath::{Beneath, open_file};
use crate::tree::{Directory, Kind, Leaf, Listing, SkipReason, Skipped};
use crate::{Error, Owner, Result};

/// From how many files on a second thread is worth its start.
const PARALLEL_FROM: usize = 512;
/// How many files of one directory are handed to a thread at a time.
const BATCH: usize = 256;

/// The two trees of a copy.
pub(super) struct Trees<'a> {
    pub(super) source: Beneath,
    pub(super) dest: Beneath,
    pub(super) source_path: &'a Path,
    pub(super) dest_path: &'a Path,
    pub(super) owner: Option<Owner>,
}

/// What one thread has done.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) report: CopyReport,
    ways: std::sync::Arc<Ways>,
    many_named: Vec<ManyNamed>,
}

/// Some leaves of one directory.
struct Batch<'a> {
    directory: &'a Directory,
    leaves: Range<usize>,
}

/// Copies everything in `listing`.
pub(super) fn transfer(
    trees: &Trees<'_>,
    listing: &Listing,
    threads: Option<NonZeroUsize>,
) -> Result<CopyReport> {
    let mut tally = Tally::default();
    let made = make_directories(trees, listing, &mut tally.report)?;
    let batches = batches(made.iter().map(|(directory, _)| *directory));
    let usual = if listing.leaf_count() < PARALLEL_FROM { 1 } else { 2 };
    let threads = threads.map_or(usual, NonZeroUsize::get).min(batches.len().max(1));
    if threads == 1 {
        batches.iter().try_for_each(|batch| trees.copy_batch(batch, &mut tally))?;
    } else {
        copy_in_parallel(trees, &batches, threads, &mut tally)?;
    }
    let many_named = std::mem::take(&mut tally.many_named);
    copy_and_link(trees, many_named, &mut tally)?;
    finish_directories(trees, &made)?;
    Ok(tally.report)
}

/// Makes every directory, writable for now; those that vanished, with all that was listed in them, are left out.
fn make_directories<'a>(
    trees: &Trees<'_>,
    listing: &'a Listing,
    report: &mut CopyReport,
) -> Result<Vec<(&'a Directory, Stat)>> {
    let mut made = Vec::with_capacity(listing.directories.len());
    for directory in &listing.directories {
        let Some(source) = trees.open_source_directory(&directory.path, report)? else { continue };
        let stat = rustix::fs::fstat(&source).map_err(|errno| trees.unreadable(&directory.path, errno))?;
        if !directory.path.as_os_str().is_empty() {
            match rustix::fs::mkdirat(trees.dest.fd(), &directory.path, Mode::RWXU) {
                Ok(()) => {}
                // Its parent vanished before it, and is reported.
                Err(Errno::NOENT) => continue,
                Err(Errno::NAMETOOLONG) => make_deep(trees, &directory.path)?,
                Err(errno) => return Err(trees.unwritable(&directory.path, errno)),
            }
        }
        report.directories += 1;
        made.push((directory, stat));
    }
    Ok(made)
}

/// Makes a directory whose whole path is too long for one system call.
fn make_deep(trees: &Trees<'_>, path: &Path) -> Result<()> {
    let failed = |errno| trees.unwritable(path, errno);
    let (parent, name) = parent_and_name(path);
    let parent = trees.dest.directory(parent).map_err(failed)?;
    rustix::fs::mkdirat(&parent, name, Mode::RWXU).map_err(failed)
}

fn batches<'a>(directories: impl Iterator<Item = &'a Directory>) -> Vec<Batch<'a>> {
    let cut = |directory: &'a Directory| {
        let count = directory.leaves.len();
        let starts = (0..count).step_by(BATCH);
        starts.map(move |start| Batch { directory, leaves: start..count.min(start + BATCH) })
    };
    directories.flat_map(cut).collect()
}

fn copy_in_parallel(
    trees: &Trees<'_>,
    batches: &[Batch<'_>],
    threads: usize,
    tally: &mut Tally,
) -> Result<()> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(Vec::new());
    let work = |mut own: Tally| {
        let outcome = (|| {
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                trees.copy_batch(batch, &mut own)?;
            }
            Ok(())
        })();
        stop.fetch_or(outcome.is_err(), Ordering::Relaxed);
        done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((own, outcome));
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let own = Tally { ways: tally.ways.clone(), ..Tally::default() };
            scope.spawn(|| work(own));
        }
    });
    for (own, outcome) in done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        outcome?;
        tally.add(own);
    }
    Ok(())
}

/// Gives the directories their owners, modes and times, the deepest first.
fn finish_directories(trees: &Trees<'_>, made: &[(&Directory, Stat)]) -> Result<()> {
    for (directory, stat) in made.iter().rev() {
        let failed = |errno| trees.unwritable(&directory.path, errno);
        let fd = trees.dest.directory(&directory.path).map_err(failed)?;
        finish(&fd, stat, trees.owner).map_err(failed)?;
    }
    Ok(())
}

/// Gives an open file or directory its owner, then its mode (a change of owner takes bits away), then its time.
fn finish(fd: impl AsFd, stat: &Stat, owner: Option<Owner>) -> rustix::io::Result<()> {
    give(&fd, owner)?;
    rustix::fs::fchmod(&fd, permissions(stat))?;
    rustix::fs::futimens(&fd, &modification_time(stat))
}

/// The permission bits and, for directories, the sticky bit.
fn permissions(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode).difference(Mode::SUID | Mode::SGID)
}

fn modification_time(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: stat.st_mtime as _, tv_nsec: stat.st_mtime_nsec as _ },
    }
}

pub(super) fn parent_and_name(path: &Path) -> (&Path, &OsStr) {
    (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default())
}

impl Tally {
    fn add(&mut self, other: Tally) {
        let (sum, more) = (&mut self.report, other.report);
        sum.files += more.files;
        sum.reflinked += more.reflinked;
        sum.symlinks += more.symlinks;
        sum.bytes += more.bytes;
        sum.skipped.extend(more.skipped);
        self.many_named.extend(other.many_named);
    }

    fn skip(&mut self, path: &Path, reason: SkipReason) {
        self.report.skipped.push(Skipped { path: path.to_path_buf(), reason });
    }
}

impl Trees<'_> {
    pub(super) fn unreadable(&self, path: &Path, source: impl Into<std::io::Error>) -> Error {
        Error::reading(self.source_path.join(path), source)
    }

    pub(super) fn unwritable(&self, path: &Path, source: impl Into<std::io::Error>) -> Error {
        Error::writing(self.dest_path.join(path), source)
    }

    fn open_source_directory(&self, path: &Path, report: &mut CopyReport) -> Result<Option<OwnedFd>> {
        let reason = match self.source.directory(path) {
            Ok(fd) => return Ok(Some(fd)),
            Err(Errno::NOENT) => SkipReason::Vanished,
            Err(Errno::LOOP | Errno::NOTDIR) => SkipReason::Changed,
            Err(errno) => return Err(self.unreadable(path, errno)),
        };
        report.skipped.push(Skipped { path: path.to_path_buf(), reason });
        Ok(None)
    }

    fn copy_batch(&self, batch: &Batch<'_>, tally: &mut Tally) -> Result<()> {
        let path = &batch.directory.path;
        let Some(source) = self.open_source_directory(path, &mut tally.report)? else { return Ok(()) };
        let dest = self.dest.directory(path).map_err(|errno| self.unwritable(path, errno))?;
        for leaf in &batch.directory.leaves[batch.leaves.clone()] {
            self.copy_leaf(&source, &dest, path, leaf, tally)?;
        }
        Ok(())
    }

    fn copy_leaf(
        &self,
        source: &OwnedFd,
        dest: &OwnedFd,
        dir: &Path,
        leaf: &Leaf,
        tally: &mut Tally,
    ) -> Result<()> {
        let at = Place { source, dest, name: &leaf.name, path: || dir.join(&leaf.name) };
        match leaf.kind {
            Kind::Symlink => self.copy_symlink(&at, tally),
            _ => self.copy_file(&at, tally, ManyNames::PutAside).map(|_| ()),
        }
    }

    /// Copies a file with several names under its name `path`; false when it was skipped.
    pub(super) fn copy_many_named(&self, path: &Path, tally: &mut Tally) -> Result<bool> {
        let (parent, name) = parent_and_name(path);
        let Some(source) = self.open_source_directory(parent, &mut tally.report)? else { return Ok(false) };
        let dest = self.dest.directory(parent).map_err(|errno| self.unwritable(parent, errno))?;
        let at = Place { source: &source, dest: &dest, name, path: || path.to_path_buf() };
        self.copy_file(&at, tally, ManyNames::Copy)
    }

    fn copy_file<P: Fn() -> std::path::PathBuf>(
        &self,
        at: &Place<'_, P>,
        tally: &mut Tally,
        many_names: ManyNames,
    ) -> Result<bool> {
        let source = match open_file(at.source, at.name) {
            Ok(source) => source,
            Err(errno) => return self.skip_or_fail(&(at.path)(), errno, tally).map(|()| false),
        };
        let stat = rustix::fs::fstat(&source).map_err(|errno| self.unreadable(&(at.path)(), errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            tally.skip(&(at.path)(), SkipReason::Changed);
            return Ok(false);
        }
        if stat.st_nlink > 1 && many_names == ManyNames::PutAside {
            let identity = (stat.st_dev as u64, stat.st_ino as u64);
            tally.many_named.push(ManyNamed { path: (at.path)(), identity });
            return Ok(false);
        }
        let writing = |errno: Errno| self.unwritable(&(at.path)(), errno);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dest = rustix::fs::openat(at.dest, at.name, flags, Mode::RUSR | Mode::WUSR).map_err(writing)?;
        let copied = tally.ways.copy(source, &dest, &stat).map_err(|failure| match failure {
            Failure::Reading(error) => self.unreadable(&(at.path)(), error),
            Failure::Writing(error) => self.unwritable(&(at.path)(), error),
        })?;
        finish(&dest, &stat, self.owner).map_err(writing)?;
        tally.report.files += 1;
        tally.report.bytes += copied.bytes;
        tally.report.reflinked += u64::from(copied.reflinked);
        Ok(true)
    }

    fn copy_symlink<P: Fn() -> std::path::PathBuf>(
        &self,
        at: &Place<'_, P>,
        tally: &mut Tally,
    ) -> Result<()> {
        let look = || {
            let target = rustix::fs::readlinkat(at.source, at.name, Vec::new())?;
            Ok((target, rustix::fs::statat(at.source, at.name, AtFlags::SYMLINK_NOFOLLOW)?))
        };
        let (target, stat) = match look() {
            Ok(found) => found,
            Err(errno) => return self.skip_or_fail(&(at.path)(), errno, tally),
        };
        let make = || {
            rustix::fs::symlinkat(&*target, at.dest, at.name)?;
            if let Some(owner) = self.owner {
                let (uid, gid) = owner.ids();
                rustix::fs::chownat(at.dest, at.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            rustix::fs::utimensat(at.dest, at.name, &modification_time(&stat), AtFlags::SYMLINK_NOFOLLOW)
        };
        make().map_err(|errno: Errno| self.unwritable(&(at.path)(), errno))?;
        tally.report.symlinks += 1;
        Ok(())
    }

    /// What to do with a leaf that could not be opened: one that is gone or another thing now is skipped.
    fn skip_or_fail(&self, path: &Path, errno: Errno, tally: &mut Tally) -> Result<()> {
        match errno {
            Errno::NOENT => tally.skip(path, SkipReason::Vanished),
            // A symlink now, no symlink any more, or a socket.
            Errno::LOOP | Errno::INVAL | Errno::NXIO => tally.skip(path, SkipReason::Changed),
            errno => return Err(self.unreadable(path, errno)),
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ManyNames {
    /// Keep a file with several names for later.
    PutAside,
    /// Copy it.
    Copy,
}

/// A leaf's two directories and its name; its path is only made when it is needed, for there are many leaves.
struct Place<'a, P: Fn() -> std::path::PathBuf> {
    source: &'a OwnedFd,
    dest: &'a OwnedFd,
    name: &'a OsStr,
    path: P,
}
