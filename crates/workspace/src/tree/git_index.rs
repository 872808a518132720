//! Reads which paths git tracks, from a repository's index: git's ignore rules do not apply to tracked files.
//!
//! The format is git's `Documentation/gitformat-index.txt`, versions 2 to 4. Only the paths are read. Not here: anything that writes, and
//! split indexes (`core.splitIndex`), which are reported as not understood.

use std::collections::HashSet;

/// The tracked paths of a repository, and every directory above one.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    paths: HashSet<Vec<u8>>,
}

impl Tracked {
    /// Whether `path` (relative to the repository's top) is tracked, or is a directory with something tracked in it.
    pub(super) fn contains(&self, path: &[u8]) -> bool {
        self.paths.contains(path)
    }

    /// Reads an index whose object names have `hash_len` bytes (20 for SHA-1, 32 for SHA-256).
    pub(super) fn parse(index: &[u8], hash_len: usize) -> Result<Self, String> {
        let mut reader = Reader { bytes: index, at: 0 };
        if reader.take(4)? != b"DIRC" {
            return Err("it is not a git index".to_owned());
        }
        let version = reader.u32()?;
        if !(2..=4).contains(&version) {
            return Err(format!("version {version} of git's index is not known; known are 2 to 4"));
        }
        let count = reader.u32()?;
        let mut tracked = Self::default();
        let mut path = Vec::new();
        for _ in 0..count {
            reader.entry(version, hash_len, &mut path)?;
            tracked.insert(&path);
        }
        match reader.refers_to_another_index(hash_len) {
            true => Err("a split index is not understood; turn core.splitIndex off".to_owned()),
            false => Ok(tracked),
        }
    }

    fn insert(&mut self, path: &[u8]) {
        let mut path = path.strip_suffix(b"/").unwrap_or(path);
        while self.paths.insert(path.to_vec()) {
            let Some(slash) = path.iter().rposition(|&byte| byte == b'/') else { break };
            path = &path[..slash];
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len()).ok_or("it is cut short")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(self.take(4)?.iter().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    /// Reads one entry and leaves its path in `path`, which holds the path before it (version 4 tells the difference only).
    fn entry(&mut self, version: u32, hash_len: usize, path: &mut Vec<u8>) -> Result<(), String> {
        const EXTENDED: u8 = 0x40;
        const STAT_LEN: usize = 40;
        let start = self.at;
        self.take(STAT_LEN + hash_len)?;
        let flags = self.take(2)?;
        if version >= 3 && flags[0] & EXTENDED != 0 {
            self.take(2)?;
        }
        if version == 4 {
            let dropped = self.offset()?;
            let kept = path.len().checked_sub(dropped).ok_or("a path in it is wrong")?;
            path.truncate(kept);
            path.extend_from_slice(self.until_nul()?);
        } else {
            path.clear();
            path.extend_from_slice(self.until_nul()?);
            // One NUL has been read; entries are filled up with NULs to a multiple of eight bytes.
            self.take((8 - (self.at - start) % 8) % 8)?;
        }
        Ok(())
    }

    fn until_nul(&mut self) -> Result<&'a [u8], String> {
        let len = self.bytes[self.at..].iter().position(|&byte| byte == 0).ok_or("it is cut short")?;
        Ok(&self.take(len + 1)?[..len])
    }

    /// The variable-width number of git's pack format.
    fn offset(&mut self) -> Result<usize, String> {
        let mut byte = self.take(1)?[0];
        let mut value = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.take(1)?[0];
            value = value
                .checked_add(1)
                .and_then(|value| value.checked_mul(128))
                .ok_or("a path in it is wrong")?
                | usize::from(byte & 0x7f);
        }
        Ok(value)
    }

    /// Whether an extension says that further entries stand in a shared index.
    fn refers_to_another_index(&mut self, hash_len: usize) -> bool {
        while self.at + hash_len < self.bytes.len() {
            let Ok(signature) = self.take(4) else { break };
            let Ok(len) = self.u32() else { break };
            if signature == b"link" {
                return true;
            }
            if self.take(len as usize).is_err() {
                break;
            }
        }
        false
    }
}
