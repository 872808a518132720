//! The rules of one queue in memory, as simply as they can be said, for random sequences to be held against. Not for logs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jobwright_model::{AttemptEnd, DIED_TOO_OFTEN, QueueRules, QueuedState};

/// A job, with what a store tells of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Job {
    pub(crate) state: QueuedState,
    pub(crate) tenant: String,
    pub(crate) priority: i32,
    pub(crate) process_after: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) heartbeat_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) message: Option<String>,
    pub(crate) resets: u32,
    pub(crate) failures: u32,
    pub(crate) attempt: u32,
    pub(crate) holder: Option<String>,
    pub(crate) cancel: bool,
}

/// What a store tells of no job.
#[derive(Debug, Clone)]
struct Hidden {
    due_at: Timestamp,
    in_line: bool,
}

/// Who is said to hold a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Who {
    Attempt(u32),
    Holder(String),
}

pub(crate) struct Model {
    rules: QueueRules,
    pub(crate) paused: bool,
    pub(crate) stale: u64,
    last: i64,
    pub(crate) jobs: BTreeMap<i64, Job>,
    hidden: BTreeMap<i64, Hidden>,
    /// Of each priority the tenants that have jobs due, whose turn it is next first.
    round: BTreeMap<i32, Vec<String>>,
}

impl Model {
    pub(crate) fn new(rules: QueueRules) -> Self {
        Self {
            rules,
            paused: false,
            stale: 0,
            last: 0,
            jobs: BTreeMap::new(),
            hidden: BTreeMap::new(),
            round: BTreeMap::new(),
        }
    }

    pub(crate) fn push(
        &mut self,
        tenant: &str,
        priority: i32,
        after: Option<Timestamp>,
        now: Timestamp,
    ) -> i64 {
        self.last += 1;
        let job = Job {
            state: QueuedState::Queued,
            tenant: tenant.to_owned(),
            priority,
            process_after: after,
            started_at: None,
            heartbeat_at: None,
            finished_at: None,
            message: None,
            resets: 0,
            failures: 0,
            attempt: 0,
            holder: None,
            cancel: false,
        };
        let due_at = after.map_or(now, |after| after.max(now));
        self.jobs.insert(self.last, job);
        self.hidden.insert(self.last, Hidden { due_at, in_line: false });
        if due_at <= now {
            self.line_up(vec![self.last]);
        }
        self.last
    }

    /// These join their tenants' lines; a new line goes behind all others of its priority.
    fn line_up(&mut self, mut ids: Vec<i64>) {
        ids.sort_by_key(|id| (self.jobs[id].priority, self.jobs[id].tenant.clone()));
        for id in ids {
            self.hidden.get_mut(&id).unwrap().in_line = true;
            let job = &self.jobs[&id];
            let round = self.round.entry(job.priority).or_default();
            if !round.contains(&job.tenant) {
                round.push(job.tenant.clone());
            }
        }
    }

    fn is_in_line(&self, id: i64) -> bool {
        self.hidden.get(&id).is_some_and(|hidden| hidden.in_line)
    }

    fn first_of(&self, priority: i32, tenant: &str) -> Option<i64> {
        let mut of_line = self
            .jobs
            .iter()
            .filter(|(id, job)| self.is_in_line(**id) && job.priority == priority && job.tenant == tenant);
        of_line.next().map(|(id, _)| *id)
    }

    /// It waits no more. A line without jobs is none.
    fn leave(&mut self, id: i64) {
        self.hidden.remove(&id);
        let (priority, tenant) = (self.jobs[&id].priority, self.jobs[&id].tenant.clone());
        if self.first_of(priority, &tenant).is_none() {
            self.round.entry(priority).or_default().retain(|other| *other != tenant);
        }
    }

    pub(crate) fn dequeue(&mut self, holder: &str, now: Timestamp) -> Option<i64> {
        let waits = |(id, hidden): (&i64, &Hidden)| (!hidden.in_line && hidden.due_at <= now).then_some(*id);
        let due: Vec<_> = self.hidden.iter().filter_map(waits).collect();
        self.line_up(due);
        if self.paused {
            return None;
        }
        let round = self.round.values_mut().rev().find(|round| !round.is_empty())?;
        let tenant = round.remove(0);
        round.push(tenant.clone());
        let priority = *self.round.iter().rev().find(|(_, round)| !round.is_empty())?.0;
        let id = self.first_of(priority, &tenant)?;
        self.leave(id);
        let job = self.jobs.get_mut(&id)?;
        job.state = QueuedState::Processing;
        job.attempt += 1;
        (job.started_at, job.heartbeat_at) = (Some(now), Some(now));
        (job.finished_at, job.message, job.holder) = (None, None, Some(holder.to_owned()));
        Some(id)
    }

