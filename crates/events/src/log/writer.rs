//! The thread that writes the log: it encodes events, writes index and lines in batches, and decides what happens when the
//! disk does not take them. Opening, and who reads, is not its matter.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jobwright_journal::ReservedFile;
use tokio::sync::watch;

use super::encode::encode;
use super::index::{RECORD, Record};
use super::owed::Owed;
use crate::event::{Event, EventKind};
use crate::queue::{Item, Queue};

/// Lines are written when so many bytes are encoded, or nothing more waits: small enough to stay in a core's cache.
const BATCH: usize = 256 << 10;

/// How long small events gather while others are written, which nobody sees; whoever waits for them is not kept waiting.
const GATHER: Duration = Duration::from_millis(2);

/// How long the writer waits before it looks again whether a full disk has room.
const RETRY: Duration = Duration::from_millis(100);

/// How far the log is, for those who read it while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Whole lines end here.
    pub(crate) end: u64,
    /// The number of the last line.
    pub(crate) last_seq: u64,
    /// Nothing more comes: `run_finished` is written, or the log is closed.
    pub(crate) ended: bool,
    /// Barriers up to this one are passed; what was queued before them is written or owed.
    pub(crate) barrier: u64,
}

pub(crate) struct Writer {
    pub(crate) lines: ReservedFile,
    pub(crate) index: ReservedFile,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) missing_bytes: Arc<AtomicU64>,
    batch: Batch,
    owed: Owed,
    tried: Option<Instant>,
}

/// Lines that are encoded and not written.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    index: Vec<u8>,
    /// Where the last of the lines begins.
    last_start: usize,
    /// What to owe if they cannot be written.
    events: Vec<Arc<Event>>,
}

/// What became of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSummary {
    /// The number of the last line.
    pub last_seq: u64,
    /// Bytes of output that are not in the log because its disk was full or failed; each gap says where.
    pub missing_bytes: u64,
    /// Events other than output that could not be written at all.
    pub missing_events: u64,
}

impl Writer {
    pub(crate) fn new(
        lines: ReservedFile,
        index: ReservedFile,
        progress: watch::Sender<Progress>,
        missing_bytes: Arc<AtomicU64>,
    ) -> Self {
        let (batch, owed) = (Batch::default(), Owed::default());
        Self { lines, index, progress, missing_bytes, batch, owed, tried: None }
    }

    /// Writes until the queue is closed and empty.
    ///
    /// # Errors
    /// When the files cannot be synced at the end; what could not be written is in the summary instead.
    pub(crate) fn run(mut self, queue: &Queue) -> io::Result<LogSummary> {
        while let Some(items) = queue.take() {
            let mut barrier = self.progress.borrow().barrier;
            for item in items {
                match item {
                    Item::Event(event) => self.add(event),
                    Item::Barrier(number) => barrier = number,
                    // The log's sink waits for room, it never misses; were it so, it is missing for good.
                    Item::Missed(count) => self.owed.missing_events += count,
                }
            }
            self.write_batch();
            if self.owed.is_urgent() {
                self.pay();
            }
            self.progress
                .send_if_modified(|progress| mem::replace(&mut progress.barrier, barrier) != barrier);
            queue.gather(GATHER);
        }
        self.close()
    }

    fn add(&mut self, event: Arc<Event>) {
        let may_drop = is_output(&event);
        if !(self.owed.is_empty() || may_drop && self.try_again()) {
            self.owed.add(&event);
            self.count_missing();
            if !may_drop {
                self.pay();
            }
            return;
        }
        self.encode(event);
        let has_room = if may_drop { self.has_room() } else { self.can_take() };
        if !has_room {
            self.take_back_last();
        } else if self.batch.lines.len() >= BATCH {
            self.write_batch();
        }
    }

    /// Whether the batch can be written and leaves the reserve whole.
    fn has_room(&mut self) -> bool {
        let (lines, index) = (self.batch.lines.len() as u64, self.batch.index.len() as u64);
        let room = self.lines.make_room(lines).and_then(|()| self.index.make_room(index));
        if let Err(error) = &room {
            self.complain(error);
        }
        room.is_ok()
    }

    /// Whether the batch can be written at all.
    fn can_take(&mut self) -> bool {
        self.lines.can_take(self.batch.lines.len() as u64)
            && self.index.can_take(self.batch.index.len() as u64)
    }

