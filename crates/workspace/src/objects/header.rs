//! What an archive says of itself, before its contents: whose it is, how large, and a sum over what follows.
//!
//! It stands in a skippable frame, so that `zstd -d` and `tar --zstd` read such a file like any other. Not for the contents.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::digest::LENGTH;

/// The first of the magic numbers that zstd gives to frames that are skipped.
const MAGIC: [u8; 4] = 0x184D_2A50_u32.to_le_bytes();
/// The longest header that is believed, in bytes.
const LONGEST: usize = 64 << 10;
/// The longest name or scope, in bytes; a longer one is cut.
const LONGEST_TEXT: usize = 4096;
/// The version of the form.
const FORM: u32 = 1;

/// Whose an archive is, for people; it decides nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The key of a cache, the job of artifacts.
    pub name: String,
    /// The project that a cache belongs to.
    pub scope: String,
}

impl Label {
    /// A label, cut to 4 KiB each.
    #[must_use]
    pub fn new(name: &str, scope: &str) -> Self {
        Self { name: cut(name), scope: cut(scope) }
    }
}

fn cut(text: &str) -> String {
    if text.len() <= LONGEST_TEXT {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(LONGEST_TEXT)])
}

/// What is in an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Members of all kinds.
    pub members: u64,
    /// Bytes of the files' contents.
    pub bytes: u64,
    /// Bytes on disk, without the header.
    pub packed: u64,
    /// When it was written, in seconds since 1970.
    pub written: u64,
}

impl Contents {
    /// When it was written, to the second.
    #[must_use]
    pub fn stored(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(self.written))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// The whole header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) form: u32,
    pub(super) label: Label,
    pub(super) contents: Contents,
    /// The CRC-32 of everything behind the header.
    pub(super) sum: u32,
    /// The digest of the members; empty in archives of an older Jobwright.
    #[serde(default)]
    pub(super) digest: String,
}

impl Header {
    pub(super) fn new(label: Label, contents: Contents, sum: u32, digest: String) -> Self {
        Self { form: FORM, label, contents, sum, digest }
    }

    /// Leaves room at the beginning of `file` for a header with this label, whatever its numbers.
    pub(super) fn reserve(file: &mut File, label: &Label) -> io::Result<u64> {
        let largest = Contents { members: u64::MAX, bytes: u64::MAX, packed: u64::MAX, written: u64::MAX };
        let room = Self::new(label.clone(), largest, u32::MAX, "0".repeat(LENGTH)).text()?.len();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[0; 8])?;
        file.write_all(&vec![b' '; room])?;
        Ok(room as u64)
    }

    /// Writes the header into its `room`, and so makes the file one that can be read.
    pub(super) fn fill(&self, file: &mut File, room: u64) -> io::Result<()> {
        let mut text = self.text()?;
        let room = usize::try_from(room).map_err(io::Error::other)?;
        text.resize(room, b' ');
        let length = u32::try_from(room).map_err(io::Error::other)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[MAGIC, length.to_le_bytes()].concat())?;
        file.write_all(&text)
    }

    /// Reads the header of `file` and leaves the file at what follows; none for what was not written here.
    pub(super) fn read(file: &mut File) -> io::Result<Option<Self>> {
        let mut start = [0; 8];
        if let Err(error) = file.read_exact(&mut start) {
            return if error.kind() == io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
        }
        let (magic, length) = start.split_at(4);
        let length = length.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        if magic != MAGIC || length > LONGEST {
            return Ok(None);
        }
        let mut text = Vec::with_capacity(length);
        file.take(length as u64).read_to_end(&mut text)?;
        let header = serde_json::from_slice(&text).ok();
        Ok(header.filter(|header: &Self| header.form == FORM && text.len() == length))
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(io::Error::other)
    }
}
