//! Reads a log: what is there, then what comes. It reads the file, so that no reader can slow the run. Not for one job's
//! output alone, which is in `output`.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use jobwright_model::RunId;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::encode::read_envelope;
use super::index::Index;
use super::recover::{fits, inspect, last_line};
use super::writer::Progress;
use super::{INDEX_FILE, LOG_FILE, LogError, open_index};
use crate::event::Event;
use crate::wire::{WireError, WireEvent};

/// Lines are read in blocks of this size, larger only for a line that is.
const BLOCK: usize = 256 << 10;

/// How often a log that another process writes is looked at for more.
const POLL: Duration = Duration::from_millis(50);

/// A line of the log, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireLine {
    /// The event's number.
    pub seq: u64,
    /// Its JSON, without the line feed: what a stream over HTTP passes on byte for byte.
    pub json: Bytes,
    /// Whether it is `run_finished`, after which nothing comes.
    pub is_last: bool,
}

impl WireLine {
    /// Reads the JSON.
    ///
    /// # Errors
    /// When it is no event.
    pub fn wire(&self) -> Result<WireEvent, WireError> {
        Ok(serde_json::from_slice(&self.json)?)
    }

    /// Reads it as an event.
    ///
    /// # Errors
    /// When it is none.
    pub fn event(&self) -> Result<Event, WireError> {
        Event::try_from(self.wire()?)
    }
}

/// Reads one run's log. Cheap to clone; any number may read at once.
#[derive(Clone)]
pub struct EventLogReader {
    pub(super) log: Arc<OpenLog>,
    live: Option<watch::Receiver<Progress>>,
}

pub(super) struct OpenLog {
    pub(super) path: PathBuf,
    pub(super) lines: File,
    pub(super) index: Index,
}

impl EventLogReader {
    /// Opens the log in a run's folder that nobody, or another process, writes. Changes nothing; a torn last line is not read.
    ///
    /// # Errors
    /// When there is no log, or it cannot be read.
    pub fn open(folder: &Path, run_id: &RunId) -> Result<Self, LogError> {
        let path = folder.join(LOG_FILE);
        let lines = File::open(&path).map_err(LogError::io(&path, "open"))?;
        let index_path = folder.join(INDEX_FILE);
        let index = match File::open(&index_path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(LogError::io(&index_path, "open")(error)),
        };
        let found = inspect(&lines, index.as_ref(), run_id).map_err(LogError::io(&path, "read"))?;
        let index = open_index(folder, found.index).map_err(LogError::io(&index_path, "open"))?;
        Ok(Self { log: Arc::new(OpenLog { path, lines, index }), live: None })
    }

    pub(super) fn live(folder: &Path, progress: watch::Receiver<Progress>) -> Result<Self, LogError> {
        let (path, index_path) = (folder.join(LOG_FILE), folder.join(INDEX_FILE));
        let lines = File::open(&path).map_err(LogError::io(&path, "open"))?;
        let index = File::open(&index_path).map_err(LogError::io(&index_path, "open"))?;
        let log = OpenLog { path, lines, index: Index::File(index) };
        Ok(Self { log: Arc::new(log), live: Some(progress) })
    }

    /// The first event that is on the disk; none when nothing is.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn first(&self) -> Result<Option<WireLine>, LogError> {
        Ok(self.log.read_block(0, None)?.lines.into_iter().next())
    }

    /// The last one that is on the disk now; none when nothing is.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn last(&self) -> Result<Option<WireLine>, LogError> {
        let failed = |source| LogError::io(&self.log.path, "read")(source);
        let length = self.log.lines.metadata().map_err(failed)?.len();
        let Some((offset, line, _)) = last_line(&self.log.lines, length).map_err(failed)? else {
            return Ok(None);
        };
        Ok(self.log.split(offset, Bytes::from(line))?.lines.pop())
    }

    /// The events after `after_seq` (0 for all) that are on the disk now.
    pub fn replay(&self, after_seq: u64) -> impl Stream<Item = Result<WireLine, LogError>> + Send + use<> {
        self.stream(after_seq, false)
    }

    /// The events after `after_seq` (0 for all): those on the disk, then each as it is written, without a gap or a duplicate.
    /// Where output is missing because the disk was full, numbers are left out before the event that tells so.
    ///
    /// It ends after `run_finished`, and when the writer in this process closes the log without one. A log that another process
    /// writes is looked at every 50 ms, and if that process dies nothing more comes: who knows so drops the stream.
    pub fn subscribe(&self, after_seq: u64) -> impl Stream<Item = Result<WireLine, LogError>> + Send + use<> {
        self.stream(after_seq, true)
    }

    fn stream(
        &self,
        after_seq: u64,
        follow: bool,
    ) -> impl Stream<Item = Result<WireLine, LogError>> + Send + use<> {
        let cursor = Cursor {
            log: Arc::clone(&self.log),
            live: self.live.clone(),
            follow,
            after: after_seq,
            offset: None,
            ready: VecDeque::new(),
            ended: false,
        };
        stream::try_unfold(
            cursor,
            |mut cursor| async move { Ok(cursor.next().await?.map(|line| (line, cursor))) },
        )
    }
}

