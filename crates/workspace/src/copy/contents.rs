//! Brings one file's bytes across: a reflink where the file system can, else a copy in the kernel, else by reading and writing.
//!
//! Not here: names, modes and times.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{SeekFrom, Stat};
use rustix::io::Errno;

/// A file of so many bytes or fewer is read and written: a reflink saves nothing then, and a copy in the kernel takes longer than two
/// calls.
const SMALL: u64 = 64 << 10;

/// Which ways of copying have turned out not to work between two file systems, so that no call is wasted on them again.
#[derive(Default)]
pub(super) struct Ways {
    no_reflink: AtomicBool,
    no_kernel_copy: AtomicBool,
}

/// What was copied of one file.
pub(super) struct Copied {
    pub(super) bytes: u64,
    pub(super) reflinked: bool,
}

/// Which side of a copy failed.
pub(super) enum Failure {
    Reading(io::Error),
    Writing(io::Error),
}

impl Ways {
    /// Copies all of `source`, whose state is `stat`, into the empty file `dest`.
    pub(super) fn copy(&self, source: OwnedFd, dest: &OwnedFd, stat: &Stat) -> Result<Copied, Failure> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > SMALL && self.reflink(&source, dest)? {
            return Ok(Copied { bytes: size, reflinked: true });
        }
        let has_holes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) < size;
        let copied = if size <= SMALL && !has_holes {
            by_hand(&source, dest, size)?
        } else if has_holes {
            self.copy_extents(&source, dest, size)?
        } else {
            self.copy_run(&source, dest, size)?
        };
        // An empty file may have grown since it was looked at; those of /proc and its like only say that they are empty.
        let bytes = if size == 0 { by_hand(&source, dest, u64::MAX)? } else { copied };
        Ok(Copied { bytes, reflinked: false })
    }

    fn reflink(&self, source: &OwnedFd, dest: &OwnedFd) -> Result<bool, Failure> {
        if self.no_reflink.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match rustix::fs::ioctl_ficlone(dest, source) {
            Ok(()) => Ok(true),
            Err(errno @ (Errno::NOSPC | Errno::DQUOT)) => Err(Failure::Writing(errno.into())),
            // A file that cannot be cloned while others can (swap, encrypted) says INVAL.
            Err(Errno::INVAL | Errno::PERM | Errno::TXTBSY) => Ok(false),
            Err(_) => {
                self.no_reflink.store(true, Ordering::Relaxed);
                Ok(false)
            }
        }
    }

    /// Copies only the parts that are not holes, so that a sparse file stays one.
    fn copy_extents(&self, source: &OwnedFd, dest: &OwnedFd, size: u64) -> Result<u64, Failure> {
        let reading = |errno: Errno| Failure::Reading(errno.into());
        let writing = |errno: Errno| Failure::Writing(errno.into());
        let mut at = 0;
        while at < size {
            let data = match rustix::fs::seek(source, SeekFrom::Data(at)) {
                Ok(data) => data,
                Err(Errno::NXIO) => break,
                Err(Errno::INVAL) => at,
                Err(errno) => return Err(reading(errno)),
            };
            let end = rustix::fs::seek(source, SeekFrom::Hole(data)).unwrap_or(size).min(size);
            rustix::fs::seek(source, SeekFrom::Start(data)).map_err(reading)?;
            rustix::fs::seek(dest, SeekFrom::Start(data)).map_err(writing)?;
            if self.copy_run(source, dest, end - data)? < end - data {
                break;
            }
            at = end;
        }
        rustix::fs::ftruncate(dest, size).map_err(writing)?;
        rustix::fs::seek(source, SeekFrom::Start(size)).map_err(reading)?;
        rustix::fs::seek(dest, SeekFrom::Start(size)).map_err(writing)?;
        Ok(size)
    }

    /// Copies up to `len` bytes from where both files stand; fewer only when the source ends.
    fn copy_run(&self, source: &OwnedFd, dest: &OwnedFd, len: u64) -> Result<u64, Failure> {
        let mut copied = 0;
        while copied < len && !self.no_kernel_copy.load(Ordering::Relaxed) {
            let chunk = usize::try_from(len - copied).unwrap_or(usize::MAX).min(1 << 30);
            match rustix::fs::copy_file_range(source, None, dest, None, chunk) {
                Ok(0) => break,
                Ok(more) => copied += more as u64,
                Err(Errno::INTR) => {}
                Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM) => {
                    self.no_kernel_copy.store(true, Ordering::Relaxed);
                }
                Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                    return Err(Failure::Writing(errno.into()));
                }
                Err(errno) => return Err(Failure::Reading(errno.into())),
            }
        }
        // Some file systems copy nothing this way and say that all went well.
        if copied < len && (copied == 0 || self.no_kernel_copy.load(Ordering::Relaxed)) {
            copied += by_hand(source, dest, len - copied)?;
        }
        Ok(copied)
    }
}

/// Reads and writes up to `len` bytes from where both files stand; fewer only when the source ends.
fn by_hand(source: &OwnedFd, dest: &OwnedFd, len: u64) -> Result<u64, Failure> {
    let room = usize::try_from(len).unwrap_or(usize::MAX).min(64 * 1024);
    let mut buffer = vec![0; room];
    let mut copied = 0;
    while copied < len {
        let wanted = buffer.len().min(usize::try_from(len - copied).unwrap_or(usize::MAX));
        let got = read(source, &mut buffer[..wanted])?;
        if got == 0 {
            break;
        }
        write(dest, &buffer[..got])?;
        copied += got as u64;
    }
    Ok(copied)
}

fn read(source: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Failure> {
    rustix::io::retry_on_intr(|| rustix::io::read(source, &mut *buffer))
        .map_err(|errno| Failure::Reading(errno.into()))
}

fn write(dest: &OwnedFd, mut bytes: &[u8]) -> Result<(), Failure> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(dest, bytes));
        bytes = &bytes[written.map_err(|errno| Failure::Writing(errno.into()))?..];
    }
    Ok(())
}
