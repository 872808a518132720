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
    /// A record is whole, but says something that this program does not know.
    #[error("line {line} was written by another version of Jobwright: {why}")]
    Unknown {
        /// The line, from 1.
        line: usize,
        /// What is not known.
        why: String,
    },
}

/// Why a line is no record.
enum LineError {
    /// It is not as it was written, or was never written whole.
    Damaged(String),
    /// It is as it was written.
    Unknown(String),
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
/// being written, and is left out; the same anywhere else is an error, and so is a whole record that says what nobody here knows.
pub(crate) fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Result<Decoded<R>, FormatError> {
    let mut records = Vec::new();
    let mut whole = 0;
    for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let number = index + 1;
        match decode_line(line) {
            Ok(record) => records.push(record),
            Err(LineError::Unknown(why)) => return Err(FormatError::Unknown { line: number, why }),
            Err(LineError::Damaged(_)) if whole + line.len() == bytes.len() => break,
            Err(LineError::Damaged(why)) => return Err(FormatError::Damaged { line: number, why }),
        }
        whole += line.len();
    }
    Ok(Decoded { records, whole })
}

/// Reads every record that is whole, wherever damage lies.
///
/// # Errors
/// [`FormatError::Unknown`].
pub(crate) fn salvage<R: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<R>, FormatError> {
    let mut records = Vec::new();
    for (index, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        match decode_line(line) {
            Ok(record) => records.push(record),
            Err(LineError::Unknown(why)) => return Err(FormatError::Unknown { line: index + 1, why }),
            Err(LineError::Damaged(_)) => {}
        }
    }
    Ok(records)
}

fn decode_line<R: DeserializeOwned>(line: &[u8]) -> Result<R, LineError> {
    let damaged = |why: &str| LineError::Damaged(why.to_owned());
    let line = line.strip_suffix(b"\n").ok_or_else(|| damaged("it has no end"))?;
    let (sum, json) = line.split_at_checked(9).ok_or_else(|| damaged("it is too short"))?;
    let sum = std::str::from_utf8(sum).ok().and_then(|text| u32::from_str_radix(text.trim_end(), 16).ok());
    if sum != Some(crc32fast::hash(json)) {
        return Err(damaged("its checksum does not fit"));
    }
    serde_json::from_slice(json).map_err(|error| LineError::Unknown(error.to_string()))
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
                Err(other) => prop_assert!(false, "{other}"),
                Ok(decoded) => prop_assert_eq!(decoded.records, vec!["one".to_owned(), "two".to_owned()]),
            }
        }
    }

    /// A record, and whether it was synced.
    type Written = (String, bool);

    /// What a power cut leaves of `written`: all that was synced; of the rest, sectors that were written, were not, or hold zeros.
    fn after_power_cut(written: &[Written], fate: &[u8]) -> Vec<u8> {
        const SECTOR: usize = 16;
        let (mut bytes, mut synced) = (Vec::new(), 0);
        for (record, sync) in written {
            bytes.extend(encode(record).unwrap());
            synced = if *sync { bytes.len() } else { synced };
        }
        let mut end = bytes.len();
        for (sector, fate) in (synced..bytes.len()).step_by(SECTOR).zip(fate) {
            match fate % 4 {
                0 => bytes[sector..(sector + SECTOR).min(end)].fill(0),
                1 => {
                    end = sector;
                    break;
                }
                _ => {}
            }
        }
        bytes.truncate(end);
        bytes
    }

    proptest! {
        #[test]
        fn a_power_cut_takes_nothing_that_was_synced_and_makes_nothing_up(
            written in prop::collection::vec((".{0,40}", any::<bool>()), 0..8),
            fate in prop::collection::vec(any::<u8>(), 64),
        ) {
            let bytes = after_power_cut(&written, &fate);
            let synced = written.iter().rposition(|(_, sync)| *sync).map_or(0, |last| last + 1);
            let all: Vec<&String> = written.iter().map(|(record, _)| record).collect();
            match decode::<String>(&bytes) {
                Ok(decoded) => {
                    prop_assert!(decoded.records.len() >= synced);
                    prop_assert_eq!(decoded.records.iter().collect::<Vec<_>>(), &all[..decoded.records.len()]);
                }
                Err(FormatError::Damaged { line, .. }) => prop_assert!(line > synced),
                Err(other) => prop_assert!(false, "{other}"),
            }
            let salvaged = salvage::<String>(&bytes).unwrap();
            prop_assert!(salvaged.len() >= synced);
            prop_assert_eq!(salvaged[..synced].iter().collect::<Vec<_>>(), &all[..synced]);
            let mut rest = all[synced..].iter();
            prop_assert!(salvaged[synced..].iter().all(|record| rest.any(|known| *known == record)), "{salvaged:?}");
        }
    }

    #[test]
    fn a_whole_record_that_nobody_here_knows_is_no_torn_tail() {
        let bytes = [lines(&["one".into()]), encode(&7).unwrap()].concat();
        let error = decode::<String>(&bytes).unwrap_err();
        assert!(matches!(error, FormatError::Unknown { line: 2, .. }), "{error}");
        assert!(error.to_string().contains("another version of Jobwright"));
    }
}
