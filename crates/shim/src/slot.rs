//! The place of a step's exit record: the first page of its output file, written when the step starts, so that a disk that the
//! step's output filled does not cost its exit status, and so that a step takes one file.
//!
//! ```text
//! header 16 | token 64 | length 4 | crc32 4 | the record, as JSON | zeros
//! ```
//!
//! The page is filled by one write, which a shim that is killed makes whole or not at all; the checksum is for a machine that
//! stops, and for whoever reads meanwhile. So the record is complete or absent.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::ShimError;
use crate::frame::{HEADER, exit_header};
use crate::record::ExitRecord;

/// Bytes of the place, header and all: one page, and more than a record ever takes.
pub const SLOT: usize = 4096;
/// Room for a token.
pub const TOKEN: usize = 64;
/// Where the record's length stands; its checksum and the record follow.
const RECORD: usize = HEADER + TOKEN;
/// The length and the checksum.
const CHECK: usize = 8;

/// A place without a record, that tells by which token the step's processes are known. The start tells it too, but only when there is
/// a process; a shim that dies in between leaves this.
///
/// # Panics
/// When the token is longer than its room, which no token of the shim's is.
#[must_use]
pub fn empty(token: &str) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..HEADER].copy_from_slice(&exit_header(SLOT - HEADER));
    slot[HEADER..][..token.len()].copy_from_slice(token.as_bytes());
    assert!(token.len() < TOKEN, "a token has its room");
    slot
}

/// Puts a record into the place at the beginning of `output`, over an earlier one if there is one.
///
/// # Errors
/// The system's, and `InvalidData` for a record that has no room.
pub fn fill(output: &File, record: &ExitRecord) -> io::Result<()> {
    let json = serde_json::to_vec(record)?;
    if RECORD + CHECK + json.len() > SLOT {
        return Err(io::Error::new(ErrorKind::InvalidData, "the exit record has no room"));
    }
    let mut bytes = Vec::with_capacity(CHECK + json.len());
    bytes.extend_from_slice(&(json.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&json).to_le_bytes());
    bytes.extend_from_slice(&json);
    output.write_all_at(&bytes, RECORD as u64)
}

/// Whose output it is now: what stands in the token's room, and nothing before it is written. A file that is used again has another.
///
/// # Errors
/// The system's.
pub fn mark(output: &File) -> io::Result<Option<[u8; TOKEN]>> {
    let mut room = [0; TOKEN];
    match output.read_exact_at(&mut room, HEADER as u64) {
        Ok(()) => Ok(Some(room).filter(|room| room[0] != 0)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// What stands in the place at the beginning of an output.
pub(crate) struct Slot(Vec<u8>);

impl Slot {
    /// `None` when there is no output, or it has no whole place yet.
    pub(crate) fn read(output: &Path) -> Result<Option<Self>, ShimError> {
        let failed = |source| ShimError::File { path: output.to_owned(), source };
        let file = match File::open(output) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        let mut slot = vec![0; SLOT];
        match file.read_exact_at(&mut slot, 0) {
            Ok(()) => Ok((slot[..HEADER] == exit_header(SLOT - HEADER)).then_some(Self(slot))),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    pub(crate) fn token(&self) -> Option<String> {
        let token = self.0[HEADER..RECORD].split(|byte| *byte == 0).next()?;
        let is_token =
            !token.is_empty() && token.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-');
        is_token.then(|| String::from_utf8(token.to_vec()).ok())?
    }

    /// The record's JSON, when it is there and whole.
    pub(crate) fn record(&self) -> Option<&[u8]> {
        let (length, rest) = self.0[RECORD..].split_first_chunk()?;
        let (checksum, rest) = rest.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let json = rest.get(..length).filter(|json| !json.is_empty())?;
        (crc32fast::hash(json) == u32::from_le_bytes(*checksum)).then_some(json)
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::StepId;
    use crate::record::{ExitStatus, Instants, OutputState, StepFiles, Usage};

    use super::*;

    fn record(step: &str) -> ExitRecord {
        ExitRecord {
            version: 1,
            step: StepId::new(step),
            pid: 1,
            status: ExitStatus::Code(7),
            started: Instants::now(),
            finished: Instants::now(),
            usage: Usage::default(),
            out_of_memory: false,
            ended_by: None,
            output: OutputState::default(),
        }
    }

    #[test]
    fn a_record_is_there_once_it_is_filled_in_and_the_token_before() {
        let folder = tempfile::tempdir().unwrap();
        let files = StepFiles::in_folder(folder.path());
        assert!(files.noted_token().is_none() && ExitRecord::read(&files).unwrap().is_none());
        std::fs::write(files.output(), empty("0af-12")).unwrap();
        assert_eq!(files.noted_token().as_deref(), Some("0af-12"));
        assert!(ExitRecord::read(&files).unwrap().is_none());
        let file = File::options().write(true).open(files.output()).unwrap();
        for step in ["a/long-one", "b"] {
            fill(&file, &record(step)).unwrap();
            assert_eq!(ExitRecord::read(&files).unwrap().unwrap().step.as_str(), step);
        }
        assert_eq!(file.metadata().unwrap().len(), SLOT as u64, "it stays within its place");
    }

    #[test]
    fn a_record_that_is_not_whole_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let files = StepFiles::in_folder(folder.path());
        std::fs::write(files.output(), empty("0af-12")).unwrap();
        let file = File::options().write(true).open(files.output()).unwrap();
        fill(&file, &record("s")).unwrap();
        let whole = std::fs::read(files.output()).unwrap();
        for cut in [RECORD + 2, RECORD + CHECK + 20] {
            let mut torn = whole.clone();
            torn[cut..].fill(0);
            std::fs::write(files.output(), &torn).unwrap();
            assert!(ExitRecord::read(&files).unwrap().is_none(), "{cut}");
        }
        std::fs::write(files.output(), &whole[..SLOT - 1]).unwrap();
        assert!(ExitRecord::read(&files).unwrap().is_none());
    }

    #[test]
    fn a_record_that_has_no_room_is_refused() {
        let file = tempfile::tempfile().unwrap();
        assert!(fill(&file, &record(&"x".repeat(SLOT))).is_err());
    }
}
