//! A file that is written at its end only and keeps space allocated beyond it, so that a little can still be written when the
//! disk is full. Does not know what it holds.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// Space is allocated in steps, the larger the file, the larger: at most this.
const LARGEST_STEP: u64 = 32 << 20;
/// The smallest step is so much of the reserve.
const STEPS_IN_RESERVE: u64 = 4;

/// A file that is written at its end and keeps space behind it.
#[derive(Debug)]
pub struct ReservedFile {
    file: File,
    end: u64,
    allocated: u64,
    reserve: u64,
    /// False on a file system that cannot allocate; then writing tells whether there is room.
    allocates: bool,
}

impl ReservedFile {
    /// Goes on at `end`, with `reserve` bytes kept behind whatever is written; what lies behind `end` is cut.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub fn new(file: File, end: u64, reserve: u64) -> io::Result<Self> {
        file.set_len(end)?;
        Ok(Self { file, end, allocated: end, reserve, allocates: true })
    }

    /// Where the next byte goes.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Makes sure that so many bytes can be written and the reserve is still there after them.
    ///
    /// # Errors
    /// When the disk has no room.
    pub fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let wanted = self.end + bytes + self.reserve;
        if !self.allocates || wanted <= self.allocated {
            return Ok(());
        }
        let step =
            (self.end / 4).clamp((self.reserve / STEPS_IN_RESERVE).clamp(1, LARGEST_STEP), LARGEST_STEP);
        match self.allocate((self.allocated + step).max(wanted)) {
            Err(Errno::NOSPC | Errno::DQUOT) => self.allocate(wanted)?,
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.allocates = false,
            other => other?,
        }
        Ok(())
    }

    /// Whether so many bytes can be written, with what is allocated or can be, at the cost of the reserve.
    pub fn can_take(&mut self, bytes: u64) -> bool {
        let wanted = self.end + bytes;
        !self.allocates
            || wanted <= self.allocated
            || self.make_room(bytes).is_ok()
            || self.allocate(wanted).is_ok()
    }

    fn allocate(&mut self, until: u64) -> Result<(), Errno> {
        let from = self.allocated;
        rustix::io::retry_on_intr(|| fallocate(&self.file, FallocateFlags::KEEP_SIZE, from, until - from))?;
        self.allocated = until;
        Ok(())
    }

    /// Writes at the end, into the reserve if need be. On an error the file is as it was before.
    ///
    /// # Errors
    /// When the disk is full, or cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(bytes, self.end) {
            if self.file.metadata()?.len() > self.end {
                self.cut(self.end)?;
            }
            return Err(error);
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Takes back what is behind `end`. This frees the reserve for a moment; somebody else may be quicker to take it.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub fn cut(&mut self, end: u64) -> io::Result<()> {
        self.file.set_len(end)?;
        (self.end, self.allocated) = (end, end);
        if let Err(error) = self.make_room(0) {
            tracing::debug!(%error, "no reserve could be set aside");
        }
        Ok(())
    }

    /// Gives back the reserve.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub fn trim(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.allocated = self.end;
        Ok(())
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// When the disk failed; nobody can say then what of it is there.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
