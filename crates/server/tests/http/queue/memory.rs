//! Queues in memory, by the port's words: as much as these tests need of it. Not for what a real store has to be, which its own suite shows.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobwright_model::{
    AttemptEnd, AttemptToken, DIED_TOO_OFTEN, JobRef, LogEntry, LogOut, NewJob, QueueName, QueueRules,
    QueuedJob, QueuedState, Speaker,
};
use jobwright_store::{
    AddedLog, Ask, Change, Error, Executor, Filter, Finished, Heard, KeptAttempt, KeptLogEntry, Lease,
    LogUpdate, QueueStore, QueueSummary, Reset, Result, TokenHash,
};
use tokio::sync::watch;

#[derive(Default)]
struct Inner {
    queues: BTreeMap<QueueName, QueueRules>,
    jobs: BTreeMap<JobRef, Kept>,
    executors: BTreeMap<String, Executor>,
}

struct Kept {
    job: QueuedJob,
    token: Option<TokenHash>,
    /// Of each attempt.
    logs: Vec<Vec<LogEntry>>,
}

impl Kept {
    /// Whether somebody holds the job who speaks so.
    fn is_held_by(&self, speaker: &Speaker) -> bool {
        self.job.state == QueuedState::Processing
            && match speaker {
                Speaker::Attempt(token) => token.attempt == self.job.attempt,
                Speaker::Holder { name, .. } => self.job.holder.as_ref() == Some(name),
            }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        matches!(self.job.state, QueuedState::Queued | QueuedState::Errored)
            && self.job.process_after.is_none_or(|after| after <= now)
    }

    fn end(&mut self, state: QueuedState, message: Option<String>, now: Timestamp) {
        self.job.state = state;
        self.job.failure_message = message;
        self.job.finished_at = Some(now);
        self.token = None;
    }
}

#[derive(Default)]
pub(crate) struct Memory {
    inner: Mutex<Inner>,
    changed: watch::Sender<Change>,
}

impl Memory {
    /// What it holds, of which something may be about to change.
    fn open(&self) -> MutexGuard<'_, Inner> {
        self.changed.send_modify(|change| *change += 1);
        self.inner.lock().unwrap()
    }

    /// The job that the speaker holds.
    fn held<T>(&self, speaker: &Speaker, change: impl FnOnce(&mut Kept, &QueueRules) -> T) -> Option<T> {
        let mut inner = self.open();
        let rules = inner.queues.get(&speaker.job().queue)?.clone();
        let kept = inner.jobs.get_mut(speaker.job()).filter(|kept| kept.is_held_by(speaker))?;
        Some(change(kept, &rules))
    }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(jiff::SignedDuration::try_from(by).unwrap()).unwrap()
}

#[async_trait]
impl QueueStore for Memory {
    async fn create_queue(&self, queue: &QueueName, rules: &QueueRules) -> Result<bool> {
        Ok(self.open().queues.insert(queue.clone(), rules.clone()).is_none())
    }

    async fn queues(&self, _: Timestamp) -> Result<Vec<QueueSummary>> {
        let summary = |(queue, rules): (&QueueName, &QueueRules)| QueueSummary {
            queue: queue.clone(),
            rules: rules.clone(),
            paused: false,
            counts: Vec::new(),
            oldest_due: None,
            stale_writes: 0,
        };
        Ok(self.open().queues.iter().map(summary).collect())
    }

    async fn pause_queue(&self, _: &QueueName, _: bool) -> Result<bool> {
        panic!("no test here pauses")
    }

