//! The port over any database: each call is one operation, but for the change of a log, which is compared first and then written.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobwright_model::{
    AttemptEnd, AttemptToken, JobRef, LogEntry, LogOut, NewJob, QueueName, QueueRules, QueuedJob,
    QueuedState, Speaker,
};
use tokio::sync::watch;

use crate::database::Database;
use crate::error::{Error, Result};
use crate::operations::{
    AddLog, AttemptOfToken, Attempts, Cancel, Compare, Compared, CreateQueue, Dequeue, Executors, Finish,
    Heartbeat, Job, Jobs, PauseQueue, Prune, Push, ReadLogs, ResetStalled, Retry, Seen, Splice, Spliced,
    Summaries,
};
use crate::queue::{
    AddedLog, Ask, Change, Executor, Filter, Finished, Heard, KeptAttempt, KeptLogEntry, Lease, LogUpdate,
    QueueStore, QueueSummary, Reset, TokenHash,
};

#[async_trait]
impl<D: Database> QueueStore for D {
    async fn create_queue(&self, queue: &QueueName, rules: &QueueRules) -> Result<bool> {
        self.write(CreateQueue { queue: queue.clone(), rules: rules.clone() }).await
    }

    async fn queues(&self, now: Timestamp) -> Result<Vec<QueueSummary>> {
        self.read(Summaries { now }).await
    }

    async fn pause_queue(&self, queue: &QueueName, paused: bool) -> Result<bool> {
        self.write(PauseQueue { queue: queue.clone(), paused }).await
    }

    async fn push(&self, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<JobRef>> {
        self.write(Push { jobs, now }).await
    }

    async fn dequeue(&self, ask: &Ask, now: Timestamp) -> Result<Option<Lease>> {
        self.write(Dequeue { ask: ask.clone(), now }).await
    }

    async fn attempt_of_token(&self, token: &TokenHash) -> Result<Option<(AttemptToken, String)>> {
        self.read(AttemptOfToken(*token)).await
    }

    async fn heartbeat(&self, speakers: &[Speaker], now: Timestamp) -> Result<Vec<Heard>> {
        if speakers.is_empty() {
            return Ok(Vec::new());
        }
        self.write(Heartbeat { speakers: speakers.to_vec(), now }).await
    }

    async fn add_log(&self, speaker: &Speaker, entry: &LogEntry, _now: Timestamp) -> Result<AddedLog> {
        self.write(AddLog { speaker: speaker.clone(), entry: entry.clone() }).await
    }

    async fn update_log(
        &self,
        speaker: &Speaker,
        entry: u64,
        out: &LogOut,
        end: Option<(i32, Duration)>,
        _now: Timestamp,
    ) -> Result<LogUpdate> {
        let (at, text) = match out {
            LogOut::Whole(text) => (0, text),
            LogOut::Delta { at, text } => (*at, text),
        };
        for _ in 0..COMPARISONS {
            let compare = Compare { speaker: speaker.clone(), entry, at, text: text.clone() };
            let (of, keep) = match self.read(compare).await? {
                Compared::Same { of, keep } => (Some(of), keep),
                Compared::NoEntry => return Ok(LogUpdate::NoEntry),
                Compared::Gap(has) => return Ok(LogUpdate::Gap { has }),
                // The writing of it counts it.
                Compared::Stale => (None, at),
            };
            let tail = usize::try_from(keep - at).ok().and_then(|same| text.get(same..)).unwrap_or_default();
            let splice = Splice { speaker: speaker.clone(), entry, of, keep, tail: tail.to_owned(), end };
            match self.write(splice).await? {
                Spliced::Made(length) => return Ok(LogUpdate::Made(length)),
                Spliced::Stale => return Ok(LogUpdate::Stale),
                Spliced::NoEntry => return Ok(LogUpdate::NoEntry),
                Spliced::Changed => {}
            }
        }
        Err(Error::Failed {
            operation: format!("changing entry {entry} of the log of job {}", speaker.job()),
            reason: format!("others changed it {COMPARISONS} times meanwhile"),
        })
    }

    async fn finish(&self, speaker: &Speaker, end: &AttemptEnd, now: Timestamp) -> Result<Finished> {
        self.write(Finish { speaker: speaker.clone(), end: end.clone(), now }).await
    }

    async fn reset_stalled(&self, now: Timestamp) -> Result<Vec<Reset>> {
        self.write(ResetStalled { now }).await
    }

    async fn cancel(&self, job: &JobRef, now: Timestamp) -> Result<Option<QueuedState>> {
        self.write(Cancel { job: job.clone(), now }).await
    }

    async fn retry(&self, job: &JobRef, now: Timestamp) -> Result<Option<QueuedState>> {
        self.write(Retry { job: job.clone(), now }).await
    }

    async fn job(&self, job: &JobRef) -> Result<Option<QueuedJob>> {
        self.read(Job(job.clone())).await
    }

    async fn jobs(&self, filter: &Filter) -> Result<Vec<QueuedJob>> {
        self.read(Jobs(filter.clone())).await
    }

    async fn attempts(&self, job: &JobRef) -> Result<Vec<KeptAttempt>> {
        self.read(Attempts(job.clone())).await
    }

    async fn logs(&self, token: &AttemptToken, from: u64, at: u64) -> Result<Vec<KeptLogEntry>> {
        self.read(ReadLogs { token: token.clone(), from, at }).await
    }

    async fn prune(&self, queue: &QueueName, before: Timestamp) -> Result<u64> {
        self.write(Prune { queue: queue.clone(), before }).await
    }

    async fn seen(
        &self,
        name: &str,
        queues: &[QueueName],
        about: &[(String, String)],
        now: Timestamp,
    ) -> Result<()> {
        let (name, queues, about) = (name.to_owned(), queues.to_vec(), about.to_vec());
        self.write(Seen { name, queues, about, now }).await
    }

    async fn executors(&self, since: Timestamp) -> Result<Vec<Executor>> {
        self.read(Executors { since }).await
    }

    fn changes(&self) -> watch::Receiver<Change> {
        self.changed()
    }
}

/// How often a text is compared with what others go on changing: there is one holder, so twice is rare.
const COMPARISONS: usize = 16;
