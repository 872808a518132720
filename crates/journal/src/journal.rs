//! One journal: a file that is locked by its owner while it lives.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::format::{self, Decoded, FormatError};
use crate::identity::ProcessIdentity;

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
    /// A record cannot be written as JSON.
    #[error("a record cannot be written as JSON: {0}")]
    Record(serde_json::Error),
}

/// A line of the file: the header comes first and again with each new owner.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line<R> {
    Header { journal: u32, owner: ProcessIdentity },
    Record { record: R },
}

/// An open journal, locked until it is dropped. Appending is short and never waits for anything but the disk.
#[derive(Debug)]
pub struct Journal<R> {
    path: PathBuf,
    file: Mutex<Tail>,
    records: PhantomData<fn(R)>,
}

#[derive(Debug)]
struct Tail {
    file: File,
    /// Where the next record goes; whatever a failed write left behind it is overwritten.
    end: u64,
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
    /// other than at its end, [`JournalError::Io`].
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
        file.set_len(whole).map_err(fail)?;
        let journal =
            Self { path: path.to_owned(), file: Mutex::new(Tail { file, end: whole }), records: PhantomData };
        let owner = ProcessIdentity::current().map_err(fail)?;
        journal.write(&Line::<R>::Header { journal: VERSION, owner }, false)?;
        Ok((journal, recovered))
    }

    /// Reads a journal without owning it; a torn tail is left out.
    ///
    /// # Errors
    /// As [`Journal::open`], but for [`JournalError::Owned`].
    pub fn read(path: &Path) -> Result<Recovered<R>, JournalError> {
        let file = File::open(path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
        Ok(read_all(&file, path)?.0)
    }

    /// Writes `record`. It survives the death of this process, not a power cut.
    ///
    /// # Errors
    /// [`JournalError::Io`], [`JournalError::Record`]: nothing of the record is there.
    pub fn append(&self, record: &R) -> Result<(), JournalError> {
        self.write(&Line::Record { record }, false)
    }

    /// Writes `record` and waits until it survives a power cut, with everything before it.
    ///
    /// # Errors
    /// As [`Journal::append`]; when only the sync fails the record may be there.
    pub fn append_synced(&self, record: &R) -> Result<(), JournalError> {
        self.write(&Line::Record { record }, true)
    }

    fn write(&self, line: &Line<impl Serialize>, sync: bool) -> Result<(), JournalError> {
        let line = format::encode(line).map_err(JournalError::Record)?;
        let fail = |source| JournalError::Io { path: self.path.clone(), source };
        // A panic while the lock was held leaves at worst a torn record after `end`, which the next write covers.
        let mut tail = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        tail.file.write_all_at(&line, tail.end).map_err(fail)?;
        tail.end += line.len() as u64;
        if sync { tail.file.sync_data().map_err(fail) } else { Ok(()) }
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

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
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
    /// [`JournalError::Io`].
    pub fn sync(&self) -> Result<(), JournalError> {
        let mut tail = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        tail.file
            .flush()
            .and_then(|()| tail.file.sync_data())
            .map_err(|source| JournalError::Io { path: self.path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
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
}
