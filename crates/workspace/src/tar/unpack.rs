//! Reads a tar archive that nobody vouches for, within limits, and has its entries put beneath a directory.
//!
//! Not here: what makes putting them there safe (`place`).

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::Mode;
use tar::{Archive, Entry, EntryType};

use super::TarStream;
use super::chunks::read_blocking;
use super::feed::{Feed, Seen};
use super::member::parse_time;
use super::place::{Attributes, Destination, checked_path};
use crate::{Error, Limit, Owner, Result};

/// How large an archive may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries, with the directories that they imply. Default: 1 000 000.
    pub entries: u64,
    /// Bytes of all files together. Default: 64 GiB.
    pub total_bytes: u64,
    /// Bytes of one file. Default: 16 GiB.
    pub file_bytes: u64,
    /// Bytes of one path. Default: 4096, as much as the system takes at once.
    pub path_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 1_000_000, total_bytes: 64 << 30, file_bytes: 16 << 30, path_bytes: 4096 }
    }
}

/// Long names and PAX records are held in memory; no honest entry has so much of them.
pub(crate) const MAX_HEADER_BYTES: u64 = 1 << 20;

/// How an archive is unpacked.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnpackOptions {
    /// How large it may be.
    pub limits: Limits,
    /// Whom everything is given to. Default: whoever unpacks; the archive's owners are never taken.
    pub owner: Option<Owner>,
    /// Whether set-user-id and set-group-id bits are kept. Default: no.
    pub keep_set_ids: bool,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnpackReport {
    /// Files with contents of their own.
    pub files: u64,
    /// Directories that the archive names.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Unpacks `stream` into the directory `dest`, which is made when it is not there (its parent must be).
///
/// Nothing outside `dest` is touched, whatever the archive holds and whatever symlinks lie in `dest`: paths that are absolute,
/// contain `..` or lead through a symlink are refused, and so are devices, fifos and hard links to anything but a regular file in `dest`.
/// A file or symlink that stands where an entry belongs is replaced; a directory is not. Kept: contents, symlinks as they are, modes, times, hard links.
/// An entry for `dest` itself is ignored.
///
/// When it fails, the entries before the failure stay where they are and the failing file is removed: the caller, who may have had other
/// files there, decides about the rest. When the future is dropped, unpacking stops at the next chunk in the same way.
///
/// # Errors
///
/// [`Error::UnsafeEntry`], [`Error::InTheWay`], [`Error::LimitExceeded`], [`Error::CorruptArchive`] (an archive without its end marker
/// too), [`Error::Stream`], [`Error::DiskFull`], [`Error::Unwritable`], [`Error::NotADirectory`], [`Error::Stopped`].
pub async fn unpack(stream: TarStream, dest: &Path, options: &UnpackOptions) -> Result<UnpackReport> {
    let (to, options) = (dest.to_path_buf(), *options);
    read_blocking(stream, dest, move |source| unpack_from(source, &to, &options)).await
}

/// The same from a reader, by this thread.
///
/// # Errors
///
/// As [`unpack`].
pub fn unpack_from(source: impl Read, dest: &Path, options: &UnpackOptions) -> Result<UnpackReport> {
    match std::fs::create_dir(dest) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::writing(dest, error)),
    }
    let (feed, seen) = Feed::new(source);
    let mut unpacking = Unpacking {
        dest,
        options,
        seen,
        place: Destination::new(dest, options.owner)?,
        directories: BTreeMap::new(),
        report: UnpackReport::default(),
        entries: 0,
    };
    unpacking.all(&mut Archive::new(feed))?;
    Ok(unpacking.report)
}

struct Unpacking<'a> {
    dest: &'a Path,
    options: &'a UnpackOptions,
    seen: Rc<Seen>,
    place: Destination<'a>,
    /// Directories whose attributes are set when all is unpacked, for filling them changes their time, or needs more than their mode allows.
    /// In the order of paths, so that backwards is from the deepest up; of two entries for one directory the last holds, as for files.
    directories: BTreeMap<PathBuf, Attributes>,
    report: UnpackReport,
    entries: u64,
}

/// An entry's contents as this module reads them.
type Contents<'a, R> = Entry<'a, Feed<R>>;

