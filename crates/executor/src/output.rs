//! What an execution writes, on disk: `output`, every byte of both streams in the order in which it came, and `output.index`, which says of
//! each piece where it is from and where the backend's log goes on after it. So any range of it is read without what lies before, and whoever
//! takes the execution over goes on at the byte where it stopped. Not for who reads it (`reader`), nor for where else it goes (`copies`).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jobwright_backend::{LogPosition, StreamKind};
use jobwright_runtime::{ResumePoint, ToldBefore};
use tokio::sync::watch;

use crate::copies::Copies;

pub(crate) const DATA: &str = "output";
pub(crate) const INDEX: &str = "output.index";
/// The length of a record of the index.
pub(crate) const RECORD: usize = 40;

/// One piece, as the index has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) stream: StreamKind,
    pub(crate) offset: u64,
    pub(crate) length: u32,
    resume: ResumePoint,
}

impl Piece {
    fn to_bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[0] = 1 + lane(self.stream) as u8;
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        let numbers = [self.offset, self.resume.from.get(), self.resume.skip_stdout, self.resume.skip_stderr];
        for (place, number) in numbers.into_iter().enumerate() {
            bytes[8 + place * 8..][..8].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// None of what no piece was ever written as: a power cut leaves zeros.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let stream = match bytes.first()? {
            1 => StreamKind::Stdout,
            2 => StreamKind::Stderr,
            _ => return None,
        };
        let length = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
        let number =
            |place: usize| Some(u64::from_le_bytes(bytes.get(8 + place * 8..)?.get(..8)?.try_into().ok()?));
        let resume = ResumePoint {
            from: LogPosition::new(number(1)?),
            skip_stdout: number(2)?,
            skip_stderr: number(3)?,
        };
        Some(Self { stream, offset: number(0)?, length, resume })
    }

    pub(crate) fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

pub(crate) fn lane(stream: StreamKind) -> usize {
    match stream {
        StreamKind::Stdout => 0,
        StreamKind::Stderr => 1,
    }
}

/// The output of an execution that this process owns.
pub(crate) struct Output {
    files: Mutex<Files>,
    /// How many bytes there are.
    end: watch::Sender<u64>,
}

struct Files {
    data: File,
    index: File,
    records: u64,
    end: u64,
    /// How many bytes of each stream are in it.
    ends: [u64; 2],
    last: Option<ResumePoint>,
    copies: Copies,
    /// For the bytes and their index.
    quota: u64,
    /// The quota is used up, and that was told.
    is_full: bool,
    /// Bytes that the disk did not take since the last that it took.
    left_out: u64,
    /// All that were ever left out.
    missing: u64,
    /// From here on nothing may be shown, and that was told.
    is_withheld: bool,
}

