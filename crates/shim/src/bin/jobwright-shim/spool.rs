//! A step's `output` file: appends frames, keeps the step going when the disk does not take them, and holds the exit record,
//! whose place is taken when the step starts.
//!
//! What cannot be written is dropped and counted per stream; when writing works again a gap frame says how much is
//! missing (DESIGN rule 7). A frame is in the file whole or not at all. Reading the pipes is not here.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use jobwright_shim::frame::{self, Frame, OutputEnd, StartInfo, Stream};
use jobwright_shim::record::{ExitRecord, OutputState, StepFiles};
use jobwright_shim::slot::{self, SLOT};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

/// How long a file that could not be written is left alone, in nanoseconds.
const RETRY_NS: u64 = 200_000_000;

/// An output file being written.
pub(crate) struct Spool {
    file: File,
    /// Bytes in whole frames; what is beyond is to be cut off.
    length: u64,
    /// Dropped since the last gap frame, for standard output and error.
    dropped: [u64; 2],
    /// Dropped in all.
    lost: u64,
    /// When to try again, in nanoseconds since boot; set while writing fails.
    retry_at: Option<u64>,
    /// The file may end with a part of a frame, which must go before anything is written.
    torn: bool,
    /// The end that is still to be written.
    ending: Option<OutputEnd>,
    complete: bool,
}

impl Spool {
    /// Creates the file, or takes the spare one, with the place of the exit record; it is an error if it is already there. When the disk does not take that
    /// place there is no file.
    ///
    /// On file systems that write again where they wrote, the place is then sure to take the record. One that does not (btrfs)
    /// may refuse it while its disk is full; then it is tried again, as output is.
    pub(crate) fn create(files: &StepFiles, token: &str) -> io::Result<Self> {
        let path = &files.output();
        let file = match take_spare(files, path)? {
            Some(file) => file,
            None => OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?,
        };
        if let Err(error) = file.write_all_at(&slot::empty(token), 0) {
            // Nobody will come back to this file.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(Self {
            file,
            length: SLOT as u64,
            dropped: [0; 2],
            lost: 0,
            retry_at: None,
            torn: false,
            ending: None,
            complete: false,
        })
    }

    /// Puts the exit record in its place, over an earlier one if there is one. An error of kind `NotFound`: the owner has removed the
    /// file, there is nobody to write for.
    pub(crate) fn publish(&self, record: &ExitRecord) -> io::Result<()> {
        slot::fill(&self.file, record)?;
        if self.file.metadata()?.nlink() > 0 { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    }

    /// Writes the frame that tells who was started.
    pub(crate) fn start(&mut self, info: StartInfo, time_ns: u64) -> io::Result<()> {
        let frame = frame::encode(&Frame::Start(info), time_ns)?;
        self.write(&frame, &[])
    }

    /// Appends what was read, or counts it as lost. At most one frame's worth.
    pub(crate) fn append(&mut self, stream: Stream, bytes: &[u8], time_ns: u64, boottime_ns: u64) {
        let header = frame::data_header(stream, time_ns, bytes.len());
        let written = self.may_try(boottime_ns)
            && self.write_gaps(time_ns).and_then(|()| self.write(&header, bytes)).is_ok();
        if written {
            self.retry_at = None;
            return;
        }
        self.dropped[index(stream)] += bytes.len() as u64;
        self.lost += bytes.len() as u64;
        if self.may_try(boottime_ns) {
            self.retry_at = Some(boottime_ns + RETRY_NS);
        }
    }

    /// Writes the end mark, now or as soon as the disk takes it. A second end changes nothing.
    pub(crate) fn end(&mut self, end: OutputEnd, time_ns: u64, boottime_ns: u64) {
        if self.ending.is_none() && !self.complete {
            self.ending = Some(end);
            // The pipes are gone, so this is worth a try whenever the last one was.
            self.retry_at = None;
            self.settle(time_ns, boottime_ns);
        }
    }

    /// Tries again what could not be written. Returns whether the end mark got written by this.
    pub(crate) fn settle(&mut self, time_ns: u64, boottime_ns: u64) -> bool {
        if !self.may_try(boottime_ns) {
            return false;
        }
        let result = self.write_gaps(time_ns).and_then(|()| match self.ending {
            Some(end) => self.write(&frame::encode(&Frame::End(end), time_ns)?, &[]),
            None => Ok(()),
        });
        match result {
            Ok(()) => {
                self.retry_at = None;
                self.complete |= self.ending.take().is_some();
                self.complete
            }
            Err(_) => {
                self.retry_at = Some(boottime_ns + RETRY_NS);
                false
            }
        }
    }

    /// When [`Spool::settle`] should be called, in nanoseconds since boot.
    pub(crate) fn retry_at(&self) -> Option<u64> {
        self.retry_at
    }

    /// Whether the end mark is in the file.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// What the exit record says of the output.
    pub(crate) fn state(&self) -> OutputState {
        OutputState { complete: self.complete, length: self.length, lost: self.lost }
    }

    fn may_try(&self, boottime_ns: u64) -> bool {
        self.retry_at.is_none_or(|at| boottime_ns >= at)
    }

    fn write_gaps(&mut self, time_ns: u64) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let lost = self.dropped[index(stream)];
            if lost > 0 {
                self.write(&frame::encode(&Frame::Gap { stream, lost }, time_ns)?, &[])?;
                self.dropped[index(stream)] = 0;
            }
        }
        Ok(())
    }

    /// One frame, whole or not at all.
    fn write(&mut self, head: &[u8], payload: &[u8]) -> io::Result<()> {
        self.mend()?;
        self.torn = true;
        if let Err(error) = self.write_all(head, payload) {
            self.mend()?;
            return Err(error);
        }
        self.torn = false;
        self.length += (head.len() + payload.len()) as u64;
        Ok(())
    }

    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        Ok(())
    }

    fn write_all(&mut self, head: &[u8], payload: &[u8]) -> io::Result<()> {
        let pieces = [IoSlice::new(head), IoSlice::new(payload)];
        let written = match rustix::io::pwritev(&self.file, &pieces, self.length) {
            Err(Errno::INTR) => 0,
            written => written?,
        };
        let end = self.length + written as u64;
        match written.checked_sub(head.len()) {
            Some(beyond) => self.file.write_all_at(&payload[beyond..], end),
            None => {
                self.file.write_all_at(&head[written..], end)?;
                self.file.write_all_at(payload, self.length + head.len() as u64)
            }
        }
    }
}

/// The spare file under its new name, when there is one.
fn take_spare(files: &StepFiles, path: &Path) -> io::Result<Option<File>> {
    let Some(spare) = files.spare() else { return Ok(None) };
    match rustix::fs::renameat_with(CWD, &spare, CWD, path, RenameFlags::NOREPLACE) {
        // Ours since it has this name.
        Ok(()) => OpenOptions::new().write(true).open(path).map(Some),
        // There is none, or the file system has no such renaming.
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}
