//! Who lives: signs of life, and what becomes of jobs of which none came.

use std::collections::HashMap;

use jiff::Timestamp;
use jobwright_model::{DIED_TOO_OFTEN, JobRef, QueueName, QueueRules, QueuedState, Speaker};

use super::finish::END_ATTEMPT;
use crate::database::{Operation, Statement, Touched, Transaction};
use crate::error::Result;
use crate::queue::{Heard, Reset};
use crate::rows;
use crate::value::{Value, values};

/// See [`QueueStore::heartbeat`](crate::QueueStore::heartbeat).
pub(crate) struct Heartbeat {
    pub(crate) speakers: Vec<Speaker>,
    pub(crate) now: Timestamp,
}

impl Operation for Heartbeat {
    type Answer = Vec<Heard>;
    const IS_TOLD: bool = false;

    fn touched(&self) -> Touched {
        Touched {
            queues: self.speakers.iter().map(|speaker| speaker.job().queue.clone()).collect(),
            ..Touched::default()
        }
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Vec<Heard>> {
        let beat = "UPDATE jobs SET heartbeat_at = ?1 FROM {speakers} AS spoken \
             WHERE jobs.queue = spoken.queue AND jobs.id = spoken.id AND jobs.state = 'processing' \
             AND (spoken.attempt IS NULL OR spoken.attempt = jobs.attempt) \
             AND (spoken.holder IS NULL OR spoken.holder = jobs.holder) \
             RETURNING jobs.queue, jobs.id, jobs.cancel";
        let speakers = serde_json::Value::from_iter(self.speakers.iter().map(rows::spoken)).to_string();
        let mut found = HashMap::new();
        for mut row in tx.rows(Statement::change(beat, values![self.now, speakers])).await? {
            found.insert(rows::job_ref(&mut row)?, row.flag()?);
        }
        // In the order in which they were named, each once.
        let heard = self.speakers.iter().filter_map(|speaker| found.remove_entry(speaker.job()));
        Ok(heard.map(|(job, cancel)| Heard { job, cancel }).collect())
    }
}

/// See [`QueueStore::reset_stalled`](crate::QueueStore::reset_stalled).
pub(crate) struct ResetStalled {
    pub(crate) now: Timestamp,
}

impl Operation for ResetStalled {
    type Answer = Vec<Reset>;

    fn touched(&self) -> Touched {
        Touched::all()
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Vec<Reset>> {
        let queues = "SELECT name, rules FROM queues ORDER BY name";
        let mut resets = Vec::new();
        for mut row in tx.rows(Statement::look(queues, values![])).await? {
            let (queue, rules) = (row.queue()?, rows::rules(&mut row)?);
            resets.extend(self.reset(tx, &queue, &rules).await?);
        }
        Ok(resets)
    }
}

impl ResetStalled {
    async fn reset<T: Transaction>(
        &self,
        tx: &mut T,
        queue: &QueueName,
        rules: &QueueRules,
    ) -> Result<Vec<Reset>> {
        let silent = self.now.saturating_sub(rules.stalled_after).unwrap_or(Timestamp::MIN);
        // Through the index of states: few of a queue's jobs run.
        let stalled = "SELECT id, attempt, cancel, resets FROM jobs \
             WHERE queue = ?1 AND id IN (SELECT id FROM jobs WHERE queue = ?1 AND state = 'processing' AND id > 0) \
             AND state = 'processing' AND heartbeat_at <= ?2 ORDER BY id {free}";
        let mut resets = Vec::new();
        let mut changes = Vec::new();
        for mut row in tx.rows(Statement::look(stalled, values![queue, silent])).await? {
            let job = JobRef::new(queue.clone(), row.integer()?);
            let attempt: u32 = row.number()?;
            let state = match (row.flag()?, rules.resets_again(row.number()?)) {
                (true, _) => QueuedState::Canceled,
                (false, true) => QueuedState::Queued,
                (false, false) => QueuedState::Failed,
            };
            changes.extend(self.changes(&job, attempt, state));
            resets.push(Reset { job, attempt, state });
        }
        if !changes.is_empty() {
            tx.all(changes).await?;
        }
        Ok(resets)
    }

    /// The attempt is over. A job that is queued again is the oldest of its tenant that waits, or near it, so it comes before what came later.
    fn changes(&self, job: &JobRef, attempt: u32, state: QueuedState) -> [Statement; 2] {
        let queued = state == QueuedState::Queued;
        let message = (state == QueuedState::Failed).then(|| Value::free(DIED_TOO_OFTEN));
        let message = message.unwrap_or(Value::Null);
        let reset = "UPDATE jobs SET state = ?3, finished_at = ?4, failure_message = ?5, due_at = ?6, resets = resets + ?7, \
             started_at = CASE WHEN ?7 = 1 THEN NULL ELSE started_at END, token = NULL WHERE queue = ?1 AND id = ?2";
        let due_at = queued.then_some(self.now);
        let mut of_job = values![&job.queue, job.id, state.as_str(), self.now];
        of_job.push(message.clone());
        of_job.extend(values![due_at, queued]);
        let mut of_attempt = values![&job.queue, job.id, attempt, state.as_str(), self.now];
        of_attempt.push(message);
        [Statement::change(reset, of_job), Statement::change(END_ATTEMPT, of_attempt)]
    }
}
