//! Reading an attempt's log.

use std::time::Duration;

use jobwright_model::{AttemptToken, LogEntry, Speaker};

use super::log_writing::{AT_ONCE, pieces_from, place};
use crate::database::{Operation, Statement, Transaction};
use crate::error::Result;
use crate::queue::KeptLogEntry;
use crate::rows;
use crate::value::{Row, values};

/// So many bytes of output are read at once, and up to one piece more.
const OUTPUT: usize = 4 << 20;
/// So many entries are read at once.
const ENTRIES: i64 = 200;

/// See [`QueueStore::logs`](crate::QueueStore::logs).
pub(crate) struct ReadLogs {
    pub(crate) token: AttemptToken,
    pub(crate) from: u64,
    pub(crate) at: u64,
}

impl Operation for ReadLogs {
    type Answer = Vec<KeptLogEntry>;

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Vec<KeptLogEntry>> {
        let look = "SELECT entry, key, command, started_at, exit_code, duration, length, revision FROM log_entries \
             WHERE queue = ?1 AND id = ?2 AND attempt = ?3 AND entry >= ?4 ORDER BY entry LIMIT ?5";
        let job = &self.token.job;
        let values = values![&job.queue, job.id, self.token.attempt, self.from, ENTRIES];
        let mut entries = Vec::new();
        let mut left = OUTPUT;
        for row in tx.rows(Statement::look(look, values)).await? {
            if left == 0 {
                break;
            }
            let mut kept = entry(row)?;
            let at = if kept.entry == self.from { self.at } else { 0 };
            kept.log.out = self.output(tx, &kept, at, left).await?;
            left = left.saturating_sub(kept.log.out.len());
            entries.push(kept);
        }
        Ok(entries)
    }
}

impl ReadLogs {
    /// The output from byte `at` on, or from the next character on: at most `most` bytes and a piece.
    async fn output<T: Transaction>(
        &self,
        tx: &mut T,
        kept: &KeptLogEntry,
        at: u64,
        most: usize,
    ) -> Result<String> {
        let speaker = Speaker::Attempt(self.token.clone());
        let place = place(&speaker, self.token.attempt, kept.entry);
        let mut out = String::new();
        let mut from = at;
        while from < kept.length && out.len() < most {
            let pieces = pieces_from(tx, &place, from).await?;
            let is_last = pieces.len() < AT_ONCE;
            for mut row in pieces {
                let (begin, piece) = (row.number::<u64>()?, row.text()?);
                let skip = usize::try_from(at.saturating_sub(begin)).unwrap_or(usize::MAX);
                from = begin + piece.len() as u64;
                if out.len() < most {
                    out += &piece[piece.ceil_char_boundary(skip)..];
                }
            }
            if is_last {
                break;
            }
        }
        Ok(out)
    }
}

fn entry(mut row: Row) -> Result<KeptLogEntry> {
    let entry = row.number()?;
    let key = row.text()?;
    let command = row.optional_text()?.map(|text| rows::parsed(&text)).transpose()?;
    let started_at = row.time()?;
    let exit_code = row.optional_integer()?.and_then(|code| i32::try_from(code).ok());
    let duration = row.optional_integer()?.and_then(|time| u64::try_from(time).ok());
    let duration = duration.map(Duration::from_micros);
    let log = LogEntry { key, command, started_at, exit_code, out: String::new(), duration };
    Ok(KeptLogEntry { entry, log, length: row.number()?, revision: row.number()? })
}
