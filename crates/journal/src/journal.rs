//! One journal: a file that is locked by its owner while it lives.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::format::{self, Decoded, FormatError};
use crate::identity::ProcessIdentity;
use crate::reserved::ReservedFile;

/// The version of the header; a journal of another one is not read.
const VERSION: u32 = 1;

/// Why a journal cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Its owner lives: it is not ours to read for recovery, nor to write.
    #[error("journal {} belongs to a process that still runs", .0.display())]
    Owned(PathBuf),
    /// It was written by another version.
    #[error("journal {} has version {found}, this program reads version {VERSION}", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It is damaged.
    #[error("journal {}: {source}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// The operating system refused; the journal holds nothing of the record.
    #[error("journal {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A sync failed earlier: what was written before it may be lost, and nobody can tell.
    #[error("journal {}: the disk failed earlier, and what was written then may be lost", .0.display())]
    Failed(PathBuf),
    /// A record cannot be written as JSON.
    #[error("a record cannot be written as JSON: {0}")]
    Record(serde_json::Error),
}

/// A line of the file: the header comes first and again with each new owner.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line<R> {
    Header { journal: u32, owner: ProcessIdentity },
    Record { record: R },
}

/// Space that is kept behind the last record, so that what runs can be written down to its end when the disk is full.
const RESERVE: u64 = 64 << 10;

/// An open journal, locked until it is dropped. Appending is short and never waits for anything but the disk.
#[derive(Debug)]
pub struct Journal<R> {
    path: PathBuf,
    tail: Mutex<ReservedFile>,
    /// The same file, to be synced while others append.
    syncing: Mutex<Syncing>,
    records: PhantomData<fn(R)>,
}

#[derive(Debug)]
struct Syncing {
    file: File,
    /// Up to here everything survives a power cut.
    synced: u64,
    /// The kernel tells of a failed sync once and forgets what it could not write.
    failed: bool,
}

/// What a journal held when it was opened.
#[derive(Debug)]
pub struct Recovered<R> {
    /// The records, in the order in which they were written.
    pub records: Vec<R>,
    /// The processes that owned it before, the latest one last.
    pub owners: Vec<ProcessIdentity>,
    /// Bytes of an unfinished last record that were left out.
    pub torn: usize,
}

impl<R: Serialize + DeserializeOwned> Journal<R> {
    /// Opens the journal at `path`, creating it (mode 0600) when there is none, and takes its ownership.
    ///
    /// # Errors
    /// [`JournalError::Owned`] when its owner lives, [`JournalError::Version`], [`JournalError::Format`] when it is damaged
    /// other than at its end, [`JournalError::Io`], also when there is no room for the space that is kept behind the last record: then
    /// nothing should be begun that could not be written down.
    pub fn open(path: &Path) -> Result<(Self, Recovered<R>), JournalError> {
        let fail = |source| JournalError::Io { path: path.to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(fail)?;
        lock(&file, path)?;
        let (recovered, whole) = read_all(&file, path)?;
        let syncing = Syncing { file: file.try_clone().map_err(fail)?, synced: 0, failed: false };
        let mut tail = ReservedFile::new(file, whole, RESERVE).map_err(fail)?;
        tail.make_room(0).map_err(fail)?;
        let (tail, syncing) = (Mutex::new(tail), Mutex::new(syncing));
        let journal = Self { path: path.to_owned(), tail, syncing, records: PhantomData };
        let owner = ProcessIdentity::current().map_err(fail)?;
        journal.write(&Line::<R>::Header { journal: VERSION, owner })?;
        Ok((journal, recovered))
    }

    /// Reads a journal without owning it; a torn tail is left out.
    ///
    /// # Errors
    /// As [`Journal::open`], but for [`JournalError::Owned`].
    pub fn read(path: &Path) -> Result<Recovered<R>, JournalError> {
        let file = File::open(path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
        Self::read_file(&file, path)
    }

    /// The same from where `file` is at, which was opened at `path` and may be gone from there.
    ///
    /// # Errors
    /// As [`Journal::read`].
    pub fn read_file(file: &File, path: &Path) -> Result<Recovered<R>, JournalError> {
        Ok(read_all(file, path)?.0)
    }

    /// Writes `record`. It survives the death of this process, not a power cut.
    ///
    /// # Errors
    /// [`JournalError::Io`], [`JournalError::Record`], [`JournalError::Failed`]: nothing of the record is there.
    pub fn append(&self, record: &R) -> Result<(), JournalError> {
        self.write(&Line::Record { record }).map(drop)
    }

    /// Writes `record` and waits until it survives a power cut, with everything before it. Those who do so at the same time wait for
    /// one sync together.
    ///
    /// # Errors
    /// As [`Journal::append`]; when only the sync fails the record may be there.
    pub fn append_synced(&self, record: &R) -> Result<(), JournalError> {
        let end = self.write(&Line::Record { record })?;
        self.sync_to(end)
    }

    /// Writes a line and answers where it ends.
    fn write(&self, line: &Line<impl Serialize>) -> Result<u64, JournalError> {
        let line = format::encode(line).map_err(JournalError::Record)?;
        #[cfg(debug_assertions)]
        crate::fail::moment(&line, "before");
        // A panic while the lock was held leaves at worst a torn record behind the end, which the next write covers.
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = tail.make_room(line.len() as u64) {
            tracing::warn!(journal = %self.path.display(), %error, "the journal is written into its reserve");
        }
        tail.append(&line).map_err(|source| self.failed(source))?;
        #[cfg(debug_assertions)]
        crate::fail::moment(&line, "after");
        Ok(tail.end())
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), source }
    }
}

