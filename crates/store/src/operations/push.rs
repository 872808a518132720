//! Taking jobs in. A queue that is not there takes nothing and tells no number; that is how it is noticed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jobwright_model::{JobRef, NewJob, QueueName, QueuedState};

use super::check_name;
use super::line::Line;
use crate::database::{Operation, Statement, Then, Touched, Transaction, run_by_steps};
use crate::error::{Error, Result};
use crate::value::{Row, values};

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
        Ok(run_by_steps(self, self.statements(), tx).await?.unwrap_or_default())
    }

    fn first(&self) -> Option<Vec<Statement>> {
        let is_fit = self.jobs.iter().all(|job| check_name("", "", &job.tenant).is_ok());
        is_fit.then(|| self.statements())
    }

    fn then(&self, answers: Vec<Vec<Row>>) -> Result<Then<Vec<JobRef>>> {
        let queues = self.jobs_of_queues();
        let mut next = BTreeMap::new();
        for ((queue, jobs), rows) in queues.into_iter().zip(answers) {
            let mut row = rows.into_iter().next().ok_or_else(|| Error::NoQueue(queue.clone()))?;
            next.insert(queue, row.integer()? - jobs + 1);
        }
        let mut pushed = Vec::new();
        for job in &self.jobs {
            let Some(id) = next.get_mut(&job.queue) else { return Err(Error::NoQueue(job.queue.clone())) };
            pushed.push(JobRef::new(job.queue.clone(), *id));
            *id += 1;
        }
        Ok(Then::Done(pushed))
    }
}

const NUMBERS: &str = "UPDATE queues SET last_id = last_id + ?2 WHERE name = ?1 RETURNING last_id";
/// Its number is so many before the queue's last.
const JOB: &str = "INSERT INTO jobs (queue, id, state, tenant, priority, queued_at, process_after, due_at, place, resets, failures, attempt, cancel) \
     SELECT name, last_id - ?2, CAST(?3 AS TEXT), CAST(?4 AS {bytes}), CAST(?5 AS BIGINT), CAST(?6 AS BIGINT), CAST(?7 AS BIGINT), \
     CAST(?8 AS BIGINT), CASE WHEN CAST(?8 AS BIGINT) <= CAST(?6 AS BIGINT) THEN last_id - ?2 END, 0, 0, 0, 0 FROM queues WHERE name = ?1";
const PAYLOAD: &str = "INSERT INTO payloads (queue, id, payload) SELECT name, last_id - ?2, CAST(?3 AS TEXT) FROM queues WHERE name = ?1";

impl Push {
    fn jobs_of_queues(&self) -> BTreeMap<&QueueName, i64> {
        let mut jobs = BTreeMap::new();
        for job in &self.jobs {
            *jobs.entry(&job.queue).or_default() += 1;
        }
        jobs
    }

    /// First the numbers of all queues, by name.
    fn statements(&self) -> Vec<Statement> {
        let mut left = self.jobs_of_queues();
        let numbers = left.iter().map(|(queue, jobs)| Statement::change(NUMBERS, values![*queue, *jobs]));
        let mut statements: Vec<_> = numbers.collect();
        for job in &self.jobs {
            let before_last = left.entry(&job.queue).or_default();
            *before_last -= 1;
            statements.extend(self.insertions(job, *before_last));
        }
        statements.extend(self.joins());
        statements
    }

    fn due_at(&self, job: &NewJob) -> Timestamp {
        job.process_after.map_or(self.now, |time| time.max(self.now))
    }

    fn insertions(&self, job: &NewJob, before_last: i64) -> [Statement; 2] {
        let columns = values![
            &job.queue,
            before_last,
            QueuedState::Queued.as_str(),
            job.tenant.clone().into_bytes(),
            job.priority,
            self.now,
            job.process_after,
            self.due_at(job),
        ];
        let payload = values![&job.queue, before_last, job.payload.to_string()];
        [Statement::change(JOB, columns), Statement::change(PAYLOAD, payload)]
    }

    /// A line is joined in the order in which its first job is pushed.
    fn joins(&self) -> Vec<Statement> {
        let mut lines: Vec<(&QueueName, Line, i64)> = Vec::new();
        let mut places = BTreeMap::new();
        for job in self.jobs.iter().filter(|job| self.due_at(job) <= self.now) {
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
