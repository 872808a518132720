//! Reads the log of an attempt to its end, and tells what is new in it. Nothing is read before what was read is taken. Not for how that is
//! sent, which is `logs`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use jobwright_model::{
    AttemptToken, JobRef, LogEndEvent, LogEndedEvent, LogEntryEvent, LogOutputEvent, LogRewrittenEvent,
};
use jobwright_store::{Change, KeptLogEntry, QueueStore};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::refusal::Refusal;

/// How often is looked where no change is told: what another process did may be told late.
const LOOK: Duration = Duration::from_secs(1);
/// How long to rest after a change, which may be of any job: a store in which much happens is not asked each time.
const REST: Duration = Duration::from_millis(50);

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Entry(LogEntryEvent),
    Output(LogOutputEvent),
    Rewritten(LogRewrittenEvent),
    Ended(LogEndedEvent),
    End(LogEndEvent),
}

/// How far an entry was told that has not ended.
struct Place {
    /// So many bytes of its output.
    at: u64,
    revision: u64,
}

/// Reads the log of an attempt.
pub(super) struct Follower {
    store: Arc<dyn QueueStore>,
    job: JobRef,
    /// None before the first, which is waited for.
    attempt: Option<u32>,
    /// To the attempt's end, not only to the end of what there is.
    follows: bool,
    changes: watch::Receiver<Change>,
    /// The entries that have not ended. An agent may say more of one when it has begun the next.
    open: BTreeMap<u64, Place>,
    /// The latest entry that was told.
    last: u64,
    ready: VecDeque<Told>,
    is_over: bool,
}

/// How the attempt stands, and whether its log grows no more.
struct Standing {
    end: LogEndEvent,
    is_over: bool,
}

impl Follower {
    pub(super) fn new(store: Arc<dyn QueueStore>, job: JobRef, attempt: Option<u32>, follows: bool) -> Self {
        let changes = store.changes();
        let (open, ready) = (BTreeMap::new(), VecDeque::new());
        Self { store, job, attempt, follows, changes, open, last: 0, ready, is_over: false }
    }

    /// What comes next; none after the end.
    pub(super) async fn next(&mut self) -> Result<Option<Told>, Refusal> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Ok(Some(told));
            }
            if self.is_over {
                return Ok(None);
            }
            self.changes.mark_unchanged();
            // Before the log is read: what is there when the attempt is over is all of it.
            let Standing { end, is_over } = self.standing().await?;
            self.read().await?;
            if self.ready.is_empty() && (is_over || !self.follows) {
                self.ready.push_back(Told::End(end));
                self.is_over = true;
            } else if self.ready.is_empty() {
                self.wait().await;
            }
        }
    }

    async fn standing(&mut self) -> Result<Standing, Refusal> {
        let gone = || {
            let message = format!("{} was removed while its log was read", self.job);
            Refusal::new(StatusCode::NOT_FOUND, "no_job", message)
        };
        if self.attempt.is_none() {
            let kept = self.store.job(&self.job).await?.ok_or_else(gone)?;
            if kept.attempt == 0 {
                let end = LogEndEvent { attempt: 0, state: kept.state };
                return Ok(Standing { end, is_over: kept.state.is_terminal() });
            }
            self.attempt = Some(kept.attempt);
        }
        let attempts = self.store.attempts(&self.job).await?;
        let kept = attempts.into_iter().find(|kept| Some(kept.attempt) == self.attempt).ok_or_else(gone)?;
        let end = LogEndEvent { attempt: kept.attempt, state: kept.state };
        Ok(Standing { end, is_over: kept.finished_at.is_some() })
    }

    /// Reads on in every entry that has not ended, and in those that are new.
    async fn read(&mut self) -> Result<(), Refusal> {
        let Some(attempt) = self.attempt else { return Ok(()) };
        let token = AttemptToken { job: self.job.clone(), attempt };
        let earlier: Vec<_> = self.open.range(..self.last).map(|(entry, place)| (*entry, place.at)).collect();
        for (entry, at) in earlier {
            let kept = self.store.logs(&token, entry, at).await?.into_iter().next();
            if let Some(kept) = kept.filter(|kept| kept.entry == entry) {
                self.tell(kept);
            }
        }
        let (from, at) = match self.open.get(&self.last) {
            Some(place) => (self.last, place.at),
            None => (self.last + 1, 0),
        };
        for kept in self.store.logs(&token, from, at).await? {
            self.tell(kept);
        }
        Ok(())
    }

    /// Tells of an entry what is new: its output was read from where its telling ended.
    fn tell(&mut self, kept: KeptLogEntry) {
        let KeptLogEntry { entry, log, length, revision } = kept;
        if entry > self.last {
            let (key, command, started_at) = (log.key, log.command, log.started_at);
            self.ready.push_back(Told::Entry(LogEntryEvent { entry, key, command, started_at }));
            self.open.insert(entry, Place { at: 0, revision });
            self.last = entry;
        }
        let Some(place) = self.open.get_mut(&entry) else { return };
        let is_rewritten = place.revision != revision && place.at > 0;
        place.revision = revision;
        if is_rewritten {
            // What was read begins somewhere in a text of which nothing was told: it is read again from its beginning.
            place.at = 0;
            self.ready.push_back(Told::Rewritten(LogRewrittenEvent { entry }));
            return;
        }
        if !log.out.is_empty() {
            let offset = place.at;
            place.at += log.out.len() as u64;
            self.ready.push_back(Told::Output(LogOutputEvent { entry, offset, text: log.out }));
        }
        if let Some(exit_code) = log.exit_code.filter(|_| place.at >= length) {
            let duration_ms = log.duration.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            self.ready.push_back(Told::Ended(LogEndedEvent { entry, exit_code, duration_ms }));
            self.open.remove(&entry);
        }
    }

    async fn wait(&mut self) {
        match timeout(LOOK, self.changes.changed()).await {
            Ok(Ok(())) => sleep(REST).await,
            // Nobody tells of changes any more; then it is looked now and then.
            Ok(Err(_)) => sleep(LOOK).await,
            Err(_) => {}
        }
    }
}
