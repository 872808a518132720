//! Writing an attempt's log. An entry's output is kept in pieces of whole UTF-8; each begins at the byte that is its number.

use std::time::Duration;

use jobwright_model::{LogEntry, Speaker};

use super::held::{Held, held, held_or_counted};
use crate::database::{Operation, Statement, Touched, Transaction};
use crate::error::{Error, Result};
use crate::queue::AddedLog;
use crate::value::{Row, Value, values};

/// The longest piece in bytes.
const PIECE: usize = 64 << 10;
/// A last piece that is shorter is written anew with what comes after it, so that an output of many small parts does not lie in as many rows.
const SHORT: usize = 4 << 10;
/// So many pieces are read at once.
pub(super) const AT_ONCE: usize = 16;

/// Which entry: queue, number of the job, attempt, entry.
pub(super) fn place(speaker: &Speaker, attempt: u32, entry: u64) -> Vec<Value> {
    let job = speaker.job();
    values![&job.queue, job.id, attempt, entry]
}

/// See [`QueueStore::add_log`](crate::QueueStore::add_log).
pub(crate) struct AddLog {
    pub(crate) speaker: Speaker,
    pub(crate) entry: LogEntry,
}

impl Operation for AddLog {
    type Answer = AddedLog;

    fn touched(&self) -> Touched {
        Touched::queue(&self.speaker.job().queue)
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<AddedLog> {
        let Some(held) = held_or_counted(tx, &self.speaker).await? else { return Ok(AddedLog::Stale) };
        let job = self.speaker.job();
        let last =
            "SELECT COALESCE(MAX(entry), 0) FROM log_entries WHERE queue = ?1 AND id = ?2 AND attempt = ?3";
        let last = tx.row(Statement::look(last, values![&job.queue, job.id, held.attempt])).await?;
        let entry = last.map_or(Ok(0), |mut row| row.number::<u64>())? + 1;
        let place = place(&self.speaker, held.attempt, entry);
        let mut statements = vec![self.insertion(place.clone())?];
        statements.extend(pieces(&place, 0, &self.entry.out));
        tx.all(statements).await?;
        Ok(AddedLog::As(entry))
    }
}

impl AddLog {
    fn insertion(&self, place: Vec<Value>) -> Result<Statement> {
        let insert = "INSERT INTO log_entries (queue, id, attempt, entry, key, command, started_at, exit_code, duration, length, revision) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0)";
        let command = self.entry.command.as_ref().map(serde_json::to_string).transpose();
        let command = command.map_err(|error| Error::Failed {
            operation: "adding to a log".to_owned(),
            reason: error.to_string(),
        })?;
        let mut values = place;
        values.push(Value::free(&self.entry.key));
        values.extend(values![
            command,
            self.entry.started_at,
            self.entry.exit_code,
            self.entry.duration.map(microseconds),
            self.entry.out.len(),
        ]);
        Ok(Statement::change(insert, values))
    }
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The rows that keep `text` from byte `at` on.
fn pieces(place: &[Value], mut at: u64, mut text: &str) -> Vec<Statement> {
    let insert =
        "INSERT INTO log_pieces (queue, id, attempt, entry, at, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let mut statements = Vec::new();
    while !text.is_empty() {
        let (piece, rest) = text.split_at(text.floor_char_boundary(PIECE));
        let mut values = place.to_vec();
        values.extend([at.into(), Value::free(piece)]);
        statements.push(Statement::change(insert, values));
        at += piece.len() as u64;
        text = rest;
    }
    statements
}

/// The length and the revision of an entry's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    length: u64,
    revision: u64,
}

async fn extent<T: Transaction>(tx: &mut T, place: &[Value]) -> Result<Option<Extent>> {
    let look = "SELECT length, revision FROM log_entries WHERE queue = ?1 AND id = ?2 AND attempt = ?3 AND entry = ?4";
    let row = tx.row(Statement::look(look, place.to_vec())).await?;
    row.map(|mut row| Ok(Extent { length: row.number()?, revision: row.number()? })).transpose()
}

/// Compares a text that is to be at byte `at` of an entry with what is there. It only reads, so that nobody waits for it who writes.
pub(crate) struct Compare {
    pub(crate) speaker: Speaker,
    pub(crate) entry: u64,
    pub(crate) at: u64,
    pub(crate) text: String,
}

/// What a text has in common with what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    /// The speaker does not hold the job.
    Stale,
    /// There is no such entry.
    NoEntry,
    /// The text does not begin in or right behind what is kept, or in the middle of one of its characters.
    Gap(u64),
    /// What is kept is the same up to byte `keep`.
    Same { of: Extent, keep: u64 },
}