    fn is_held(&self, id: i64, who: &Who) -> bool {
        self.jobs.get(&id).is_some_and(|job| {
            job.state == QueuedState::Processing
                && match who {
                    Who::Attempt(attempt) => job.attempt == *attempt,
                    Who::Holder(holder) => job.holder.as_ref() == Some(holder),
                }
        })
    }

    pub(crate) fn heartbeat(&mut self, id: i64, who: &Who, now: Timestamp) -> Option<bool> {
        if !self.is_held(id, who) {
            return None;
        }
        let job = self.jobs.get_mut(&id)?;
        job.heartbeat_at = Some(now);
        Some(job.cancel)
    }

    pub(crate) fn finish(
        &mut self,
        id: i64,
        who: &Who,
        end: &AttemptEnd,
        now: Timestamp,
    ) -> Option<QueuedState> {
        if !self.is_held(id, who) {
            self.stale += 1;
            return None;
        }
        let job = self.jobs.get_mut(&id)?;
        job.finished_at = Some(now);
        job.message = match end {
            AttemptEnd::Completed => None,
            AttemptEnd::Errored(message) | AttemptEnd::Failed(message) => Some(message.clone()),
        };
        job.state = match end {
            AttemptEnd::Completed => QueuedState::Completed,
            _ if job.cancel => QueuedState::Canceled,
            _ => {
                job.failures += 1;
                let again = matches!(end, AttemptEnd::Errored(_)) && job.failures <= self.rules.max_retries;
                if again { QueuedState::Errored } else { QueuedState::Failed }
            }
        };
        if job.state == QueuedState::Errored {
            let due_at = now + self.rules.back_off(job.failures);
            self.hidden.insert(id, Hidden { due_at, in_line: false });
        }
        Some(self.jobs[&id].state)
    }

    pub(crate) fn reset_stalled(&mut self, now: Timestamp) -> Vec<(i64, u32, QueuedState)> {
        let mut resets = Vec::new();
        for (id, job) in &mut self.jobs {
            let is_silent = job.heartbeat_at.is_some_and(|beat| beat + self.rules.stalled_after <= now);
            if job.state != QueuedState::Processing || !is_silent {
                continue;
            }
            job.finished_at = Some(now);
            if job.cancel {
                job.state = QueuedState::Canceled;
            } else if job.resets < self.rules.max_resets {
                (job.state, job.started_at) = (QueuedState::Queued, None);
                job.resets += 1;
                self.hidden.insert(*id, Hidden { due_at: now, in_line: false });
            } else {
                (job.state, job.message) = (QueuedState::Failed, Some(DIED_TOO_OFTEN.to_owned()));
            }
            resets.push((*id, job.attempt, job.state));
        }
        resets
    }

    pub(crate) fn cancel(&mut self, id: i64, now: Timestamp) -> Option<QueuedState> {
        let job = self.jobs.get_mut(&id)?;
        match job.state {
            QueuedState::Queued | QueuedState::Errored => {
                (job.state, job.cancel, job.finished_at) = (QueuedState::Canceled, true, Some(now));
                self.leave(id);
            }
            QueuedState::Processing => job.cancel = true,
            _ => {}
        }
        Some(self.jobs[&id].state)
    }

    pub(crate) fn retry(&mut self, id: i64, now: Timestamp) -> Option<QueuedState> {
        let job = self.jobs.get_mut(&id)?;
        let stood = job.state;
        if matches!(stood, QueuedState::Failed | QueuedState::Canceled) {
            let fresh = Job {
                state: QueuedState::Queued,
                started_at: None,
                heartbeat_at: None,
                finished_at: None,
                message: None,
                resets: 0,
                failures: 0,
                holder: None,
                cancel: false,
                ..job.clone()
            };
            let due_at = job.process_after.map_or(now, |after| after.max(now));
            *job = fresh;
            self.hidden.insert(id, Hidden { due_at, in_line: false });
        }
        Some(stood)
    }

    pub(crate) fn prune(&mut self, before: Timestamp) -> u64 {
        let all = self.jobs.len();
        self.jobs
            .retain(|_, job| !job.state.is_terminal() || job.finished_at.is_none_or(|end| end >= before));
        (all - self.jobs.len()) as u64
    }
}
