//! A job's log on its way to the queue: entries on disk, told about each second while they grow, and to their end before the job's end is told. What a
//! queue does not take is tried again; the files are what is left when this process dies. Not for what is in an entry (`steps`, `observer`).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jobwright_model::LogEntry;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::pace::Pace;
use crate::source::{Held, JobSource, SourceError};

/// How often is told what was added.
const EVERY: Duration = Duration::from_secs(1);
/// As all of an entry is told each time, one of so many bytes is told every so many seconds more.
const PER_SECOND: u64 = 1 << 20;
/// What of an entry's output is kept; the rest is left out, visibly.
const MOST: u64 = 64 << 20;
const LIST: &str = "log.json";

/// Whether an entry was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Told {
    No,
    /// Under this number.
    As(i64),
    /// For good: it has no number, and cannot be changed.
    Once,
}

/// One entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    key: String,
    command: Option<Vec<String>>,
    started_at: Timestamp,
    /// How it ended, and after how many milliseconds.
    end: Option<(i32, u64)>,
    length: u64,
    left_out: u64,
    told: Told,
    /// How much of it was told, and whether its end was.
    told_length: u64,
    told_end: bool,
}

impl Entry {
    fn is_told(&self) -> bool {
        match self.told {
            Told::No => false,
            Told::Once => true,
            Told::As(_) => self.told_length == self.length && self.told_end == self.end.is_some(),
        }
    }
}

/// The file of an entry's output.
fn output(folder: &Path, place: usize) -> PathBuf {
    folder.join(format!("log-{place}"))
}

/// A job's log.
pub(crate) struct JobLog {
    folder: PathBuf,
    entries: Mutex<Vec<Entry>>,
    changed: Notify,
    /// The queue takes each entry once: it is told when it has ended (a server of before July 2021).
    is_told_once: AtomicBool,
}

/// Why not all of a log was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Untold {
    /// The job is not ours any more.
    Stale,
    /// The queue did not take it.
    Refused(String),
}