    async fn push(&self, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<JobRef>> {
        let mut inner = self.open();
        let mut pushed = Vec::new();
        for new in jobs {
            if !inner.queues.contains_key(&new.queue) {
                return Err(Error::NoQueue(new.queue));
            }
            let id = inner.jobs.keys().filter(|job| job.queue == new.queue).count() as i64 + 1;
            let job = JobRef::new(new.queue, id);
            let queued = QueuedJob {
                job: job.clone(),
                state: QueuedState::Queued,
                tenant: new.tenant,
                priority: new.priority,
                payload: new.payload,
                queued_at: now,
                process_after: new.process_after,
                started_at: None,
                heartbeat_at: None,
                finished_at: None,
                failure_message: None,
                resets: 0,
                failures: 0,
                attempt: 0,
                holder: None,
                cancel: false,
            };
            inner.jobs.insert(job.clone(), Kept { job: queued, token: None, logs: Vec::new() });
            pushed.push(job);
        }
        Ok(pushed)
    }

    async fn dequeue(&self, ask: &Ask, now: Timestamp) -> Result<Option<Lease>> {
        let mut inner = self.open();
        let next = ask.queues.iter().find_map(|queue| {
            let due = |(job, kept): &(&JobRef, &Kept)| job.queue == *queue && kept.is_due(now);
            inner.jobs.iter().find(due).map(|(job, _)| job.clone())
        });
        let Some(kept) = next.and_then(|next| inner.jobs.get_mut(&next)) else { return Ok(None) };
        kept.token = ask.token;
        kept.logs.push(Vec::new());
        let job = &mut kept.job;
        job.state = QueuedState::Processing;
        job.attempt += 1;
        job.holder = Some(ask.holder.clone());
        (job.started_at, job.heartbeat_at) = (Some(now), Some(now));
        (job.finished_at, job.failure_message, job.process_after) = (None, None, None);
        let token = AttemptToken { job: job.job.clone(), attempt: job.attempt };
        Ok(Some(Lease { job: job.clone(), token }))
    }

    async fn attempt_of_token(&self, token: &TokenHash) -> Result<Option<(AttemptToken, String)>> {
        let inner = self.open();
        let kept = inner.jobs.values().find(|kept| kept.token.as_ref() == Some(token));
        Ok(kept.map(|kept| {
            let token = AttemptToken { job: kept.job.job.clone(), attempt: kept.job.attempt };
            (token, kept.job.holder.clone().unwrap())
        }))
    }

    async fn heartbeat(&self, speakers: &[Speaker], now: Timestamp) -> Result<Vec<Heard>> {
        let hear = |speaker| {
            self.held(speaker, |kept, _| {
                kept.job.heartbeat_at = Some(now);
                Heard { job: kept.job.job.clone(), cancel: kept.job.cancel }
            })
        };
        Ok(speakers.iter().filter_map(hear).collect())
    }

    async fn add_log(&self, speaker: &Speaker, entry: &LogEntry, _: Timestamp) -> Result<AddedLog> {
        let added = self.held(speaker, |kept, _| {
            let log = kept.logs.last_mut().unwrap();
            log.push(entry.clone());
            AddedLog::As(log.len() as u64)
        });
        Ok(added.unwrap_or(AddedLog::Stale))
    }

    async fn update_log(
        &self,
        speaker: &Speaker,
        entry: u64,
        out: &LogOut,
        end: Option<(i32, Duration)>,
        _: Timestamp,
    ) -> Result<LogUpdate> {
        let made = self.held(speaker, |kept, _| {
            let log = kept.logs.last_mut().unwrap();
            let index = usize::try_from(entry).unwrap().checked_sub(1);
            let Some(entry) = index.and_then(|index| log.get_mut(index)) else { return LogUpdate::NoEntry };
            let LogOut::Whole(text) = out else { panic!("no test here sends a part") };
            entry.out.clone_from(text);
            (entry.exit_code, entry.duration) = (end.map(|end| end.0), end.map(|end| end.1));
            LogUpdate::Made(text.len() as u64)
        });
        Ok(made.unwrap_or(LogUpdate::Stale))
    }

    async fn finish(&self, speaker: &Speaker, end: &AttemptEnd, now: Timestamp) -> Result<Finished> {
        let ended = self.held(speaker, |kept, rules| {
            let (state, message) = match end {
                AttemptEnd::Completed => (QueuedState::Completed, None),
                AttemptEnd::Errored(message) | AttemptEnd::Failed(message) if kept.job.cancel => {
                    (QueuedState::Canceled, Some(message))
                }
                AttemptEnd::Errored(message) => {
                    kept.job.failures += 1;
                    let again = rules.tries_again(kept.job.failures);
                    kept.job.process_after = again.then(|| later(now, rules.back_off(kept.job.failures)));
                    (if again { QueuedState::Errored } else { QueuedState::Failed }, Some(message))
                }
                AttemptEnd::Failed(message) => {
                    kept.job.failures += 1;
                    (QueuedState::Failed, Some(message))
                }
            };
            kept.end(state, message.cloned(), now);
            Finished::Now(state)
        });
        Ok(ended.unwrap_or(Finished::Stale))
    }

    async fn reset_stalled(&self, now: Timestamp) -> Result<Vec<Reset>> {
        let mut inner = self.open();
        let rules = inner.queues.clone();
        let mut resets = Vec::new();
        for (job, kept) in &mut inner.jobs {
            let rules = &rules[&job.queue];
            let heard = kept.job.heartbeat_at.is_some_and(|at| now < later(at, rules.stalled_after));
            if kept.job.state != QueuedState::Processing || heard {
                continue;
            }
            if rules.resets_again(kept.job.resets) {
                kept.job.resets += 1;
                kept.end(QueuedState::Queued, None, now);
            } else {
                kept.end(QueuedState::Failed, Some(DIED_TOO_OFTEN.into()), now);
            }
            resets.push(Reset { job: job.clone(), attempt: kept.job.attempt, state: kept.job.state });
        }
        Ok(resets)
    }

    async fn cancel(&self, job: &JobRef, now: Timestamp) -> Result<Option<QueuedState>> {
        let mut inner = self.open();
        let Some(kept) = inner.jobs.get_mut(job) else { return Ok(None) };
        match kept.job.state {
            QueuedState::Queued => kept.end(QueuedState::Canceled, None, now),
            QueuedState::Processing => kept.job.cancel = true,
            _ => {}
        }
        Ok(Some(kept.job.state))
    }

    async fn retry(&self, _: &JobRef, _: Timestamp) -> Result<Option<QueuedState>> {
        panic!("no test here tries a job again by hand")
    }

    async fn job(&self, job: &JobRef) -> Result<Option<QueuedJob>> {
        Ok(self.open().jobs.get(job).map(|kept| kept.job.clone()))
    }

    async fn jobs(&self, filter: &Filter) -> Result<Vec<QueuedJob>> {
        let inner = self.open();
        let jobs = inner.jobs.values().map(|kept| &kept.job).filter(|job| {
            filter.queue.as_ref().is_none_or(|queue| *queue == job.job.queue)
                && (filter.states.is_empty() || filter.states.contains(&job.state))
                && filter.after.as_ref().is_none_or(|after| job.job.id < after.id)
        });
        Ok(jobs.rev().take(2).cloned().collect())
    }

    async fn attempts(&self, _: &JobRef) -> Result<Vec<KeptAttempt>> {
        panic!("no test here looks at attempts")
    }

    async fn logs(&self, token: &AttemptToken, from: u64, _: u64) -> Result<Vec<KeptLogEntry>> {
        let inner = self.open();
        let logs = inner.jobs.get(&token.job).and_then(|kept| kept.logs.get(token.attempt as usize - 1));
        let kept = |(index, log): (usize, &LogEntry)| KeptLogEntry {
            entry: index as u64 + 1,
            log: log.clone(),
            length: log.out.len() as u64,
            revision: 0,
        };
        Ok(logs.into_iter().flatten().enumerate().map(kept).filter(|kept| kept.entry >= from).collect())
    }

    async fn prune(&self, _: &QueueName, _: Timestamp) -> Result<u64> {
        panic!("no test here prunes")
    }

    async fn seen(
        &self,
        name: &str,
        queues: &[QueueName],
        about: &[(String, String)],
        now: Timestamp,
    ) -> Result<()> {
        let mut inner = self.open();
        let first_seen = inner.executors.get(name).map_or(now, |executor| executor.first_seen);
        let executor = Executor {
            name: name.to_owned(),
            queues: queues.to_vec(),
            about: about.to_vec(),
            first_seen,
            last_seen: now,
        };
        inner.executors.insert(name.to_owned(), executor);
        Ok(())
    }

    async fn executors(&self, since: Timestamp) -> Result<Vec<Executor>> {
        Ok(self.open().executors.values().filter(|executor| executor.last_seen >= since).cloned().collect())
    }

    fn changes(&self) -> watch::Receiver<Change> {
        self.changed.subscribe()
    }
}
