//! The index beside the log: one record of fixed size per line, so that any `seq`, and one job's lines, are found without
//! reading the lines before. Also keeps what is not on the wire: raw log positions. Not for the lines themselves.
//!
//! A record is written before its line, so that after a kill no whole line is without one; what the index has beyond the end of
//! the log is cut when the log is opened to write.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use jobwright_model::RunId;

use crate::event::{Event, EventKind};
use crate::kinds::OutputPosition;
use crate::wire::WireEvent;

/// The file's name in a run's folder.
pub const INDEX_FILE: &str = "events.idx";

/// Format and version; another version is another text, and its index is made anew from the log.
const MAGIC: &[u8; 8] = b"JWEVIDX2";

/// Bytes of a record, and of the header before the first.
pub(crate) const RECORD: usize = 64;
pub(crate) const HEADER: u64 = RECORD as u64;

/// "No position is known" in a record.
const NO_POSITION: u64 = u64::MAX;

/// What a line is, as far as readers of the index care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum LineKind {
    Other = 0,
    Output = 1,
    StepStarted = 2,
    RunFinished = 3,
}

/// Where one line is, and whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) seq: u64,
    /// Of the line's first byte in the log.
    pub(crate) offset: u64,
    /// With the line feed.
    pub(crate) length: u32,
    pub(crate) kind: LineKind,
    /// [`key`] of the names; 0 for none.
    pub(crate) job: u64,
    pub(crate) step: u64,
    pub(crate) position: Option<OutputPosition>,
}

/// The header of a run's index.
pub(crate) fn header(run_id: &RunId) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[..8].copy_from_slice(MAGIC);
    let id = run_id.as_str().as_bytes();
    bytes[8..8 + id.len()].copy_from_slice(id);
    bytes
}

/// A number that stands for a name: FNV-1a, as it must be the same in every version; never 0.
pub(crate) fn key(name: &str) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.max(1)
}

pub(crate) fn optional_key(name: Option<&str>) -> u64 {
    name.filter(|name| !name.is_empty()).map_or(0, key)
}

impl Record {
    /// The record of an event whose line lies at `offset`.
    pub(crate) fn of(event: &Event, offset: u64, length: u32) -> Self {
        let (kind, job, step, position) = match &event.kind {
            EventKind::LogLine { job, step, position, .. }
            | EventKind::LogGap { job, step, position, .. } => {
                (LineKind::Output, job.as_deref(), step.as_deref(), *position)
            }
            EventKind::StepStarted { job, step, .. } => {
                (LineKind::StepStarted, Some(&**job), Some(&**step), None)
            }
            EventKind::RunFinished { .. } => (LineKind::RunFinished, None, None, None),
            _ => (LineKind::Other, None, None, None),
        };
        let (job, step) = (optional_key(job), optional_key(step));
        Self { seq: event.seq, offset, length, kind, job, step, position }
    }

    /// The record of a line that was read back; its position is lost.
    pub(crate) fn of_line(wire: &WireEvent, offset: u64, length: u32) -> Self {
        let kind = match wire.r#type.as_str() {
            "log_line" => LineKind::Output,
            "step_started" => LineKind::StepStarted,
            "run_finished" => LineKind::RunFinished,
            _ => LineKind::Other,
        };
        let named = matches!(kind, LineKind::Output | LineKind::StepStarted);
        let key = |name: &str| if named { optional_key(Some(name)) } else { 0 };
        Self {
            seq: wire.seq,
            offset,
            length,
            kind,
            job: key(&wire.job),
            step: key(&wire.step),
            position: None,
        }
    }

    /// The first byte behind the line.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.length.into())
    }

    pub(crate) fn to_bytes(self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[0..8].copy_from_slice(&self.seq.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.job.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.step.to_le_bytes());
        let position = self.position.unwrap_or(OutputPosition::at(NO_POSITION));
        bytes[32..40].copy_from_slice(&position.from.to_le_bytes());
        bytes[40..48].copy_from_slice(&position.skip_stdout.to_le_bytes());
        bytes[48..56].copy_from_slice(&position.skip_stderr.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.length.to_le_bytes());
        bytes[60] = self.kind as u8;
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; RECORD]) -> Self {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let position = OutputPosition { from: number(32), skip_stdout: number(40), skip_stderr: number(48) };
        Self {
            seq: number(0),
            offset: number(8),
            job: number(16),
            step: number(24),
            position: (position.from != NO_POSITION).then_some(position),
            length: u32::from_le_bytes(std::array::from_fn(|byte| bytes[56 + byte])),
            kind: match bytes[60] {
                1 => LineKind::Output,
                2 => LineKind::StepStarted,
                3 => LineKind::RunFinished,
                _ => LineKind::Other,
            },
        }
    }
}

