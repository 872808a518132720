//! The copies of an execution's output in its results directory, a file for each stream (nunet.md 8, item 50). Anyone may have a hand in that
//! directory: no link is followed, no other execution's file is written to, and only the files that were made are ever removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use jobwright_backend::StreamKind;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::output::lane;

const NAMES: [&str; 2] = ["stdout.log", "stderr.log"];
/// Which files were made, in the execution's own folder.
const MADE: &str = "copies.json";

/// The files, while they are written. Each is locked: nobody else's output gets into it.
pub(crate) struct Copies([Option<File>; 2]);

/// What tells a file from another that has its name, and later its inode.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    device: u64,
    inode: u64,
    /// In nanoseconds; 0 where the file system does not tell.
    born: u128,
}

impl Identity {
    fn of(data: &fs::Metadata) -> Self {
        let born = data.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let born = born.map_or(0, |since| since.as_nanos());
        Self { device: data.dev(), inode: data.ino(), born }
    }
}

impl Copies {
    /// Nothing is copied.
    pub(crate) fn none() -> Self {
        Self([None, None])
    }

    /// Makes the files in `results`, in place of those that are there, and notes in `folder` which they are.
    ///
    /// # Errors
    /// What the operating system says; a directory or a file in it that is a link, something else, or another execution's that runs.
    pub(crate) fn make(results: &Path, folder: &Path) -> io::Result<Self> {
        match fs::create_dir(results) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        check_directory(results)?;
        // Both are looked at before one is replaced.
        for name in NAMES {
            match open(results, name, false) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                looked => looked.map(drop)?,
            }
        }
        let make = |name| {
            match fs::remove_file(results.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            open(results, name, true)
        };
        let files = [make(NAMES[0])?, make(NAMES[1])?];
        let made = [Identity::of(&files[0].metadata()?), Identity::of(&files[1].metadata()?)];
        fs::write(folder.join(MADE), serde_json::to_vec(&made)?)?;
        Ok(Self(files.map(Some)))
    }

    /// Opens the files again that [`make`](Self::make) made, for an execution that is taken over, and cuts them to what is told.
    ///
    /// # Errors
    /// As [`make`](Self::make); files that are not those any more.
    pub(crate) fn again(results: &Path, folder: &Path, ends: [u64; 2]) -> io::Result<Self> {
        check_directory(results)?;
        let made = made(folder)?.ok_or_else(|| io::Error::other("which files were made is not known"))?;
        let open = |place: usize| {
            let file = open(results, NAMES[place], false)?;
            if Identity::of(&file.metadata()?) != made[place] {
                return Err(refused(results, NAMES[place], "is another file than the one that was made"));
            }
            file.set_len(ends[place])?;
            Ok(file)
        };
        Ok(Self([Some(open(0)?), Some(open(1)?)]))
    }

    /// Writes a piece at its place. The log itself is whole, and goes on without a copy that cannot be written.
    pub(crate) fn write(&mut self, stream: StreamKind, bytes: &[u8], at: u64) {
        let copy = &mut self.0[lane(stream)];
        if let Some(Err(error)) = copy.as_ref().map(|copy| copy.write_all_at(bytes, at)) {
            tracing::warn!(%error, "a log in a results directory cannot be written, and ends here");
            *copy = None;
        }
    }

