//! The durable event log of one run: `events.ndjson` in the run's folder, one event per line in its wire form, and an index
//! beside it. This file opens, closes and connects; writing and reading have their own.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::{fmt, io};

use jobwright_journal::ReservedFile;
use jobwright_model::RunId;
use tokio::sync::watch;

use crate::bus::Sink;
use crate::event::Event;
use crate::queue::{CloseOnDrop, Queue};
use crate::wire::WireError;

mod encode;
mod index;
mod output;
mod owed;
mod reader;
mod recover;
mod writer;

pub use index::INDEX_FILE;
pub use output::{OutputOrigin, OutputPiece};
pub use reader::{EventLogReader, WireLine};
pub use recover::{Recovered, ResumePosition};
pub use writer::LogSummary;

use index::Index;
use recover::{Found, FoundIndex, inspect};
use writer::{Progress, Writer};

/// The log's name in a run's folder.
pub const LOG_FILE: &str = "events.ndjson";

/// Why a log cannot be opened, written to its end, or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The operating system says no.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The folder holds the log of another run.
    #[error("{path} is the log of run {found}, not of {wanted}", path = .path.display())]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// The run in it.
        found: String,
        /// The run that it was opened for.
        wanted: RunId,
    },
    /// A line in the middle of the log is damaged.
    #[error("{path}: the line at byte {offset} is damaged: {source}", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Where the line begins.
        offset: u64,
        /// What is wrong with it.
        source: WireError,
    },
    /// The index does not fit the log. Opening the log to write repairs it.
    #[error("the index of {path} does not fit it at event {seq}", path = .path.display())]
    Index {
        /// The log.
        path: PathBuf,
        /// The event that is not where the index says.
        seq: u64,
    },
    /// The thread that writes the log panicked: a fault of Jobwright. What it had not written is lost.
    #[error("the writer of the event log failed")]
    WriterFailed,
}

impl LogError {
    fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}

/// How much memory and disk the writing of a log may take.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LogOptions {
    /// Bytes of events that may wait for the disk before [`EventLogSink`] pushes back; about twice as much is held at most.
    pub queue_bytes: usize,
    /// Bytes that are kept allocated behind the end, so that what matters can be written when the disk is full. Given back at
    /// the end.
    pub reserve_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { queue_bytes: 4 << 20, reserve_bytes: 1 << 20 }
    }
}

/// A log that is being written. Close it, so that everything is on the disk; dropping it writes everything too, but waits
/// without a word and tells no error.
pub struct EventLog {
    folder: PathBuf,
    queue: Arc<Queue>,
    recovered: Recovered,
    progress: watch::Receiver<Progress>,
    missing_bytes: Arc<AtomicU64>,
    barriers: AtomicU64,
    files: [File; 2],
    thread: Option<JoinHandle<io::Result<LogSummary>>>,
}

/// The log as a sink of its run's bus. It hands events to the writer, and waits only when so much is queued that memory would
/// not be bounded else: of all sinks it alone pushes back (DESIGN rule 7). See [`EventLog::room`] for waiting before that.
pub struct EventLogSink {
    queue: Arc<Queue>,
    refused: bool,
}

impl EventLog {
    /// Opens the log in a run's folder, which is there, to write at its end; makes it when there is none. The torn tail of a
    /// crash is cut and the index brought level. Whoever opens a log to write must be its only writer (the journal's lock).
    ///
    /// # Errors
    /// When a file cannot be opened, read or made, or is another run's.
    pub fn open(folder: &Path, run_id: &RunId, options: LogOptions) -> Result<Self, LogError> {
        let (lines_path, index_path) = (folder.join(LOG_FILE), folder.join(INDEX_FILE));
        let lines = open_to_write(&lines_path)?;
        let index = open_to_write(&index_path)?;
        let mut found = inspect(&lines, Some(&index), run_id).map_err(LogError::io(&lines_path, "read"))?;
        found.read_positions(&lines, &index).map_err(LogError::io(&index_path, "read"))?;
        refuse_other_run(&lines_path, &found, run_id)?;
        let files = [&lines, &index].map(File::try_clone);
        let [lines_clone, index_clone] = files;
        let files = [
            lines_clone.map_err(LogError::io(&lines_path, "share"))?,
            index_clone.map_err(LogError::io(&index_path, "share"))?,
        ];
        let index = level_index(index, &found, run_id, options.reserve_bytes / 4)
            .map_err(LogError::io(&index_path, "write"))?;
        let lines = ReservedFile::new(lines, found.lines_end, options.reserve_bytes)
            .map_err(LogError::io(&lines_path, "cut the torn tail of"))?;
        Self::start(folder, found, lines, index, files, options)
    }

    fn start(
        folder: &Path,
        found: Found,
        lines: ReservedFile,
        index: ReservedFile,
        files: [File; 2],
        options: LogOptions,
    ) -> Result<Self, LogError> {
        let Recovered { last_seq, finished, .. } = found.recovered;
        let progress = Progress { end: found.lines_end, last_seq, ended: finished, barrier: 0 };
        let (sender, progress) = watch::channel(progress);
        let queue = Arc::new(Queue::new(options.queue_bytes));
        let missing_bytes = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(lines, index, sender, Arc::clone(&missing_bytes));
        let guard = CloseOnDrop(Arc::clone(&queue));
        let thread = Builder::new()
            .name("event-log".to_owned())
            .spawn(move || writer.run(&guard.0))
            .map_err(LogError::io(folder, "start the writer for"))?;
        Ok(Self {
            folder: folder.to_owned(),
            queue,
            recovered: found.recovered,
            progress,
            missing_bytes,
            barriers: AtomicU64::new(0),
            files,
            thread: Some(thread),
        })
    }

