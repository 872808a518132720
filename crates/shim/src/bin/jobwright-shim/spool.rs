//! A step's `output` file: appends frames, and keeps the step going when the disk does not take them.
//!
//! What cannot be written is dropped and counted per stream; when writing works again a gap frame says how much is
//! missing (DESIGN rule 7). A frame is in the file whole or not at all. Reading the pipes is not here.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jobwright_shim::frame::{self, Frame, OutputEnd, StartInfo, Stream};
use jobwright_shim::record::OutputState;

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
    /// Creates the file; it is an error if it is already there.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self {
            file,
            length: 0,
            dropped: [0; 2],
            lost: 0,
            retry_at: None,
            torn: false,
            ending: None,
            complete: false,
        })
    }

    /// Writes the first frame.
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
        let written = self.file.write_vectored(&[IoSlice::new(head), IoSlice::new(payload)])?;
        match written.checked_sub(head.len()) {
            Some(beyond) if beyond == payload.len() => Ok(()),
            Some(beyond) => self.file.write_all(&payload[beyond..]),
            None => {
                self.file.write_all(&head[written..])?;
                self.file.write_all(payload)
            }
        }
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}