    /// Removes the files that were made, where they still are.
    pub(crate) fn remove(results: &Path, folder: &Path) -> io::Result<()> {
        for (name, made) in NAMES.iter().zip(made(folder)?.into_iter().flatten()) {
            let path = results.join(name);
            match fs::symlink_metadata(&path) {
                Ok(data) if data.is_file() && Identity::of(&data) == made => fs::remove_file(path)?,
                Err(error) if !is_absence(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// How often, and after which time, is tried again to lock what somebody else has locked.
const LOOKS: usize = 20;
const MOMENT: Duration = Duration::from_millis(5);

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn made(folder: &Path) -> io::Result<Option<[Identity; 2]>> {
    match fs::read(folder.join(MADE)) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn check_directory(results: &Path) -> io::Result<()> {
    match fs::symlink_metadata(results)?.is_dir() {
        true => Ok(()),
        false => Err(io::Error::new(ErrorKind::NotADirectory, "the results directory is not a directory")),
    }
}

fn refused(results: &Path, name: &str, why: &str) -> io::Error {
    io::Error::other(format!("{} {why}", results.join(name).display()))
}

fn open(results: &Path, name: &str, new: bool) -> io::Result<File> {
    // A pipe that nobody reads must not be waited for.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    options.write(true).create_new(new).mode(0o644).custom_flags(flags);
    let file = options.open(results.join(name)).map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::LOOP.raw_os_error() => {
            refused(results, name, "is a link, which is not followed")
        }
        Some(code) if code == Errno::NXIO.raw_os_error() || code == Errno::ISDIR.raw_os_error() => {
            refused(results, name, "is not a file")
        }
        _ => error,
    })?;
    if !file.metadata()?.is_file() {
        return Err(refused(results, name, "is not a file"));
    }
    // A process that is just being spawned holds what its parent has open until its program begins.
    for _ in 0..LOOKS {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(MOMENT),
            Err(error) => return Err(error.into()),
        }
    }
    Err(refused(results, name, "is written by another execution"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    fn folders() -> (TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let folders = [root.path().join("one"), root.path().join("two")];
        folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let [one, two] = folders;
        (root, one, two)
    }

    fn text(results: &Path, name: &str) -> String {
        fs::read_to_string(results.join(name)).unwrap()
    }

    #[test]
    fn the_streams_are_apart_and_go_on_where_they_were_told_to() {
        let (root, folder, _) = folders();
        let results = root.path().join("results");
        let mut copies = Copies::make(&results, &folder).unwrap();
        copies.write(StreamKind::Stdout, b"one\ntorn", 0);
        copies.write(StreamKind::Stderr, b"two\n", 0);
        drop(copies);
        let mut again = Copies::again(&results, &folder, [4, 4]).unwrap();
        again.write(StreamKind::Stdout, b"three\n", 4);
        assert_eq!(
            (text(&results, NAMES[0]).as_str(), text(&results, NAMES[1]).as_str()),
            ("one\nthree\n", "two\n")
        );
    }

    #[test]
    fn two_that_run_do_not_write_into_one_file_and_one_after_the_other_may() {
        let (root, first, second) = folders();
        let results = root.path().join("results");
        let copies = Copies::make(&results, &first).unwrap();
        let error = Copies::make(&results, &second).err().unwrap().to_string();
        assert!(error.contains("stdout.log is written by another execution"), "{error}");
        drop(copies);
        Copies::make(&results, &second).unwrap().write(StreamKind::Stdout, b"second\n", 0);
        Copies::remove(&results, &first).unwrap();
        assert_eq!(text(&results, NAMES[0]), "second\n", "the first's logs are gone already");
        assert!(Copies::again(&results, &first, [0, 0]).is_err());
        Copies::remove(&results, &second).unwrap();
        assert!(!results.join(NAMES[0]).exists());
    }

    #[test]
    fn links_pipes_and_directories_are_refused_and_nothing_is_replaced() {
        let (root, folder, elsewhere) = folders();
        let results = root.path().join("results");
        std::os::unix::fs::symlink(&elsewhere, &results).unwrap();
        assert!(Copies::make(&results, &folder).is_err());
        fs::remove_file(&results).unwrap();
        fs::create_dir(&results).unwrap();
        fs::write(results.join(NAMES[0]), "theirs").unwrap();
        let refuses = |why: &str| {
            let error = Copies::make(&results, &folder).err().unwrap().to_string();
            assert!(error.contains(why), "{error}");
        };
        std::os::unix::fs::symlink(elsewhere.join("x"), results.join(NAMES[1])).unwrap();
        refuses("stderr.log is a link");
        fs::remove_file(results.join(NAMES[1])).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(results.join(NAMES[1])).status().unwrap();
        assert!(pipe.success());
        refuses("stderr.log is not a file");
        fs::remove_file(results.join(NAMES[1])).unwrap();
        fs::create_dir(results.join(NAMES[1])).unwrap();
        refuses("stderr.log is not a file");
        assert_eq!(text(&results, NAMES[0]), "theirs");
        assert!(!elsewhere.join("x").exists());
    }
}
