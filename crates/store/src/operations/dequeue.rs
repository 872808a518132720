//! Giving a job to whoever asks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jobwright_model::{AttemptToken, QueueName, QueuedJob, QueuedState};

use super::check_name;
use super::line::Line;
use crate::database::{Operation, Statement, Touched, Transaction};
use crate::error::Result;
use crate::queue::{Ask, Lease};
use crate::rows;
use crate::value::{Value, makes_no_sense, values};

/// See [`QueueStore::dequeue`](crate::QueueStore::dequeue).
pub(crate) struct Dequeue {
    pub(crate) ask: Ask,
    pub(crate) now: Timestamp,
}

impl Operation for Dequeue {
    type Answer = Option<Lease>;

    fn touched(&self) -> Touched {
        Touched { queues: self.ask.queues.clone(), ..Touched::default() }
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Option<Lease>> {
        check_name("asking for a job", "holder", &self.ask.holder)?;
        for queue in &self.ask.queues {
            let begun = match self.begin(tx, queue).await? {
                Begun::After => {
                    self.line_up(tx, queue).await?;
                    self.begin(tx, queue).await?
                }
                begun => begun,
            };
            if let Begun::Job(job) = begun {
                let job = self.note(tx, job).await?;
                let token = AttemptToken { job: job.job.clone(), attempt: job.attempt };
                return Ok(Some(Lease { job, token }));
            }
        }
        Ok(None)
    }
}

/// What came of the beginning of an attempt.
enum Begun {
    Job(QueuedJob),
    /// There is nothing to begin.
    Nothing,
    /// Nothing is begun until those whose time has come are in their lines.
    After,
}

/// Whether the time of a job has come that is in no line.
const COME: &str = "SELECT id FROM jobs WHERE queue = ?1 AND place IS NULL AND due_at <= ?2 LIMIT 1";

/// One look into one index for whose turn it is, one into another for that line's first job.
const FIRST: &str = "SELECT (SELECT place FROM jobs WHERE jobs.queue = lines.queue AND jobs.priority = lines.priority \
     AND jobs.tenant = lines.tenant AND place IS NOT NULL ORDER BY place LIMIT 1 {free}) \
     FROM lines WHERE lines.queue = ?1 AND (SELECT paused FROM queues WHERE name = ?1) = 0 \
     ORDER BY lines.priority DESC, lines.turn LIMIT 1";

const ATTEMPT: &str =
    "INSERT INTO attempts (queue, id, attempt, holder, started_at, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

impl Dequeue {
    /// Jobs whose time has come join their lines.
    async fn line_up<T: Transaction>(&self, tx: &mut T, queue: &QueueName) -> Result<()> {
        let due = "UPDATE jobs SET place = id WHERE queue = ?1 AND place IS NULL AND due_at <= ?2 RETURNING priority, tenant";
        let mut lines = BTreeMap::<Line, i64>::new();
        for mut row in tx.rows(Statement::change(due, values![queue, self.now])).await? {
            *lines.entry(Line { priority: row.integer()?, tenant: row.text()? }).or_default() += 1;
        }
        if !lines.is_empty() {
            tx.all(lines.iter().map(|(line, jobs)| line.join(queue, *jobs)).collect()).await?;
        }
        Ok(())
    }

    /// One question: mostly no job's time has just come, and if one's has, nothing is begun.
    async fn begin<T: Transaction>(&self, tx: &mut T, queue: &QueueName) -> Result<Begun> {
        let begin = format!(
            "UPDATE jobs SET state = ?2, due_at = NULL, place = NULL, started_at = ?3, heartbeat_at = ?3, finished_at = NULL, \
             failure_message = NULL, attempt = attempt + 1, holder = ?4, token = ?5 WHERE queue = ?1 AND id = ({FIRST}) \
             AND NOT EXISTS (SELECT 1 FROM jobs WHERE queue = ?1 AND place IS NULL AND due_at <= ?3) RETURNING {}",
            rows::JOB
        );
        let holder = Value::free(&self.ask.holder);
        let token = self.ask.token.map(Vec::from);
        let values = vec![queue.into(), PROCESSING.as_str().into(), self.now.into(), holder, token.into()];
        let come = Statement::look(COME, values![queue, self.now]);
        let mut answers = tx.all(vec![come, Statement::change(begin, values)]).await?.into_iter();
        let (come, begun) = (answers.next().unwrap_or_default(), answers.next().unwrap_or_default());
        Ok(match begun.into_iter().next() {
            Some(mut row) => Begun::Job(rows::job(&mut row)?),
            None if come.is_empty() => Begun::Nothing,
            None => Begun::After,
        })
    }

    /// Notes the attempt, ends the turn of the job's line, and reads what is to be run.
    async fn note<T: Transaction>(&self, tx: &mut T, mut job: QueuedJob) -> Result<QueuedJob> {
        let (queue, id) = (&job.job.queue, job.job.id);
        let holder = Value::free(&self.ask.holder);
        let attempt = vec![
            queue.into(),
            id.into(),
            job.attempt.into(),
            holder,
            self.now.into(),
            PROCESSING.as_str().into(),
        ];
        let mut statements = vec![Statement::change(ATTEMPT, attempt)];
        statements.extend(Line { priority: job.priority.into(), tenant: job.tenant.clone() }.served(queue));
        let payload = "SELECT payload FROM payloads WHERE queue = ?1 AND id = ?2";
        statements.push(Statement::look(payload, values![queue, id]));
        let rows = tx.all(statements).await?.pop().unwrap_or_default().into_iter().next();
        let lost = || makes_no_sense(format!("of job {} it is not known what is to be run", job.job));
        job.payload = rows::json(&rows.ok_or_else(lost)?.text()?)?;
        Ok(job)
    }
}

const PROCESSING: QueuedState = QueuedState::Processing;
