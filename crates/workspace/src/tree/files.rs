//! Reads the small files that decide what is ignored, from trees that may be hostile.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// The bytes of the regular file at `path` (relative to `directory` unless absolute), or `None` when nothing is there.
///
/// A symlink is not followed, as git does not follow one that stands for an ignore file; a fifo is not waited for; more than `max`
/// bytes are an error.
pub(super) fn read_small(directory: impl AsFd, path: &Path, max: u64) -> Result<Option<Vec<u8>>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = match rustix::fs::openat(directory, path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(Errno::LOOP) => {
            return Err("it is a symlink, which is not followed; use a regular file".to_owned());
        }
        Err(errno) => return Err(errno.to_string()),
    };
    let stat = rustix::fs::fstat(&fd).map_err(|errno| errno.to_string())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::from(fd).take(max + 1).read_to_end(&mut bytes);
    match read {
        Ok(_) if bytes.len() as u64 > max => Err(format!("it is larger than {max} bytes")),
        Ok(_) => Ok(Some(bytes)),
        Err(error) => Err(error.to_string()),
    }
}
