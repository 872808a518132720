//! Brings log and index level when a log is opened: the torn tail of a crash is found, the index is checked against the log and
//! made anew where it does not fit. Changes no file; the one who opens to write does.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};
use std::os::unix::fs::FileExt as _;

use jiff::Timestamp;
use jobwright_model::RunId;

use super::index::{Index, LineKind, Record, key, optional_key};
use crate::event::{Event, EventKind};
use crate::kinds::OutputPosition;
use crate::told::Told;
use crate::wire::WireEvent;

/// How many records are read at a time.
const RECORDS_AT_A_TIME: usize = 8192;

/// What a log that was there already says of its run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Recovered {
    /// The number of its last event; 0 for a new log.
    pub last_seq: u64,
    /// When that was.
    pub last_time: Timestamp,
    /// Whether that was `run_finished`.
    pub finished: bool,
    /// Bytes of an incomplete last line that were cut; 0 but after a crash.
    pub torn_bytes: u64,
    /// What it tells beside output.
    pub told: Told,
    positions: HashMap<(u64, u64), ResumePosition>,
    /// The newest attempt of each step whose start is told.
    attempts: HashMap<(u64, u64), u32>,
}

/// Where a step's output is to be read from so that none of it is lost or doubled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumePosition {
    /// Nothing of it is in the log.
    Start,
    /// It is in the log up to here.
    At(OutputPosition),
    /// Some of it is in the log and nobody knows up to where: it came without a position, or the index was lost.
    Unknown,
}

impl Recovered {
    pub(crate) fn nothing() -> Self {
        Self {
            last_seq: 0,
            last_time: Timestamp::UNIX_EPOCH,
            finished: false,
            torn_bytes: 0,
            told: Told::default(),
            positions: HashMap::new(),
            attempts: HashMap::new(),
        }
    }

    /// Where the output of the step's attempt, the newest there is, goes on. What was told of the attempts before it is not this one's, whose
    /// start may not have come into the log. Of a step that is no job's, the job is the empty text, and the attempt the first.
    #[must_use]
    pub fn resume_position(&self, job: &str, step: &str, attempt: u32) -> ResumePosition {
        let step = (optional_key(Some(job)), key(step));
        if attempt > self.attempts.get(&step).copied().unwrap_or(1) {
            return ResumePosition::Start;
        }
        self.positions.get(&step).copied().unwrap_or(ResumePosition::Start)
    }
}

/// A log as it is found.
pub(crate) struct Found {
    /// The run of the last line; none in an empty log.
    pub(crate) run_id: Option<String>,
    /// Whole lines end here; what follows is torn.
    pub(crate) lines_end: u64,
    /// Records that fit the log, or the reason to write them all anew.
    pub(crate) index: FoundIndex,
    pub(crate) recovered: Recovered,
}

pub(crate) enum FoundIndex {
    /// The file is good for so many records.
    Good(u64),
    /// These are right, made from the log; positions are lost where they were not in the file.
    Rebuilt(Vec<Record>),
}

/// Looks at a log and its index. Reads no line but the last when they fit.
pub(crate) fn inspect(lines: &File, index: Option<&File>, run_id: &RunId) -> io::Result<Found> {
    let length = lines.metadata()?.len();
    let last = last_line(lines, length)?;
    let lines_end = last.as_ref().map_or(0, |(offset, line, _)| offset + line.len() as u64);
    let index = match index {
        Some(file) if Index::has_header(file, run_id)? => {
            let file = Index::File(file.try_clone()?);
            check(lines, lines_end, &file)?
        }
        _ => FoundIndex::Rebuilt(scan(lines, 0, lines_end)?),
    };
    let mut recovered = Recovered::nothing();
    let run_id = last.as_ref().map(|(_, _, wire)| wire.run_id.clone());
    if let Some((_, _, wire)) = last {
        recovered.last_seq = wire.seq;
        recovered.last_time = wire.time;
        recovered.finished = wire.r#type == "run_finished";
    }
    recovered.torn_bytes = length - lines_end;
    Ok(Found { run_id, lines_end, index, recovered })
}

impl Found {
    /// Adds what is told, and where each step's output goes on. Reads the whole index, and looks at it whole too: when its records do not join
    /// without a gap, it is made anew.
    pub(crate) fn read_positions(&mut self, lines: &File, index: &File) -> io::Result<()> {
        if let FoundIndex::Good(count) = self.index {
            let index = Index::File(index.try_clone()?);
            let (mut at, mut end) = (0, 0);
            while at < count {
                let records = index.read(at, RECORDS_AT_A_TIME.min((count - at) as usize))?;
                if records.is_empty() || !join(&records, end) {
                    self.index = FoundIndex::Rebuilt(scan(lines, 0, self.lines_end)?);
                    self.recovered.positions.clear();
                    self.recovered.attempts.clear();
                    self.recovered.told = Told::default();
                    break;
                }
                self.recovered.note_all(lines, &records)?;
                at += records.len() as u64;
                end = records.last().map_or(end, Record::end);
            }
        }
        if let FoundIndex::Rebuilt(records) = &self.index {
            self.recovered.note_all(lines, records)?;
        }
        Ok(())
    }
}

