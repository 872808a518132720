//! The file `exit.json`: its space is taken when the step starts, so that a disk that the step's output filled does not
//! cost its exit status. Complete or absent, by rename.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jobwright_shim::record::{ExitRecord, StepFiles};
use rustix::fs::FallocateFlags;

/// More than a record ever takes.
const RESERVED: u64 = 4096;

/// Where a step's exit record will be.
pub(crate) struct ExitFile {
    path: PathBuf,
    temporary: PathBuf,
    /// The reserved file, until it is used.
    reserved: Option<File>,
}

impl ExitFile {
    /// Takes the space. Fails when the folder has none, or already holds a record.
    pub(crate) fn reserve(files: &StepFiles) -> io::Result<Self> {
        let (path, temporary) = (files.exit(), files.exit_draft());
        let file = create(&temporary)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVED) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP) => file.write_all_at(&[b' '; RESERVED as usize], 0)?,
            Err(error) => {
                // Nobody will come back to this file.
                let _ = std::fs::remove_file(&temporary);
                return Err(error.into());
            }
        }
        Ok(Self { path, temporary, reserved: Some(file) })
    }

    /// Writes down, in the space taken, by which token the step's processes are known. The start in the output tells it too, but
    /// only when there is a process; a shim that dies in between leaves this.
    pub(crate) fn note(&self, token: &str) -> io::Result<()> {
        self.reserved.as_ref().map_or(Ok(()), |file| file.write_all_at(format!("{token}\n").as_bytes(), 0))
    }

    /// Puts the record in place, over an earlier one if there is one.
    pub(crate) fn publish(&mut self, record: &ExitRecord) -> io::Result<()> {
        let bytes = serde_json::to_vec(record)?;
        let file = match self.reserved.take() {
            Some(file) => file,
            None => {
                remove_if_there(&self.temporary)?;
                create(&self.temporary)?
            }
        };
        file.write_all_at(&bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        std::fs::rename(&self.temporary, &self.path)
    }

    /// Gives the space back when no step came of it.
    pub(crate) fn abandon(self) {
        let _ = std::fs::remove_file(&self.temporary);
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