/// One reader's place in the log.
struct Cursor {
    log: Arc<OpenLog>,
    live: Option<watch::Receiver<Progress>>,
    follow: bool,
    /// The number of the last event that was given out, or that the reader has already.
    after: u64,
    /// Where to read on; none before the first look into the index.
    offset: Option<u64>,
    ready: VecDeque<WireLine>,
    ended: bool,
}

/// Lines, and where they end.
struct Block {
    lines: Vec<WireLine>,
    end: u64,
}

impl Cursor {
    async fn next(&mut self) -> Result<Option<WireLine>, LogError> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                self.after = line.seq;
                self.ended = line.is_last;
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            // What is known before the read: lines that come during it are found by the next one.
            let seen = self.live.as_mut().map(|progress| *progress.borrow_and_update());
            if self.read_on(seen.map(|progress| progress.end)).await? {
                continue;
            }
            if !self.follow || seen.is_some_and(|progress| progress.ended) {
                return Ok(None);
            }
            self.wait().await;
        }
    }

    /// Reads a block up to `end` (the file's, when it is not known); false when there is nothing more.
    async fn read_on(&mut self, end: Option<u64>) -> Result<bool, LogError> {
        let (log, after, offset) = (Arc::clone(&self.log), self.after, self.offset);
        let read = move || {
            let offset = offset.map_or_else(|| log.offset_after(after), Ok);
            let start = offset.map_err(LogError::io(&log.path, "read the index of"))?;
            log.read_block(start, end)
        };
        let block = if self.is_level() { read() } else { self.elsewhere(read).await }?;
        let is_new = self.offset.is_none_or(|offset| offset < block.end);
        if is_new {
            self.offset = Some(block.end);
        }
        self.ready.extend(block.lines.into_iter().filter(|line| line.seq > after));
        Ok(is_new)
    }

    /// Whether what comes next was written a moment ago by this process: it is in memory, and reading it costs less than asking
    /// another thread to.
    fn is_level(&self) -> bool {
        self.live.is_some() && self.offset.is_some()
    }

    /// Reads where it may take as long as a disk takes.
    async fn elsewhere<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let stopped = |_| {
            let path = self.log.path.clone();
            LogError::Io { path, action: "read", source: io::ErrorKind::Interrupted.into() }
        };
        spawn_blocking(read).await.map_err(stopped)?
    }

    async fn wait(&mut self) {
        match &mut self.live {
            // An error means that the writer is gone; it said how far it came before, and that it ended.
            Some(progress) => drop(progress.changed().await),
            None => tokio::time::sleep(POLL).await,
        }
    }
}

impl OpenLog {
    /// Where to begin for what comes after `after`, or earlier: behind its own line, which is looked at, so that an index
    /// that is wrong costs time and not events.
    fn offset_after(&self, after: u64) -> io::Result<u64> {
        let count = self.index.count()?;
        let Some(last) = count.checked_sub(1).filter(|_| after > 0) else { return Ok(0) };
        let number = self.index.find(after)?.unwrap_or(last);
        match self.index.read(number, 1)?.first() {
            Some(record) if fits(&self.lines, record)? => Ok(record.offset),
            _ => Ok(0),
        }
    }

    /// The whole lines of a block that begins at `start`, none behind `end`.
    fn read_block(&self, start: u64, end: Option<u64>) -> Result<Block, LogError> {
        let mut size = BLOCK;
        loop {
            let bytes = self.read_at(start, end, size).map_err(LogError::io(&self.path, "read"))?;
            match memchr::memrchr(b'\n', &bytes) {
                Some(last) => return self.split(start, Bytes::from(bytes).slice(..=last)),
                None if bytes.len() < size => return Ok(Block { lines: Vec::new(), end: start }),
                None => size *= 2,
            }
        }
    }

    fn read_at(&self, start: u64, end: Option<u64>, size: usize) -> io::Result<Vec<u8>> {
        let end = end.map_or_else(|| self.lines.metadata().map(|data| data.len()), Ok)?;
        let mut bytes = vec![0; end.saturating_sub(start).min(size as u64) as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.lines.read_at(&mut bytes[filled..], start + filled as u64) {
                Ok(0) => break, // a torn tail that was cut meanwhile
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn split(&self, start: u64, bytes: Bytes) -> Result<Block, LogError> {
        let mut lines = Vec::new();
        let mut from = 0;
        for line_feed in memchr::memchr_iter(b'\n', &bytes) {
            let json = bytes.slice(from..line_feed);
            let (seq, kind) = read_envelope(&json).map_err(|error| LogError::Line {
                path: self.path.clone(),
                offset: start + from as u64,
                source: error.into(),
            })?;
            lines.push(WireLine { seq, json, is_last: kind == "run_finished" });
            from = line_feed + 1;
        }
        Ok(Block { lines, end: start + from as u64 })
    }
}

impl std::fmt::Debug for EventLogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLogReader").field("path", &self.log.path).finish_non_exhaustive()
    }
}