    fn encode(&mut self, event: Arc<Event>) {
        let start = self.batch.lines.len();
        encode(&event, &mut self.batch.lines);
        let length =
            u32::try_from(self.batch.lines.len() - start).expect("a chunk is far smaller than 700 MiB");
        let record = Record::of(&event, self.lines.end() + start as u64, length);
        self.batch.index.extend_from_slice(&record.to_bytes());
        self.batch.last_start = start;
        self.batch.events.push(event);
    }

    /// Writes what comes before the last event, and owes that one.
    fn take_back_last(&mut self) {
        self.batch.lines.truncate(self.batch.last_start);
        self.batch.index.truncate(self.batch.index.len() - RECORD);
        let last = self.batch.events.pop();
        self.write_batch();
        self.owe(last);
    }

    /// Writes the batch: index first. What cannot be written is owed.
    fn write_batch(&mut self) {
        let Some(last) = self.batch.events.last() else { return };
        let finished = matches!(last.kind, EventKind::RunFinished { .. });
        let last_seq = last.seq;
        let index_end = self.index.end();
        let written =
            self.index.append(&self.batch.index).and_then(|()| self.lines.append(&self.batch.lines));
        let events = mem::take(&mut self.batch.events);
        self.batch.lines.clear();
        self.batch.index.clear();
        match written {
            Ok(()) => {
                let end = self.lines.end();
                self.progress.send_modify(|progress| {
                    *progress = Progress { end, last_seq, ended: progress.ended || finished, ..*progress };
                });
            }
            Err(error) => {
                self.complain(&error);
                if let Err(error) = self.index.cut(index_end) {
                    tracing::error!(%error, "the event log's index cannot be cut back; it is checked when it is opened");
                }
                self.owe(events);
            }
        }
    }

    fn owe(&mut self, events: impl IntoIterator<Item = Arc<Event>>) {
        events.into_iter().for_each(|event| self.owed.add(&event));
        self.count_missing();
    }

    /// Now and then, whether the disk has room again; if so everything owed is written.
    fn try_again(&mut self) -> bool {
        if self.tried.is_some_and(|tried| tried.elapsed() < RETRY) {
            return false;
        }
        self.tried = Some(Instant::now());
        let room = self.lines.make_room(BATCH as u64).and_then(|()| self.index.make_room(BATCH as u64));
        let recovered = room.is_ok() && self.pay();
        if recovered {
            tracing::info!(missing_bytes = self.owed.missing_bytes, "the event log can be written again");
            self.tried = None;
        }
        recovered
    }

    /// Writes as much of what is owed as can be, into the reserve too; false when that is not all.
    fn pay(&mut self) -> bool {
        for event in self.owed.take() {
            if !self.owed.is_empty() {
                self.owed.add(&event); // behind one that had no room
                continue;
            }
            self.encode(event);
            if !self.can_take() {
                self.take_back_last();
            }
        }
        self.write_batch();
        self.owed.is_empty()
    }

    fn complain(&mut self, error: &io::Error) {
        if self.owed.is_empty() && self.tried.is_none() {
            tracing::error!(%error, "the event log cannot be written; output is left out until it can, the run goes on");
        }
        self.tried = Some(Instant::now());
    }

    fn count_missing(&self) {
        self.missing_bytes.store(self.owed.missing_bytes, Ordering::Relaxed);
    }

    fn close(mut self) -> io::Result<LogSummary> {
        if !self.owed.is_empty() && !self.pay() {
            self.owed.forgo();
        }
        let missing_bytes = self.owed.missing_bytes;
        let missing_events = self.owed.missing_events;
        if missing_bytes > 0 || missing_events > 0 {
            tracing::warn!(missing_bytes, missing_events, "the event log is incomplete");
        }
        self.progress.send_modify(|progress| progress.ended = true);
        let last_seq = self.progress.borrow().last_seq;
        self.lines.trim()?;
        self.index.trim()?;
        self.lines.sync()?; // not the index: it can be made anew, and a sync costs as much as a small run
        Ok(LogSummary { last_seq, missing_bytes, missing_events })
    }
}

/// What may be left out when the disk is full: the output itself.
fn is_output(event: &Event) -> bool {
    matches!(event.kind, EventKind::LogLine { .. })
}