impl Operation for Compare {
    type Answer = Compared;

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Compared> {
        let Some(Held { attempt, .. }) = held(tx, &self.speaker).await? else { return Ok(Compared::Stale) };
        let place = place(&self.speaker, attempt, self.entry);
        let Some(of) = extent(tx, &place).await? else { return Ok(Compared::NoEntry) };
        if self.at > of.length {
            return Ok(Compared::Gap(of.length));
        }
        let mut same =
            Common { text: self.text.as_bytes(), at: self.at, length: 0, is_over: self.at == of.length };
        let mut from = self.at;
        while !same.is_over {
            let mut read = 0;
            for mut row in pieces_from(tx, &place, from).await? {
                let (begin, piece) = (row.number::<u64>()?, row.text()?);
                if read == 0 && from == self.at && !is_boundary(&piece, self.at - begin) {
                    return Ok(Compared::Gap(of.length));
                }
                same.go_on(begin, piece.as_bytes());
                from = begin + piece.len() as u64;
                read += 1;
            }
            same.is_over |= read < AT_ONCE;
        }
        let keep = self.text.floor_char_boundary(same.length) as u64;
        Ok(Compared::Same { of, keep: self.at + keep })
    }
}

fn is_boundary(text: &str, at: u64) -> bool {
    usize::try_from(at).is_ok_and(|at| text.is_char_boundary(at))
}

/// How far a text and what is kept are the same.
struct Common<'a> {
    text: &'a [u8],
    /// Where the text begins in what is kept.
    at: u64,
    /// So many bytes are the same.
    length: usize,
    is_over: bool,
}

impl Common<'_> {
    /// Compares with the piece of what is kept that begins at `begin`.
    fn go_on(&mut self, begin: u64, piece: &[u8]) {
        if self.is_over {
            return;
        }
        let before =
            usize::try_from((self.at + self.length as u64).saturating_sub(begin)).unwrap_or(usize::MAX);
        let kept = piece.get(before..).unwrap_or_default();
        let rest = self.text.get(self.length..).unwrap_or_default();
        let same = kept.iter().zip(rest).take_while(|(a, b)| a == b).count();
        self.length += same;
        self.is_over = same < kept.len();
    }
}

/// The pieces from the one on that has byte `at`, at most [`AT_ONCE`]: where each begins, and its text.
pub(super) async fn pieces_from<T: Transaction>(tx: &mut T, place: &[Value], at: u64) -> Result<Vec<Row>> {
    let look = "SELECT at, text FROM log_pieces WHERE queue = ?1 AND id = ?2 AND attempt = ?3 AND entry = ?4 AND at >= \
         (SELECT COALESCE(MAX(at), 0) FROM log_pieces WHERE queue = ?1 AND id = ?2 AND attempt = ?3 AND entry = ?4 AND at <= ?5) \
         ORDER BY at LIMIT ?6";
    let mut values = place.to_vec();
    values.extend(values![at, AT_ONCE]);
    tx.rows(Statement::look(look, values)).await
}