impl JobLog {
    /// The log in `folder`: what an agent that died left of it, or an empty one.
    pub(crate) fn open(folder: &Path) -> io::Result<Arc<Self>> {
        let mut entries: Vec<Entry> = match std::fs::read(folder.join(LIST)) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        // What was written is noted when an entry begins and ends.
        for (place, entry) in entries.iter_mut().enumerate() {
            entry.length = std::fs::metadata(output(folder, place)).map_or(0, |written| written.len());
        }
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            entries: Mutex::new(entries),
            changed: Notify::new(),
            is_told_once: AtomicBool::new(false),
        }))
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an entry, and gives its place.
    pub(crate) fn begin(&self, key: impl Into<String>, command: Option<Vec<String>>) -> usize {
        let mut entries = self.entries();
        entries.push(Entry {
            key: key.into(),
            command,
            started_at: Timestamp::now(),
            end: None,
            length: 0,
            left_out: 0,
            told: Told::No,
            told_length: 0,
            told_end: false,
        });
        let place = entries.len() - 1;
        drop(entries);
        self.keep();
        self.changed.notify_one();
        place
    }

    /// Adds text to the entry at `place`; it is masked.
    pub(crate) fn add(&self, place: usize, text: &str) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(place) else { return };
        if entry.length + text.len() as u64 > MOST {
            if entry.left_out == 0 {
                let told = format!(
                    "[jobwright: here the {} MiB end that are kept of an entry; the rest is left out]\n",
                    MOST >> 20
                );
                self.write(place, entry, &told);
            }
            entry.left_out += text.len() as u64;
            return;
        }
        self.write(place, entry, text);
    }

    fn write(&self, place: usize, entry: &mut Entry, text: &str) {
        match self.append(place, text) {
            Ok(()) => entry.length += text.len() as u64,
            Err(error) => {
                if entry.left_out == 0 {
                    tracing::error!(%error, "a job's log cannot be written; it is left out until it can");
                }
                entry.left_out += text.len() as u64;
            }
        }
    }

    fn append(&self, place: usize, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(self.output(place))?;
        file.write_all(text.as_bytes())
    }

    /// Ends the entry at `place`.
    pub(crate) fn end(&self, place: usize, exit_code: i32) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(place) else { return };
        let took = Timestamp::now().duration_since(entry.started_at);
        entry.end = Some((exit_code, u64::try_from(took.as_millis()).unwrap_or_default()));
        drop(entries);
        self.keep();
    }

    /// An entry of what was no command, and has ended.
    pub(crate) fn note(&self, key: &str, text: &str, exit_code: i32) {
        let place = self.begin(key, None);
        self.add(place, text);
        self.end(place, exit_code);
    }

    /// Ends what did not end because this process died.
    pub(crate) fn end_all(&self, exit_code: i32) {
        let open: Vec<usize> = {
            let entries = self.entries();
            entries
                .iter()
                .enumerate()
                .filter(|(_, entry)| entry.end.is_none())
                .map(|(place, _)| place)
                .collect()
        };
        open.into_iter().for_each(|place| self.end(place, exit_code));
    }

    fn output(&self, place: usize) -> PathBuf {
        output(&self.folder, place)
    }

    fn keep(&self) {
        let written = serde_json::to_vec(&*self.entries()).map_err(io::Error::other).and_then(|text| {
            let draft = self.folder.join("log.draft");
            std::fs::write(&draft, text)?;
            std::fs::rename(draft, self.folder.join(LIST))
        });
        if let Err(error) = written {
            tracing::warn!(%error, "which entries a job's log has cannot be kept");
        }
    }

    fn whole(&self, place: usize, entry: &Entry) -> io::Result<LogEntry> {
        let mut out = Vec::new();
        match File::open(self.output(place)) {
            Ok(file) => drop(file.take(entry.length).read_to_end(&mut out)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(LogEntry {
            key: entry.key.clone(),
            command: entry.command.clone(),
            started_at: entry.started_at,
            exit_code: entry.end.map(|(code, _)| code),
            out: String::from_utf8_lossy(&out).into_owned(),
            duration: entry.end.map(|(_, ms)| Duration::from_millis(ms)),
        })
    }

    /// Tells what is added until `stop`; what is not taken is tried again later. What is being said then is answered first.
    pub(crate) async fn tell_until(&self, source: &dyn JobSource, held: &Held, stop: &CancellationToken) {
        let mut pace = Pace::new(EVERY, EVERY * 30);
        loop {
            match self.tell(source, held, false).await {
                Ok(()) => pace.reset(),
                Err(SourceError::Stale) => return,
                Err(error) => {
                    tracing::warn!(job = %held.job, %error, "the queue did not take a job's log; it is told again");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = sleep(pace.pause()) => continue,
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                // At the beginning of an entry at once.
                () = self.changed.notified() => {}
                () = sleep(self.pause()) => {}
            }
        }
    }

    /// Longer for long entries, as all of them is told each time.
    fn pause(&self) -> Duration {
        let open = self.entries().iter().filter(|entry| !entry.is_told()).map(|entry| entry.length).max();
        EVERY + Duration::from_secs(open.unwrap_or_default() / PER_SECOND)
    }

    /// Tells the rest, to the end, for at most `within`, unless the job `is_lost` meanwhile.
    pub(crate) async fn flush(
        &self,
        source: &dyn JobSource,
        held: &Held,
        within: Duration,
        is_lost: impl Fn() -> bool,
    ) -> Result<(), Untold> {
        let until = Instant::now() + within;
        let mut pace = Pace::new(EVERY, EVERY * 30);
        loop {
            match self.tell(source, held, true).await {
                Ok(()) => return Ok(()),
                Err(SourceError::Stale) => return Err(Untold::Stale),
                Err(_) if is_lost() => return Err(Untold::Stale),
                Err(SourceError::Refused(why)) => return Err(Untold::Refused(why)),
                Err(SourceError::Unreachable(why)) if Instant::now() >= until => {
                    return Err(Untold::Refused(why));
                }
                Err(SourceError::Unreachable(_)) => sleep(pace.pause()).await,
            }
        }
    }

    /// One round: new entries in their order, then what has changed.
    async fn tell(&self, source: &dyn JobSource, held: &Held, to_the_end: bool) -> Result<(), SourceError> {
        let mut place = 0;
        loop {
            let Some(entry) = self.entries().get(place).cloned() else { return Ok(()) };
            if !entry.is_told() {
                self.tell_one(source, held, place, entry, to_the_end).await?;
            }
            place += 1;
        }
    }

    async fn tell_one(
        &self,
        source: &dyn JobSource,
        held: &Held,
        place: usize,
        entry: Entry,
        to_the_end: bool,
    ) -> Result<(), SourceError> {
        let unread = |error: io::Error| SourceError::Refused(format!("a job's log cannot be read: {error}"));
        let whole = self.whole(place, &entry).map_err(unread)?;
        let told = match entry.told {
            Told::No if entry.end.is_none() && self.is_told_once.load(Ordering::Relaxed) => return Ok(()),
            Told::No => match source.add_log(held, &whole).await? {
                Some(number) => Told::As(number),
                None => {
                    self.is_told_once.store(true, Ordering::Relaxed);
                    if entry.end.is_some() { Told::Once } else { Told::No }
                }
            },
            Told::As(number) => {
                source.update_log(held, number, &whole).await?;
                Told::As(number)
            }
            Told::Once => return Ok(()),
        };
        let mut entries = self.entries();
        if let Some(kept) = entries.get_mut(place) {
            (kept.told, kept.told_length, kept.told_end) = (told, entry.length, entry.end.is_some());
        }
        drop(entries);
        if entry.told != told || to_the_end {
            self.keep();
        }
        Ok(())
    }
}