/// Whether the journal at `path` is locked by a living owner. No file is no owner.
///
/// # Errors
/// When the file cannot be opened for another reason than its absence.
pub(crate) fn is_owned(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::Owned(path.to_owned())),
        Err(error) => Err(JournalError::Io { path: path.to_owned(), source: error.into() }),
    }
}

fn read_all<R: DeserializeOwned>(mut file: &File, path: &Path) -> Result<(Recovered<R>, u64), JournalError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
    let Decoded { records: lines, whole } = format::decode::<Line<R>>(&bytes)
        .map_err(|source| JournalError::Format { path: path.to_owned(), source })?;
    let mut recovered = Recovered { records: Vec::new(), owners: Vec::new(), torn: bytes.len() - whole };
    for line in lines {
        match line {
            Line::Header { journal: VERSION, owner } => recovered.owners.push(owner),
            Line::Header { journal: found, .. } => {
                return Err(JournalError::Version { path: path.to_owned(), found });
            }
            Line::Record { record } => recovered.records.push(record),
        }
    }
    Ok((recovered, whole as u64))
}

impl<R> Journal<R> {
    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until all that was written survives a power cut.
    ///
    /// # Errors
    /// [`JournalError::Io`], and [`JournalError::Failed`] for ever after.
    pub fn sync(&self) -> Result<(), JournalError> {
        let end = self.tail.lock().unwrap_or_else(PoisonError::into_inner).end();
        self.sync_to(end)
    }

    /// Whoever comes while somebody syncs waits, and mostly finds that the next sync was made for it too.
    fn sync_to(&self, end: u64) -> Result<(), JournalError> {
        let mut syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if syncing.failed {
            return Err(JournalError::Failed(self.path.clone()));
        }
        if syncing.synced >= end {
            return Ok(());
        }
        let written = self.tail.lock().unwrap_or_else(PoisonError::into_inner).end();
        match syncing.file.sync_data() {
            Ok(()) => {
                syncing.synced = written;
                Ok(())
            }
            Err(source) => {
                syncing.failed = true;
                Err(JournalError::Io { path: self.path.clone(), source })
            }
        }
    }
}

