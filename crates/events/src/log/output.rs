//! One job's output out of a run's log, byte for byte, without reading the other jobs' lines. Not for following a run.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};
use tokio::task::spawn_blocking;

use super::LogError;
use super::index::{LineKind, Record, key};
use super::reader::{EventLogReader, OpenLog};
use crate::event::{Event, EventKind};
use crate::kinds::{GapReason, Name, StreamKind};
use crate::wire::WireEvent;

/// So many records of the index are looked at, and about so many bytes of lines read, in one go.
const RECORDS: usize = 4096;
const BYTES: u64 = 512 << 10;

/// A piece of a job's output, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPiece {
    /// What it wrote, exactly.
    Bytes {
        /// Which event it is from.
        origin: OutputOrigin,
        /// The bytes.
        data: Bytes,
    },
    /// Bytes that it wrote and that are not in the log.
    Gap {
        /// Which event tells so.
        origin: OutputOrigin,
        /// How many.
        bytes: u64,
        /// Why.
        reason: GapReason,
    },
}

/// Where a piece of output comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputOrigin {
    /// The event's number.
    pub seq: u64,
    /// The step that wrote it, where it is known.
    pub step: Option<Name>,
    /// The stream that it was written to.
    pub stream: StreamKind,
}

impl EventLogReader {
    /// The output of one job that is in the log now, all its steps and attempts in the order in which they were written; an
    /// empty stream when it has none.
    pub fn job_output(&self, job: &str) -> impl Stream<Item = Result<OutputPiece, LogError>> + Send + use<> {
        let walk = Walk { log: Arc::clone(&self.log), job: job.into(), key: key(job), next: 0 };
        let blocks = stream::try_unfold(walk, |walk| async move {
            let path = walk.log.path.clone();
            let stopped =
                |_| LogError::Io { path, action: "read", source: io::ErrorKind::Interrupted.into() };
            spawn_blocking(move || walk.block()).await.map_err(stopped)?
        });
        blocks.map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok))).try_flatten()
    }
}

struct Walk {
    log: Arc<OpenLog>,
    job: Name,
    key: u64,
    /// The number of the next record of the index.
    next: u64,
}

impl Walk {
    /// The pieces of the next records; none at the end of the index.
    fn block(mut self) -> Result<Option<(Vec<OutputPiece>, Self)>, LogError> {
        let records = self
            .log
            .index
            .read(self.next, RECORDS)
            .map_err(LogError::io(&self.log.path, "read the index of"))?;
        if records.is_empty() {
            return Ok(None);
        }
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        for record in &records {
            self.next += 1;
            if record.kind == LineKind::Output && record.job == self.key {
                pieces.extend(self.piece(record)?);
                bytes += u64::from(record.length);
            }
            if bytes >= BYTES {
                break;
            }
        }
        Ok(Some((pieces, self)))
    }

    /// The output in a line; none when the line is another job's (whose name has the same key), or not written yet: the index
    /// is ahead of the log.
    fn piece(&self, record: &Record) -> Result<Option<OutputPiece>, LogError> {
        let mut line = vec![0; record.length as usize];
        match self.log.lines.read_exact_at(&mut line, record.offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(LogError::io(&self.log.path, "read")(error)),
        }
        let damaged = |source| LogError::Line { path: self.log.path.clone(), offset: record.offset, source };
        let wire: WireEvent = serde_json::from_slice(&line).map_err(|error| damaged(error.into()))?;
        let event = Event::try_from(wire).map_err(damaged)?;
        let seq = event.seq;
        if seq != record.seq {
            return Err(LogError::Index { path: self.log.path.clone(), seq: record.seq });
        }
        Ok(match event.kind {
            EventKind::LogLine { job: Some(job), step, stream, data, .. } if job == self.job => {
                Some(OutputPiece::Bytes { origin: OutputOrigin { seq, step, stream }, data })
            }
            EventKind::LogGap { job: Some(job), step, stream, bytes, reason, .. } if job == self.job => {
                Some(OutputPiece::Gap { origin: OutputOrigin { seq, step, stream }, bytes, reason })
            }
            _ => None,
        })
    }
}