    /// What was in the log when it was opened: where the bus and the steps' output go on.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// The sink to attach to the run's bus.
    #[must_use]
    pub fn sink(&self) -> EventLogSink {
        EventLogSink { queue: Arc::clone(&self.queue), refused: false }
    }

    /// Reads this log, and follows it while it is written.
    ///
    /// # Errors
    /// When the files cannot be opened.
    pub fn reader(&self) -> Result<EventLogReader, LogError> {
        EventLogReader::live(&self.folder, self.progress.clone())
    }

    /// Waits until the sink would not push back. A log pump that awaits this before it reads and emits the next chunk stops
    /// its step by back pressure, instead of a thread under the bus's lock.
    pub async fn room(&self) {
        self.queue.room().await;
    }

    /// Bytes of output that are missing because the disk was full or failed, so far; [`EventLog::flush`] first to be exact.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        self.missing_bytes.load(Ordering::Relaxed)
    }

    /// Waits until everything that was emitted before is written (or known to be missing), and so visible to every reader.
    ///
    /// # Errors
    /// [`LogError::WriterFailed`].
    pub async fn flush(&self) -> Result<(), LogError> {
        let number = self.barriers.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.queue.push_barrier(number) {
            return Err(LogError::WriterFailed);
        }
        let mut progress = self.progress.clone();
        progress.wait_for(|progress| progress.barrier >= number).await.map_err(|_| LogError::WriterFailed)?;
        Ok(())
    }

    /// As [`EventLog::flush`], and then until it is on the disk.
    ///
    /// # Errors
    /// [`LogError::WriterFailed`], or the disk's error.
    pub async fn sync(&self) -> Result<(), LogError> {
        self.flush().await?;
        let path = self.folder.join(LOG_FILE);
        let files = [&self.files[0], &self.files[1]].map(File::try_clone);
        let synced = tokio::task::spawn_blocking(move || {
            files.into_iter().try_for_each(|file| file.and_then(|file| file.sync_data()))
        });
        synced.await.map_err(|_| LogError::WriterFailed)?.map_err(LogError::io(&path, "sync"))
    }

    /// Writes what is queued, gives back reserved space, syncs, and says what is missing. Events that are emitted afterwards
    /// are refused. Blocks; from async code use `spawn_blocking`.
    ///
    /// # Errors
    /// [`LogError::WriterFailed`], or the disk's error when it cannot be synced.
    pub fn close(mut self) -> Result<LogSummary, LogError> {
        self.queue.close();
        let Some(thread) = self.thread.take() else { return Err(LogError::WriterFailed) };
        let summary = thread.join().map_err(|_| LogError::WriterFailed)?;
        summary.map_err(LogError::io(&self.folder.join(LOG_FILE), "sync"))
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && !matches!(thread.join(), Ok(Ok(_)))
        {
            tracing::error!(folder = %self.folder.display(), "the event log was not written to its end");
        }
    }
}

impl Sink for EventLogSink {
    fn emit(&mut self, event: &Arc<Event>) {
        if !self.queue.push(Arc::clone(event)) && !self.refused {
            self.refused = true;
            tracing::error!(run = %event.run_id, seq = event.seq, "the event log is closed; events from here on are not in it");
        }
    }
}

/// Only its owner may read a log (it is masked, but a log is a log): mode 0600 when it is made.
fn open_to_write(path: &Path) -> Result<File, LogError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(LogError::io(path, "open"))
}

fn refuse_other_run(path: &Path, found: &Found, wanted: &RunId) -> Result<(), LogError> {
    match &found.run_id {
        Some(run_id) if run_id != wanted.as_str() => {
            Err(LogError::OtherRun { path: path.to_owned(), found: run_id.clone(), wanted: wanted.clone() })
        }
        _ => Ok(()),
    }
}

/// Cuts the index to the records that fit the log, or writes it anew.
fn level_index(file: File, found: &Found, run_id: &RunId, reserve: u64) -> io::Result<ReservedFile> {
    match &found.index {
        FoundIndex::Good(count) => {
            ReservedFile::new(file, index::HEADER + count * index::RECORD as u64, reserve)
        }
        FoundIndex::Rebuilt(records) => {
            let mut bytes = index::header(run_id).to_vec();
            records.iter().for_each(|record| bytes.extend_from_slice(&record.to_bytes()));
            let mut file = ReservedFile::new(file, 0, reserve)?;
            file.append(&bytes)?;
            Ok(file)
        }
    }
}

/// The index to read by: the file when it is right, else what the log says.
fn open_index(folder: &Path, found: FoundIndex) -> io::Result<Index> {
    match found {
        FoundIndex::Good(_) => File::open(folder.join(INDEX_FILE)).map(Index::File),
        FoundIndex::Rebuilt(records) => Ok(Index::Memory(records)),
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLog").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl fmt::Debug for EventLogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLogSink").finish_non_exhaustive()
    }
}