impl<R> Drop for Journal<R> {
    fn drop(&mut self) {
        let tail = self.tail.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = tail.trim() {
            tracing::debug!(journal = %self.path.display(), %error, "the journal keeps its reserve");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use super::*;

    fn records(recovered: &Recovered<String>) -> Vec<&str> {
        recovered.records.iter().map(String::as_str).collect()
    }

    #[test]
    fn what_was_appended_is_there_for_the_next_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (journal, recovered) = Journal::<String>::open(&path).unwrap();
        assert!(recovered.records.is_empty() && recovered.owners.is_empty());
        journal.append(&"one".into()).unwrap();
        journal.append_synced(&"two".into()).unwrap();
        drop(journal);
        let (_journal, recovered) = Journal::<String>::open(&path).unwrap();
        assert_eq!(records(&recovered), ["one", "two"]);
        assert_eq!(recovered.owners, [ProcessIdentity::current().unwrap()]);
    }

    #[test]
    fn a_living_owner_keeps_its_journal_and_others_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (journal, _) = Journal::<String>::open(&path).unwrap();
        journal.append(&"one".into()).unwrap();
        assert!(matches!(Journal::<String>::open(&path), Err(JournalError::Owned(_))));
        assert!(is_owned(&path).unwrap());
        assert_eq!(records(&Journal::<String>::read(&path).unwrap()), ["one"]);
        drop(journal);
        assert!(!is_owned(&path).unwrap());
    }

    #[test]
    fn a_torn_last_record_is_left_out_and_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (journal, _) = Journal::<String>::open(&path).unwrap();
        journal.append(&"one".into()).unwrap();
        drop(journal);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"0badc0de {\"record\":\"tw").unwrap();
        let (journal, recovered) = Journal::<String>::open(&path).unwrap();
        assert_eq!((records(&recovered), recovered.torn), (vec!["one"], 22));
        journal.append(&"three".into()).unwrap();
        assert_eq!(records(&Journal::<String>::read(&path).unwrap()), ["one", "three"]);
    }

    #[test]
    fn a_journal_of_another_version_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let owner = ProcessIdentity::current().unwrap();
        std::fs::write(&path, format::encode(&Line::<String>::Header { journal: 99, owner }).unwrap())
            .unwrap();
        let error = Journal::<String>::open(&path).unwrap_err();
        assert!(error.to_string().contains("version 99"), "{error}");
    }

    #[test]
    fn a_journal_is_readable_by_its_user_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let _journal = Journal::<String>::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn those_who_sync_at_the_same_time_find_everything_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (journal, _) = Journal::<usize>::open(&path).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let journal = &journal;
                scope.spawn(move || (0..25).for_each(|n| journal.append_synced(&(writer * 25 + n)).unwrap()));
            }
        });
        let synced = journal.syncing.lock().unwrap().synced;
        assert_eq!(synced, std::fs::metadata(&path).unwrap().len());
        let mut records = Journal::<usize>::read(&path).unwrap().records;
        records.sort_unstable();
        assert_eq!(records, (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn after_a_failed_sync_nothing_is_said_to_be_safe() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::<String>::open(&dir.path().join("journal")).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        // A pipe cannot be synced.
        let file =
            std::mem::replace(&mut journal.syncing.lock().unwrap().file, File::from(OwnedFd::from(writer)));
        assert!(matches!(journal.append_synced(&"one".into()), Err(JournalError::Io { .. })));
        journal.syncing.lock().unwrap().file = file;
        assert!(matches!(journal.append_synced(&"two".into()), Err(JournalError::Failed(_))));
        assert!(matches!(journal.sync(), Err(JournalError::Failed(_))));
        drop(reader);
    }

    #[test]
    fn what_a_writer_leaves_is_no_longer_than_its_records() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (journal, _) = Journal::<String>::open(&path).unwrap();
        journal.append(&"one".into()).unwrap();
        let blocks = || std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&path).unwrap());
        assert!(blocks() * 512 >= RESERVE, "space is kept while it is open");
        drop(journal);
        assert!(blocks() * 512 < RESERVE);
    }
}
