//! Taking jobs in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jobwright_model::{JobRef, NewJob, QueueName, QueuedState};

use super::check_name;
use super::line::Line;
use crate::database::{Operation, Statement, Touched, Transaction};
use crate::error::{Error, Result};
use crate::value::values;

/// See [`QueueStore::push`](crate::QueueStore::push).
pub(crate) struct Push {
    pub(crate) jobs: Vec<NewJob>,
    pub(crate) now: Timestamp,
}

impl Operation for Push {
    type Answer = Vec<JobRef>;

    fn touched(&self) -> Touched {
        let mut touched = Touched::default();
        for queue in self.jobs_of_queues().into_keys() {
            touched.add(Touched::queue(queue));
        }
        touched
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Vec<JobRef>> {
        for job in &self.jobs {
            check_name("pushing a job", "tenant", &job.tenant)?;
        }
        let mut next = self.take_numbers(tx).await?;
        let mut pushed = Vec::new();
        for job in &self.jobs {
            let Some(id) = next.get_mut(&job.queue) else { return Err(Error::NoQueue(job.queue.clone())) };
            pushed.push(JobRef::new(job.queue.clone(), *id));
            *id += 1;
        }
        let insertions = self.jobs.iter().zip(&pushed).flat_map(|(job, name)| self.insertions(job, name.id));
        let statements = insertions.chain(self.joins()).collect();
        tx.all(statements).await?;
        Ok(pushed)
    }
}

const JOB: &str = "INSERT INTO jobs (queue, id, state, tenant, priority, queued_at, process_after, due_at, place, resets, failures, \
     attempt, cancel) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, 0, 0)";
const PAYLOAD: &str = "INSERT INTO payloads (queue, id, payload) VALUES (?1, ?2, ?3)";

impl Push {
    fn jobs_of_queues(&self) -> BTreeMap<&QueueName, i64> {
        let mut jobs = BTreeMap::new();
        for job in &self.jobs {
            *jobs.entry(&job.queue).or_default() += 1;
        }
        jobs
    }

    /// The first number of each queue's new jobs.
    async fn take_numbers<T: Transaction>(&self, tx: &mut T) -> Result<BTreeMap<QueueName, i64>> {
        let queues = self.jobs_of_queues();
        let take = "UPDATE queues SET last_id = last_id + ?2 WHERE name = ?1 RETURNING last_id";
        let takes = queues.iter().map(|(queue, jobs)| Statement::change(take, values![*queue, *jobs]));
        let taken = tx.all(takes.collect()).await?;
        let mut first = BTreeMap::new();
        for ((queue, jobs), rows) in queues.into_iter().zip(taken) {
            let mut row = rows.into_iter().next().ok_or_else(|| Error::NoQueue(queue.clone()))?;
            first.insert(queue.clone(), row.integer()? - jobs + 1);
        }
        Ok(first)
    }

    fn is_due(&self, job: &NewJob) -> bool {
        job.process_after.is_none_or(|time| time <= self.now)
    }

    fn insertions(&self, job: &NewJob, id: i64) -> [Statement; 2] {
        let place = self.is_due(job).then_some(id);
        let due_at = job.process_after.map_or(self.now, |time| time.max(self.now));
        let columns = values![
            &job.queue,
            id,
            QueuedState::Queued.as_str(),
            job.tenant.clone().into_bytes(),
            job.priority,
            self.now,
            job.process_after,
            due_at,
            place,
        ];
        let payload = values![&job.queue, id, job.payload.to_string()];
        [Statement::change(JOB, columns), Statement::change(PAYLOAD, payload)]
    }

    /// A line is joined in the order in which its first job is pushed.
    fn joins(&self) -> Vec<Statement> {
        let mut lines: Vec<(&QueueName, Line, i64)> = Vec::new();
        let mut places = BTreeMap::new();
        for job in self.jobs.iter().filter(|job| self.is_due(job)) {
            let line = Line { priority: job.priority.into(), tenant: job.tenant.clone() };
            let place = *places.entry((&job.queue, line.clone())).or_insert(lines.len());
            match lines.get_mut(place) {
                Some((_, _, jobs)) => *jobs += 1,
                None => lines.push((&job.queue, line, 1)),
            }
        }
        lines.into_iter().map(|(queue, line, jobs)| line.join(queue, jobs)).collect()
    }
}