/// Puts `tail` in the place of everything from byte `keep` on.
pub(crate) struct Splice {
    pub(crate) speaker: Speaker,
    pub(crate) entry: u64,
    /// What the output was when it was compared.
    pub(crate) of: Option<Extent>,
    pub(crate) keep: u64,
    pub(crate) tail: String,
    pub(crate) end: Option<(i32, Duration)>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spliced {
    /// The entry has so many bytes now.
    Made(u64),
    /// The speaker does not hold the job, which was counted.
    Stale,
    /// There is no such entry.
    NoEntry,
    /// It is no longer what it was when it was compared.
    Changed,
}

impl Operation for Splice {
    type Answer = Spliced;

    fn touched(&self) -> Touched {
        Touched::queue(&self.speaker.job().queue)
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Spliced> {
        let Some(held) = held_or_counted(tx, &self.speaker).await? else { return Ok(Spliced::Stale) };
        let place = place(&self.speaker, held.attempt, self.entry);
        let Some(is) = extent(tx, &place).await? else { return Ok(Spliced::NoEntry) };
        if self.of.is_some_and(|was| was != is) || self.keep > is.length {
            return Ok(Spliced::Changed);
        }
        let mut statements = self.rewriting(tx, &place, is).await?;
        let length = self.keep + self.tail.len() as u64;
        let revision = is.revision + u64::from(self.keep < is.length);
        statements.push(self.entry_change(place, Extent { length, revision }));
        tx.all(statements).await?;
        Ok(Spliced::Made(length))
    }
}

impl Splice {
    /// What is rewritten begins with the piece that has byte `keep`, or with the last one when that is short.
    async fn rewriting<T: Transaction>(
        &self,
        tx: &mut T,
        place: &[Value],
        is: Extent,
    ) -> Result<Vec<Statement>> {
        let appends = self.keep == is.length;
        if appends && self.tail.is_empty() {
            return Ok(Vec::new());
        }
        let first = pieces_from(tx, place, self.keep).await?.into_iter().next();
        let Some(mut row) = first else { return Ok(pieces(place, self.keep, &self.tail)) };
        let (begin, mut text) = (row.number::<u64>()?, row.text()?);
        if appends && text.len() >= SHORT {
            return Ok(pieces(place, self.keep, &self.tail));
        }
        text.truncate(usize::try_from(self.keep - begin).unwrap_or(usize::MAX));
        text += &self.tail;
        let delete = "DELETE FROM log_pieces WHERE queue = ?1 AND id = ?2 AND attempt = ?3 AND entry = ?4 AND at >= ?5";
        let mut values = place.to_vec();
        values.push(begin.into());
        let mut statements = vec![Statement::change(delete, values)];
        statements.extend(pieces(place, begin, &text));
        Ok(statements)
    }

    fn entry_change(&self, place: Vec<Value>, now: Extent) -> Statement {
        let change = "UPDATE log_entries SET length = ?5, revision = ?6, exit_code = COALESCE(?7, exit_code), \
             duration = COALESCE(?8, duration) WHERE queue = ?1 AND id = ?2 AND attempt = ?3 AND entry = ?4";
        let mut values = place;
        let (exit_code, duration) = self.end.unzip();
        values.extend(values![now.length, now.revision, exit_code, duration.map(microseconds)]);
        Statement::change(change, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_pieces_between_characters() {
        let text = "é".repeat(PIECE);
        let cut = pieces(&[1, 2, 3, 4].map(Value::from), 10, &text);
        let mut at = 10;
        for statement in &cut {
            let Value::Bytes(piece) = &statement.values[5] else { panic!("{statement:?}") };
            assert_eq!(statement.values[4], Value::Integer(at));
            assert!(std::str::from_utf8(piece).is_ok() && piece.len() <= PIECE);
            at += piece.len() as i64;
        }
        assert_eq!((at, cut.len()), (10 + text.len() as i64, 2));
    }

    #[test]
    fn what_is_common_is_found_over_pieces() {
        let mut common = Common { text: b"abcdeX", at: 2, length: 0, is_over: false };
        common.go_on(0, b"..ab");
        common.go_on(4, b"cde");
        assert_eq!((common.length, common.is_over), (5, false));
        common.go_on(7, b"f");
        assert_eq!((common.length, common.is_over), (5, true));
    }
}
