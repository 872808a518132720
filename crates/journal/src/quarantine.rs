//! A journal that is damaged in its middle is put aside, so that nobody goes on from it, and what can still be read of it is told. Not
//! for a torn tail, which is no damage.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::format;
use crate::journal::{Journal, JournalError, Line, lock};

/// A damaged journal that was put aside.
#[derive(Debug)]
pub struct Quarantined<R> {
    /// The records that are whole, those behind the damage too; a new journal in its place holds them. Enough to find what has to be
    /// removed; not to go on from, because nobody knows what is missing.
    pub records: Vec<R>,
    /// Where the journal lies now.
    pub moved_to: PathBuf,
}

/// The records of the damaged journal at `path` that are whole, as [`Quarantined::records`]; changes nothing.
///
/// # Errors
/// [`JournalError::Format`] when it holds what this version does not know: such a journal is not damaged; [`JournalError::Io`].
pub fn salvage<R: Serialize + DeserializeOwned>(path: &Path) -> Result<Vec<R>, JournalError> {
    let bytes = fs::read(path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
    let lines = format::salvage::<Line<R>>(&bytes)
        .map_err(|source| JournalError::Format { path: path.to_owned(), source })?;
    let record = |line| match line {
        Line::Record { record } => Some(record),
        Line::Header { .. } => None,
    };
    Ok(lines.into_iter().filter_map(record).collect())
}

/// Puts the journal at `path` aside, under its own name with `.damaged` and a number, and a new one with what is whole of it in its
/// place. Whoever is killed over it leaves the damaged one or the new one there, never none.
///
/// # Errors
/// [`JournalError::Owned`] when its owner lives, and those of [`salvage`]. It is where it was then.
pub fn quarantine<R: Serialize + DeserializeOwned>(path: &Path) -> Result<Quarantined<R>, JournalError> {
    let fail = |source| JournalError::Io { path: path.to_owned(), source };
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(fail)?;
    lock(&file, path)?;
    let records: Vec<R> = salvage(path)?;
    let draft = path.with_extension("renewed");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    let (journal, _) = Journal::open(&draft)?;
    records.iter().try_for_each(|record| journal.append(record))?;
    journal.sync()?;
    drop(journal);
    Ok(Quarantined { records, moved_to: replace(path, &draft).map_err(fail)? })
}

/// Gives the file a second name that is free, then its own to `by`.
fn replace(path: &Path, by: &Path) -> std::io::Result<PathBuf> {
    for number in 1.. {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged{number}"));
        let target = PathBuf::from(name);
        match fs::hard_link(path, &target) {
            Ok(()) => {
                fs::rename(by, path)?;
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
                return Ok(target);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("numbers do not end before names do")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged(path: &Path) {
        let (journal, _) = Journal::<String>::open(path).unwrap();
        for record in ["one", "two", "three"] {
            journal.append(&record.to_owned()).unwrap();
        }
        drop(journal);
        let mut bytes = fs::read(path).unwrap();
        let at = bytes.windows(3).position(|three| three == b"two").unwrap();
        bytes[at] = b'T';
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn what_is_whole_is_told_and_the_rest_is_kept_under_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        for number in 1..=2 {
            fs::remove_file(&path).ok();
            damaged(&path);
            let bytes = fs::read(&path).unwrap();
            assert!(matches!(Journal::<String>::open(&path), Err(JournalError::Format { .. })));
            assert_eq!(salvage::<String>(&path).unwrap(), ["one", "three"]);
            let aside = quarantine::<String>(&path).unwrap();
            assert_eq!(aside.records, ["one", "three"]);
            assert_eq!(aside.moved_to, dir.path().join(format!("journal.damaged{number}")));
            assert_eq!(Journal::<String>::read(&path).unwrap().records, ["one", "three"]);
            fs::write(path.with_extension("renewed"), "of somebody who was killed").unwrap();
            assert_eq!(fs::read(aside.moved_to).unwrap(), bytes);
        }
    }

    #[test]
    fn a_journal_that_lives_or_is_of_another_version_is_left_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (journal, _) = Journal::<String>::open(&path).unwrap();
        assert!(matches!(quarantine::<String>(&path), Err(JournalError::Owned(_))));
        journal.append(&"one".to_owned()).unwrap();
        drop(journal);
        assert!(matches!(quarantine::<u32>(&path), Err(JournalError::Format { .. })));
        assert_eq!(Journal::<String>::read(&path).unwrap().records, ["one"]);
    }
}
