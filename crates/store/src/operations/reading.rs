//! Looking at jobs and attempts.

use jobwright_model::{AttemptToken, JobRef, QueueName, QueuedJob};

use crate::database::{Operation, Statement, Transaction};
use crate::error::Result;
use crate::queue::{Filter, KeptAttempt, TokenHash};
use crate::rows;
use crate::value::{Value, values};

/// So many jobs are listed at once.
const PAGE: usize = 1000;

/// See [`QueueStore::job`](crate::QueueStore::job).
pub(crate) struct Job(pub(crate) JobRef);

impl Operation for Job {
    type Answer = Option<QueuedJob>;

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Option<QueuedJob>> {
        let look = format!(
            "SELECT {}, payload FROM jobs JOIN payloads USING (queue, id) WHERE queue = ?1 AND id = ?2",
            rows::JOB
        );
        let row = tx.row(Statement::look(look, values![&self.0.queue, self.0.id])).await?;
        row.map(rows::job_with_payload).transpose()
    }
}

/// See [`QueueStore::attempts`](crate::QueueStore::attempts).
pub(crate) struct Attempts(pub(crate) JobRef);

impl Operation for Attempts {
    type Answer = Vec<KeptAttempt>;

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Vec<KeptAttempt>> {
        let look =
            format!("SELECT {} FROM attempts WHERE queue = ?1 AND id = ?2 ORDER BY attempt", rows::ATTEMPT);
        let rows = tx.rows(Statement::look(look, values![&self.0.queue, self.0.id])).await?;
        rows.into_iter().map(rows::attempt).collect()
    }
}

/// See [`QueueStore::attempt_of_token`](crate::QueueStore::attempt_of_token).
pub(crate) struct AttemptOfToken(pub(crate) TokenHash);

impl Operation for AttemptOfToken {
    type Answer = Option<(AttemptToken, String)>;

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Self::Answer> {
        let look = "SELECT queue, id, attempt, holder FROM jobs WHERE token = ?1 AND state = 'processing'";
        let row = tx.row(Statement::look(look, values![Vec::from(self.0)])).await?;
        let attempt = row.map(|mut row| {
            let (job, attempt) = (rows::job_ref(&mut row)?, row.number()?);
            Ok((AttemptToken { job, attempt }, row.text()?))
        });
        attempt.transpose()
    }
}

/// See [`QueueStore::jobs`](crate::QueueStore::jobs).
pub(crate) struct Jobs(pub(crate) Filter);

impl Operation for Jobs {
    type Answer = Vec<QueuedJob>;

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Vec<QueuedJob>> {
        let limit = if self.0.limit == 0 { PAGE } else { self.0.limit.min(PAGE) };
        let mut jobs = Vec::new();
        for queue in self.queues(tx).await? {
            if jobs.len() < limit {
                let found = tx.rows(self.of_queue(&queue, limit - jobs.len())).await?;
                jobs.extend(found.into_iter().map(rows::job_with_payload).collect::<Result<Vec<_>>>()?);
            }
        }
        Ok(jobs)
    }
}

impl Jobs {
    /// The queues that are looked through, by name.
    async fn queues<T: Transaction>(&self, tx: &mut T) -> Result<Vec<QueueName>> {
        let begun = |queue: &QueueName| self.0.after.as_ref().is_none_or(|after| after.queue <= *queue);
        if let Some(queue) = &self.0.queue {
            return Ok(Some(queue.clone()).into_iter().filter(begun).collect());
        }
        let look = "SELECT name FROM queues ORDER BY name";
        let rows = tx.rows(Statement::look(look, values![])).await?;
        let names = rows.into_iter().map(|mut row| row.queue()).collect::<Result<Vec<_>>>()?;
        Ok(names.into_iter().filter(begun).collect())
    }

    /// One queue after the other, so that each page is the beginning of an index, read backwards.
    fn of_queue(&self, queue: &QueueName, limit: usize) -> Statement {
        let mut look = format!(
            "SELECT {}, payload FROM jobs JOIN payloads USING (queue, id) WHERE queue = ?1 AND id > 0 AND id < ?2",
            rows::JOB
        );
        let before =
            self.0.after.as_ref().filter(|after| after.queue == *queue).map_or(i64::MAX, |after| after.id);
        let mut values = values![queue, before, limit];
        let mut parameter = |value: Value| {
            values.push(value);
            format!("?{}", values.len())
        };
        if let Some(tenant) = &self.0.tenant {
            look += &format!(" AND tenant = {}", parameter(Value::free(tenant)));
        }
        if !self.0.states.is_empty() {
            let states: Vec<_> = self.0.states.iter().map(|state| parameter(state.as_str().into())).collect();
            look += &format!(" AND state IN ({})", states.join(", "));
        }
        Statement::look(look + " ORDER BY id DESC LIMIT ?3", values)
    }
}