/// The records of an index file, or those made from the log where the file was of no use.
#[derive(Debug)]
pub(crate) enum Index {
    File(File),
    Memory(Vec<Record>),
}

impl Index {
    /// How many records there are (now: a file may grow).
    pub(crate) fn count(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len().saturating_sub(HEADER) / RECORD as u64),
            Self::Memory(records) => Ok(records.len() as u64),
        }
    }

    /// Up to `most` records from the one with the number `first` (from 0) on.
    pub(crate) fn read(&self, first: u64, most: usize) -> io::Result<Vec<Record>> {
        let there = self.count()?.saturating_sub(first).min(most as u64) as usize;
        match self {
            Self::File(file) => {
                let mut bytes = vec![0; there * RECORD];
                file.read_exact_at(&mut bytes, HEADER + first * RECORD as u64)?;
                Ok(bytes.as_chunks::<RECORD>().0.iter().map(Record::from_bytes).collect())
            }
            Self::Memory(records) => Ok(records[first as usize..first as usize + there].to_vec()),
        }
    }

    /// The number of the first record whose `seq` is at least the given one: looked up directly, as record n is that of
    /// `seq` n + 1 unless lines were left out before it; then by halving.
    pub(crate) fn find(&self, seq: u64) -> io::Result<Option<u64>> {
        let count = self.count()?;
        let seq_at =
            |number: u64| -> io::Result<Option<u64>> { Ok(self.read(number, 1)?.first().map(|r| r.seq)) };
        let (mut low, mut high) = (0, count.min(seq.max(1)));
        if high == seq && seq > 0 && seq_at(seq - 1)? == Some(seq) {
            return Ok(Some(seq - 1));
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if seq_at(middle)?.is_some_and(|found| found < seq) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok((low < count).then_some(low))
    }

    /// Whether the file is this run's index; the records are not looked at.
    pub(crate) fn has_header(file: &File, run_id: &RunId) -> io::Result<bool> {
        let mut found = [0; RECORD];
        match file.read_exact_at(&mut found, 0) {
            Ok(()) => Ok(found == header(run_id)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64) -> Record {
        let (job, step) = (key("a"), key("b"));
        let position = Some(OutputPosition { from: seq, skip_stdout: 1, skip_stderr: 2 });
        Record { seq, offset: seq * 100, length: 100, kind: LineKind::Output, job, step, position }
    }

    #[test]
    fn a_record_comes_back_as_it_went() {
        let skipping = OutputPosition { from: 7, skip_stdout: 8, skip_stderr: 9 };
        for position in [None, Some(OutputPosition::default()), Some(skipping)] {
            for kind in [LineKind::Other, LineKind::Output, LineKind::StepStarted, LineKind::RunFinished] {
                let record = Record { position, kind, ..record(3) };
                assert_eq!(Record::from_bytes(&record.to_bytes()), record);
            }
        }
    }

    #[test]
    fn every_seq_is_found_or_else_the_next_one_that_is_there() {
        for left_out in [vec![], vec![1], vec![3, 4, 5], vec![1, 2, 9, 10]] {
            let there: Vec<u64> = (1..=10).filter(|seq| !left_out.contains(seq)).collect();
            let index = Index::Memory(there.iter().map(|seq| record(*seq)).collect());
            for seq in 0..=12 {
                let expected = there.iter().position(|found| *found >= seq).map(|number| number as u64);
                assert_eq!(index.find(seq).unwrap(), expected, "{seq} without {left_out:?}");
            }
        }
    }

    #[test]
    fn the_key_of_a_name_never_changes_between_versions() {
        assert_eq!(key(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(key("a"), 0xaf63_dc4c_8601_ec8c);
    }
}
