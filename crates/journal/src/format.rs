//! The bytes of a journal: one record a line, `crc32 in 8 hexadecimal digits, a space, the record as JSON, a line feed`. A
//! person can read it; a torn tail shows.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A record that is not the last one is damaged: what came after it cannot be trusted.
    #[error("line {line} is damaged: {why}")]
    Damaged {
        /// The line, from 1.
        line: usize,
        /// What does not fit.
        why: String,
    },
}

/// The line for one record.
pub(crate) fn encode(record: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let json = serde_json::to_vec(record)?;
    let mut line = format!("{:08x} ", crc32fast::hash(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

/// What a journal's bytes hold.
#[derive(Debug)]
pub(crate) struct Decoded<R> {
    /// The whole records.
    pub(crate) records: Vec<R>,
    /// The length of what they take; anything after it is a torn tail.
    pub(crate) whole: usize,
}

/// Reads all records. A last line that is incomplete or does not fit its checksum is what a crash leaves of a record that was
/// being written, and is left out; the same anywhere else is an error.
pub(crate) fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Result<Decoded<R>, FormatError> {
    let mut records = Vec::new();
    let mut whole = 0;
    for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        match decode_line(line) {
            Ok(record) => records.push(record),
            Err(_) if whole + line.len() == bytes.len() => break,
            Err(why) => return Err(FormatError::Damaged { line: index + 1, why }),
        }
        whole += line.len();
    }
    Ok(Decoded { records, whole })
}

fn decode_line<R: DeserializeOwned>(line: &[u8]) -> Result<R, String> {
    let line = line.strip_suffix(b"\n").ok_or("it has no end")?;
    let (sum, json) = line.split_at_checked(9).ok_or("it is too short")?;
    let sum = std::str::from_utf8(sum).ok().and_then(|text| u32::from_str_radix(text.trim_end(), 16).ok());
    if sum != Some(crc32fast::hash(json)) {
        return Err("its checksum does not fit".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| format!("it is no record of this version: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(records: &[String]) -> Vec<u8> {
        records.iter().flat_map(|record| encode(record).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn a_journal_cut_anywhere_gives_back_every_whole_record(
            records in prop::collection::vec(".{0,20}", 0..6), cut in any::<prop::sample::Index>(),
        ) {
            let bytes = lines(&records);
            let cut = cut.index(bytes.len() + 1);
            let decoded = decode::<String>(&bytes[..cut]).unwrap();
            prop_assert_eq!(&decoded.records[..], &records[..decoded.records.len()]);
            prop_assert_eq!(decoded.whole, lines(&decoded.records).len());
            prop_assert!(decoded.whole <= cut);
            let next = records.get(decoded.records.len()).map(|r| encode(r).unwrap().len());
            prop_assert!(next.is_none_or(|next| decoded.whole + next > cut), "a whole record was dropped");
        }

        #[test]
        fn damage_before_the_last_record_is_reported_with_its_line(
            at in any::<prop::sample::Index>(), flip in 1u8..=255,
        ) {
            let mut bytes = lines(&["one".into(), "two".into()]);
            let first = bytes.iter().position(|b| *b == b'\n').unwrap();
            let at = at.index(first);
            bytes[at] ^= flip;
            // Changing the case of a checksum's digit changes nothing; a new line feed only moves the damage.
            match decode::<String>(&bytes) {
                Err(FormatError::Damaged { line, .. }) => prop_assert!(line <= 2),
                Ok(decoded) => prop_assert_eq!(decoded.records, vec!["one".to_owned(), "two".to_owned()]),
            }
        }
    }
}