impl Output {
    /// Opens, or makes, the files in `folder`; what a torn end has is cut. What goes beyond `quota` bytes, with its index, is left out, which
    /// is told in its place.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn open(folder: &Path, quota: u64) -> io::Result<Self> {
        let open = |name: &str| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(folder.join(name))
        };
        let (data, index) = (open(DATA)?, open(INDEX)?);
        let mut files = Files {
            data,
            index,
            records: 0,
            end: 0,
            ends: [0; 2],
            last: None,
            copies: Copies::none(),
            quota,
            is_full: false,
            left_out: 0,
            missing: 0,
            is_withheld: false,
        };
        files.recover()?;
        files.is_full = files.room() == 0;
        let end = watch::Sender::new(files.end);
        Ok(Self { files: Mutex::new(files), end })
    }

    /// From now on what is added goes there too.
    pub(crate) fn copy_to(&self, copies: impl FnOnce([u64; 2]) -> io::Result<Copies>) -> io::Result<()> {
        let mut files = self.files();
        files.copies = copies(files.ends)?;
        Ok(())
    }

    /// Nothing more is added: the copies are given free for others.
    pub(crate) fn close(&self) {
        self.files().copies = Copies::none();
    }

    /// Adds a piece. What the disk does not take is left out: it is counted, and told in its place when there is room again.
    pub(crate) fn add(&self, stream: StreamKind, bytes: &[u8], resume: ResumePoint) {
        let mut files = self.files();
        files.add(stream, bytes, resume);
        let end = files.end;
        drop(files);
        self.end.send_replace(end);
    }

    /// Counts bytes that nobody may see, because nothing could mask them; the first time it is told in their place.
    pub(crate) fn withhold(&self, bytes: u64) {
        let mut files = self.files();
        files.withhold(bytes);
        let end = files.end;
        drop(files);
        self.end.send_replace(end);
    }

    /// How much of its step's log is in here.
    pub(crate) fn told(&self) -> ToldBefore {
        ToldBefore::UpTo(self.files().last.unwrap_or_default())
    }

    /// How many bytes were left out.
    pub(crate) fn missing(&self) -> u64 {
        self.files().missing
    }

    /// How many bytes of each stream there are.
    pub(crate) fn lengths(&self) -> [u64; 2] {
        self.files().ends
    }

    /// Tells how many bytes there are, each time there are more.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    /// Finds the end: the last piece whose bytes are all there.
    fn recover(&mut self) -> io::Result<()> {
        let there = self.data.metadata()?.len();
        let mut block = vec![0; RECORD * 4096];
        loop {
            let length = self.index.read_at(&mut block, self.records * RECORD as u64)?;
            let mut whole = true;
            for record in block[..length].chunks_exact(RECORD) {
                let piece = Piece::from_bytes(record);
                let Some(piece) = piece.filter(|piece| piece.offset == self.end && piece.end() <= there)
                else {
                    whole = false;
                    break;
                };
                self.take(&piece);
            }
            if !whole || length < block.len() {
                break;
            }
        }
        self.index.set_len(self.records * RECORD as u64)?;
        self.data.set_len(self.end)
    }

    fn take(&mut self, piece: &Piece) {
        self.records += 1;
        self.end = piece.end();
        self.ends[lane(piece.stream)] += u64::from(piece.length);
        self.last = Some(piece.resume);
    }

    fn add(&mut self, stream: StreamKind, bytes: &[u8], resume: ResumePoint) {
        let kept = match self.is_full {
            true => &[],
            false => &bytes[..bytes.len().min(usize::try_from(self.room()).unwrap_or(usize::MAX))],
        };
        if let Err(error) = self.tell_gap().and_then(|()| self.write(stream, kept, resume)) {
            if self.left_out == 0 {
                tracing::error!(%error, "an execution's output cannot be written; it is left out until it can");
            }
            self.left_out += bytes.len() as u64;
            self.missing += bytes.len() as u64;
            return;
        }
        let beyond = bytes.len() - kept.len();
        self.missing += beyond as u64;
        if beyond > 0 && !self.is_full {
            self.is_full = true;
            let text = format!(
                "\n[jobwright: here the {} bytes end that are kept of an execution's output; the rest is left out]\n",
                self.quota
            );
            if let Err(error) = self.write(StreamKind::Stderr, text.as_bytes(), resume) {
                tracing::error!(%error, "that an execution's output ends here cannot be written");
            }
        }
    }

    fn withhold(&mut self, bytes: u64) {
        self.missing += bytes;
        if std::mem::replace(&mut self.is_withheld, true) {
            return;
        }
        let text = "\n[jobwright: from here on the output is withheld: the values of the secrets are gone]\n";
        let resume = self.last.unwrap_or_default();
        if let Err(error) = self.write(StreamKind::Stderr, text.as_bytes(), resume) {
            tracing::error!(%error, "that an execution's output is withheld cannot be written");
        }
    }

    /// How many bytes another piece may have.
    fn room(&self) -> u64 {
        self.quota.saturating_sub(self.end + (self.records + 1) * RECORD as u64)
    }

    fn tell_gap(&mut self) -> io::Result<()> {
        if self.left_out == 0 || self.is_full {
            return Ok(());
        }
        let text = format!(
            "\n[jobwright: {} bytes of output are missing here, the disk took no more]\n",
            self.left_out
        );
        let resume = self.last.unwrap_or_default();
        self.write(StreamKind::Stderr, text.as_bytes(), resume)?;
        self.left_out = 0;
        Ok(())
    }

    /// The bytes first: a record without its bytes would be found, and be believed.
    fn write(&mut self, stream: StreamKind, bytes: &[u8], resume: ResumePoint) -> io::Result<()> {
        for part in bytes.chunks(u32::MAX as usize) {
            let length = u32::try_from(part.len()).expect("it is a part of that length");
            let piece = Piece { stream, offset: self.end, length, resume };
            self.data.write_all_at(part, self.end)?;
            self.index.write_all_at(&piece.to_bytes(), self.records * RECORD as u64)?;
            self.copies.write(stream, part, self.ends[lane(stream)]);
            self.take(&piece);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(from: u64) -> ResumePoint {
        ResumePoint { from: LogPosition::new(from), skip_stdout: 1, skip_stderr: 2 }
    }

    fn text(folder: &Path) -> String {
        String::from_utf8(std::fs::read(folder.join(DATA)).unwrap()).unwrap()
    }

    #[test]
    fn what_was_added_is_there_after_a_crash_and_goes_on_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::open(folder.path(), u64::MAX).unwrap();
        output.add(StreamKind::Stdout, b"one\n", point(4));
        output.add(StreamKind::Stderr, b"two\n", point(8));
        drop(output);
        let again = Output::open(folder.path(), u64::MAX).unwrap();
        assert_eq!(again.told(), ToldBefore::UpTo(point(8)));
        again.add(StreamKind::Stdout, b"three\n", point(12));
        assert_eq!(text(folder.path()), "one\ntwo\nthree\n");
        assert_eq!(again.lengths(), [10, 4]);
    }

    #[test]
    fn a_torn_end_is_cut_wherever_it_was_torn() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::open(folder.path(), u64::MAX).unwrap();
        output.add(StreamKind::Stdout, b"one\n", point(4));
        output.add(StreamKind::Stdout, b"two\n", point(8));
        drop(output);
        let (data, index) = (folder.path().join(DATA), folder.path().join(INDEX));
        for (bytes, records, expected) in
            [(6, 80, "one\n"), (8, 75, "one\n"), (8, 0, ""), (0, 80, ""), (8, 80, "one\ntwo\n")]
        {
            let torn = tempfile::tempdir().unwrap();
            std::fs::copy(&data, torn.path().join(DATA)).unwrap();
            std::fs::copy(&index, torn.path().join(INDEX)).unwrap();
            File::options().write(true).open(torn.path().join(DATA)).unwrap().set_len(bytes).unwrap();
            File::options().write(true).open(torn.path().join(INDEX)).unwrap().set_len(records).unwrap();
            let _output = Output::open(torn.path(), u64::MAX).unwrap();
            assert_eq!(text(torn.path()), expected, "{bytes} bytes, {records} of the index");
        }
    }

    #[test]
    fn zeros_of_a_power_cut_are_no_pieces() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(DATA), [0; 100]).unwrap();
        std::fs::write(folder.path().join(INDEX), [0; 400]).unwrap();
        let output = Output::open(folder.path(), u64::MAX).unwrap();
        assert_eq!(
            (output.told(), text(folder.path())),
            (ToldBefore::UpTo(ResumePoint::default()), String::new())
        );
    }

    #[test]
    fn what_goes_beyond_the_quota_is_counted_and_told_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let quota = 6 + 2 * RECORD as u64;
        let output = Output::open(folder.path(), quota).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            output.add(StreamKind::Stdout, line.as_bytes(), point(4));
        }
        let told = "one\ntw\n[jobwright: here the 86 bytes end that are kept of an execution's output; the rest is left out]\n";
        assert_eq!((text(folder.path()).as_str(), output.missing()), (told, 8));
        drop(output);
        let again = Output::open(folder.path(), quota).unwrap();
        again.add(StreamKind::Stdout, b"four\n", point(8));
        assert_eq!((text(folder.path()).as_str(), again.missing()), (told, 5), "it is told once");
    }

    #[test]
    fn what_nobody_may_see_is_counted_and_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::open(folder.path(), u64::MAX).unwrap();
        output.add(StreamKind::Stdout, b"one\n", point(4));
        output.withhold(4);
        output.withhold(6);
        let told =
            "one\n\n[jobwright: from here on the output is withheld: the values of the secrets are gone]\n";
        assert_eq!((text(folder.path()).as_str(), output.missing()), (told, 10));
        assert_eq!(output.told(), ToldBefore::UpTo(point(4)), "who comes after knows where it was left");
    }

    #[test]
    fn many_small_pieces_use_the_quota_up_by_their_index() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::open(folder.path(), 4 * RECORD as u64 + 100).unwrap();
        (0..1000).for_each(|_| output.add(StreamKind::Stdout, b"x", point(0)));
        assert_eq!(output.lengths()[0], 6);
    }
}