impl Unpacking<'_> {
    fn all<R: Read>(&mut self, archive: &mut Archive<Feed<R>>) -> Result<()> {
        let mut entries = archive.entries().map_err(|error| self.broken(&error, ""))?;
        loop {
            self.seen.expect_headers(MAX_HEADER_BYTES);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(|error| self.broken(&error, ""))?;
            self.seen.expect_contents();
            self.entry(&mut entry)?;
            // The parser would skip what is left as if it were headers.
            self.discard(&mut entry)?;
        }
        if !self.seen.ended_with_marker() {
            let reason = "its end marker is missing".to_owned();
            return Err(Error::CorruptArchive {
                dest: self.dest.to_path_buf(),
                entries: self.entries,
                reason,
            });
        }
        for (path, attributes) in self.directories.iter().rev() {
            self.place.finish_directory(path, attributes)?;
        }
        Ok(())
    }

    fn entry<R: Read>(&mut self, entry: &mut Contents<'_, R>) -> Result<()> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let name = entry.path_bytes().into_owned();
        self.check_limits(&name)?;
        let path = checked_path(&name).map_err(|reason| unsafe_entry(&name, reason))?;
        let attributes = self.attributes(entry, &name)?;
        // Before tar had a type for directories, a slash at the end said so.
        let is_directory = kind.is_dir() || (kind.is_file() && name.ends_with(b"/"));
        match kind {
            _ if path.as_os_str().is_empty() => {
                is_directory.then_some(()).ok_or_else(|| unsafe_entry(&name, "it has no name"))
            }
            _ if is_directory => self.directory(path, attributes),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(entry, &path, &attributes)
            }
            EntryType::Symlink => self.symlink(entry, &path, &attributes),
            EntryType::Link => self.hard_link(entry, &path),
            EntryType::Char | EntryType::Block => Err(unsafe_entry(&name, "it is a device")),
            EntryType::Fifo => Err(unsafe_entry(&name, "it is a fifo")),
            _ => Err(unsafe_entry(&name, "it is of a kind that is not known")),
        }?;
        self.entries += 1;
        Ok(())
    }

    fn check_limits(&self, name: &[u8]) -> Result<()> {
        let limits = &self.options.limits;
        if self.entries + self.place.implied >= limits.entries {
            return Err(exceeded(Limit::Entries, limits.entries, name));
        }
        if name.len() as u64 > limits.path_bytes {
            return Err(exceeded(Limit::PathBytes, limits.path_bytes, name));
        }
        Ok(())
    }

    fn attributes<R: Read>(&self, entry: &mut Contents<'_, R>, name: &[u8]) -> Result<Attributes> {
        let broken = |error: &std::io::Error| self.broken(error, &String::from_utf8_lossy(name));
        let header_mode = entry.header().mode().map_err(|error| broken(&error))?;
        let seconds = entry.header().mtime().map_err(|error| broken(&error))?;
        // GNU tar writes a time before 1970 as a negative number in the same field.
        let mut mtime = (seconds.cast_signed(), 0);
        if let Some(records) = entry.pax_extensions().map_err(|error| broken(&error))? {
            for record in records {
                let record = record.map_err(|error| broken(&error))?;
                match record.key_bytes() {
                    b"mtime" => mtime = record.value().ok().and_then(parse_time).unwrap_or(mtime),
                    key if key.starts_with(b"GNU.sparse.") => {
                        return Err(unsafe_entry(name, "it is a sparse file in a form that is not known"));
                    }
                    _ => {}
                }
            }
        }
        let mut mode = Mode::from_raw_mode(header_mode & 0o7777);
        if !self.options.keep_set_ids {
            mode.remove(Mode::SUID | Mode::SGID);
        }
        Ok(Attributes { mode, mtime })
    }

    fn directory(&mut self, path: PathBuf, attributes: Attributes) -> Result<()> {
        self.place.directory(&path)?;
        self.directories.insert(path, attributes);
        self.report.directories += 1;
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        entry: &mut Contents<'_, R>,
        path: &Path,
        attributes: &Attributes,
    ) -> Result<()> {
        self.check_size(entry.size(), path)?;
        let file = self.place.file(path)?;
        let written = self.copy(entry, &file, path).and_then(|()| self.place.finish(path, &file, attributes));
        if let Err(error) = written {
            // The first error says more than one about the removal.
            let _ = self.place.take_back(path);
            return Err(error);
        }
        self.report.files += 1;
        Ok(())
    }

    fn check_size(&self, size: u64, path: &Path) -> Result<()> {
        let limits = &self.options.limits;
        let name = path.as_os_str().as_encoded_bytes();
        if size > limits.file_bytes {
            return Err(exceeded(Limit::FileBytes, limits.file_bytes, name));
        }
        if size > limits.total_bytes.saturating_sub(self.report.bytes) {
            return Err(exceeded(Limit::TotalBytes, limits.total_bytes, name));
        }
        Ok(())
    }

    fn copy<R: Read>(&mut self, entry: &mut Contents<'_, R>, file: &OwnedFd, path: &Path) -> Result<()> {
        let mut buffer = vec![0; usize::try_from(entry.size()).unwrap_or(usize::MAX).clamp(1, 128 * 1024)];
        let mut left = entry.size();
        while left > 0 {
            let got = self.read(entry, &mut buffer, path)?;
            if got == 0 {
                let cut = std::io::Error::other("it ends in the middle of a file");
                return Err(self.broken(&cut, &path.to_string_lossy()));
            }
            let mut rest = &buffer[..got];
            while !rest.is_empty() {
                let written = rustix::io::retry_on_intr(|| rustix::io::write(file, rest));
                rest = &rest[written.map_err(|errno| self.place.unwritable(path, errno))?..];
            }
            left = left.saturating_sub(got as u64);
            self.report.bytes += got as u64;
        }
        Ok(())
    }

    fn read<R: Read>(&self, entry: &mut Contents<'_, R>, buffer: &mut [u8], path: &Path) -> Result<usize> {
        loop {
            match entry.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(&error, &path.to_string_lossy())),
                Ok(got) => return Ok(got),
            }
        }
    }

    /// Reads what is left of an entry that is not a file; it counts as bytes of a file would.
    fn discard<R: Read>(&mut self, entry: &mut Contents<'_, R>) -> Result<()> {
        let mut buffer = [0; 4096];
        let path = PathBuf::from("contents that belong to no file");
        loop {
            let got = self.read(entry, &mut buffer, &path)? as u64;
            if got == 0 {
                return Ok(());
            }
            self.check_size(got, &path)?;
            self.report.bytes += got;
        }
    }

    fn symlink<R: Read>(
        &mut self,
        entry: &Contents<'_, R>,
        path: &Path,
        attributes: &Attributes,
    ) -> Result<()> {
        let name = path.as_os_str().as_encoded_bytes();
        let target = entry.link_name_bytes().filter(|target| !target.is_empty());
        let target = target.ok_or_else(|| unsafe_entry(name, "it is a symlink to nothing"))?;
        if target.contains(&0) || target.len() as u64 > self.options.limits.path_bytes {
            return Err(unsafe_entry(name, "it is a symlink with a target that no system takes"));
        }
        self.place.symlink(path, &target, attributes)?;
        self.report.symlinks += 1;
        Ok(())
    }

    fn hard_link<R: Read>(&mut self, entry: &Contents<'_, R>, path: &Path) -> Result<()> {
        let name = path.as_os_str().as_encoded_bytes();
        let target = entry.link_name_bytes().unwrap_or_default();
        let first = checked_path(&target)
            .map_err(|_| unsafe_entry(name, "it is a hard link to outside the destination"))?;
        self.place.hard_link(path, &first)?;
        self.report.hard_links += 1;
        Ok(())
    }

    /// What a failed read means: the source failed, one entry's headers are too long, or the archive is no good.
    fn broken(&self, error: &std::io::Error, entry: &str) -> Error {
        if self.seen.headers_were_too_long() {
            return exceeded(Limit::HeaderBytes, MAX_HEADER_BYTES, b"with over-long headers");
        }
        let dest = self.dest.to_path_buf();
        match self.seen.take_source_error() {
            Some(source) => Error::Stream { dest, source },
            None => {
                let at = if entry.is_empty() { String::new() } else { format!(" at {entry:?}") };
                Error::CorruptArchive { dest, entries: self.entries, reason: format!("{error}{at}") }
            }
        }
    }
}

/// At most so much of a name is shown: a hostile one may be long.
const SHOWN: usize = 256;

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(&name[..name.len().min(SHOWN)]).into_owned()
}

fn unsafe_entry(name: &[u8], reason: &'static str) -> Error {
    Error::UnsafeEntry { entry: shown(name), reason }
}

fn exceeded(limit: Limit, max: u64, name: &[u8]) -> Error {
    Error::LimitExceeded { limit, max, entry: shown(name) }
}