impl Recovered {
    /// Notes what some lines tell. Those of a step's output are not read.
    fn note_all(&mut self, lines: &File, records: &[Record]) -> io::Result<()> {
        for record in records {
            note(&mut self.positions, record);
            if record.kind == LineKind::Output && record.job != 0 {
                continue;
            }
            let mut line = vec![0; record.length as usize];
            lines.read_exact_at(&mut line, record.offset)?;
            let event =
                serde_json::from_slice::<WireEvent>(&line).ok().and_then(|wire| Event::try_from(wire).ok());
            let Some(event) = event else { continue };
            if let EventKind::StepStarted { attempt, .. } = &event.kind {
                self.attempts.insert((record.job, record.step), *attempt);
            }
            self.told.add(&event.kind);
        }
        Ok(())
    }
}

/// Whether the records' lines follow each other from `start` on, and their numbers rise.
fn join(records: &[Record], start: u64) -> bool {
    records.first().is_none_or(|first| first.offset == start)
        && records.windows(2).all(|pair| pair[0].end() == pair[1].offset && pair[0].seq < pair[1].seq)
}

fn note(positions: &mut HashMap<(u64, u64), ResumePosition>, record: &Record) {
    let step = (record.job, record.step);
    match (record.kind, record.position) {
        (LineKind::StepStarted, _) => {
            positions.remove(&step);
        }
        (LineKind::Output, Some(position)) => {
            positions.insert(step, ResumePosition::At(position));
        }
        (LineKind::Output, None) if record.step != 0 => {
            positions.insert(step, ResumePosition::Unknown);
        }
        _ => {}
    }
}

/// The last line that is whole and an event, with its offset: lines that are not are part of the torn tail (a power cut leaves
/// zeros).
pub(crate) fn last_line(lines: &File, length: u64) -> io::Result<Option<(u64, Vec<u8>, WireEvent)>> {
    let mut end = length;
    while let Some(line_end) = last_line_feed(lines, end)?.map(|at| at + 1) {
        let start = last_line_feed(lines, line_end - 1)?.map_or(0, |at| at + 1);
        let mut line = vec![0; (line_end - start) as usize];
        lines.read_exact_at(&mut line, start)?;
        if let Ok(wire) = serde_json::from_slice(&line) {
            return Ok(Some((start, line, wire)));
        }
        end = start;
    }
    Ok(None)
}

/// Where the last line feed before `end` is.
fn last_line_feed(lines: &File, end: u64) -> io::Result<Option<u64>> {
    const BLOCK: u64 = 64 << 10;
    let mut block = vec![0; BLOCK as usize];
    let mut end = end;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let block = &mut block[..(end - start) as usize];
        lines.read_exact_at(block, start)?;
        if let Some(at) = memchr::memrchr(b'\n', block) {
            return Ok(Some(start + at as u64));
        }
        end = start;
    }
    Ok(None)
}

/// Finds the last record that belongs to a whole line. When that line is the log's last, all is well; when lines follow it, they
/// are read; when its line is not there, the index is not of this log.
fn check(lines: &File, lines_end: u64, index: &Index) -> io::Result<FoundIndex> {
    let mut count = index.count()?;
    while let Some(record) =
        count.checked_sub(1).map(|last| index.read(last, 1)).transpose()?.and_then(|r| r.first().copied())
    {
        if record.end() <= lines_end {
            if !fits(lines, &record)? {
                return Ok(FoundIndex::Rebuilt(scan(lines, 0, lines_end)?));
            }
            if record.end() == lines_end {
                return Ok(FoundIndex::Good(count));
            }
            let mut records = index.read(0, count as usize)?;
            let good = if join(&records, 0) { record.end() } else { 0 };
            records.truncate(if good > 0 { records.len() } else { 0 });
            records.extend(scan(lines, good, lines_end)?);
            return Ok(FoundIndex::Rebuilt(records));
        }
        count -= 1;
    }
    Ok(if lines_end == 0 { FoundIndex::Good(0) } else { FoundIndex::Rebuilt(scan(lines, 0, lines_end)?) })
}

/// Whether the record's line is where it says.
pub(crate) fn fits(lines: &File, record: &Record) -> io::Result<bool> {
    let mut line = vec![0; record.length as usize];
    match lines.read_exact_at(&mut line, record.offset) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    }
    let whole = line.last() == Some(&b'\n');
    Ok(whole && super::encode::read_envelope(&line).is_ok_and(|(seq, _)| seq == record.seq))
}

/// The records of the lines between two offsets. A line that is no event (damage in the middle) has none.
pub(crate) fn scan(lines: &File, start: u64, end: u64) -> io::Result<Vec<Record>> {
    let mut reader = section(lines, start, end)?;
    let mut records = Vec::new();
    let (mut offset, mut line) = (start, Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        let length = line.len() as u64;
        if let Ok(wire) = serde_json::from_slice::<WireEvent>(&line)
            && let Ok(length) = u32::try_from(length)
        {
            records.push(Record::of_line(&wire, offset, length));
        }
        offset += length;
        line.clear();
    }
    Ok(records)
}

fn section(lines: &File, start: u64, end: u64) -> io::Result<BufReader<Take<File>>> {
    // The clone shares its file position with the original; nothing else here uses that.
    let mut lines = lines.try_clone()?;
    lines.seek(SeekFrom::Start(start))?;
    Ok(BufReader::with_capacity(256 << 10, lines.take(end - start)))
}
