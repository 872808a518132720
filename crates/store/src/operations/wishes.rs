//! What people want of a job: its end, or another try.

use jiff::Timestamp;
use jobwright_model::{JobRef, QueuedState};

use super::line::Line;
use crate::database::{Operation, Statement, Touched, Transaction};
use crate::error::Result;
use crate::rows;
use crate::value::{Row, values};

/// See [`QueueStore::cancel`](crate::QueueStore::cancel).
pub(crate) struct Cancel {
    pub(crate) job: JobRef,
    pub(crate) now: Timestamp,
}

impl Operation for Cancel {
    type Answer = Option<QueuedState>;

    fn touched(&self) -> Touched {
        Touched::queue(&self.job.queue)
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Option<QueuedState>> {
        let look = "SELECT state, priority, tenant, place FROM jobs WHERE queue = ?1 AND id = ?2";
        let found = tx.row(Statement::look(look, values![&self.job.queue, self.job.id])).await?;
        let Some(mut row) = found else { return Ok(None) };
        match rows::state(&mut row)? {
            QueuedState::Queued | QueuedState::Errored => {
                tx.all(self.end(row)?).await?;
                Ok(Some(QueuedState::Canceled))
            }
            QueuedState::Processing => {
                let want = "UPDATE jobs SET cancel = 1 WHERE queue = ?1 AND id = ?2";
                tx.rows(Statement::change(want, values![&self.job.queue, self.job.id])).await?;
                Ok(Some(QueuedState::Processing))
            }
            ended => Ok(Some(ended)),
        }
    }
}

impl Cancel {
    /// It waits, perhaps in a line, and does so no more.
    fn end(&self, mut row: Row) -> Result<Vec<Statement>> {
        let end = "UPDATE jobs SET state = 'canceled', cancel = 1, finished_at = ?3, due_at = NULL, place = NULL \
                   WHERE queue = ?1 AND id = ?2";
        let mut statements = vec![Statement::change(end, values![&self.job.queue, self.job.id, self.now])];
        let line = Line { priority: row.integer()?, tenant: row.text()? };
        if row.optional_integer()?.is_some() {
            statements.extend(line.left(&self.job.queue));
        }
        Ok(statements)
    }
}

/// See [`QueueStore::retry`](crate::QueueStore::retry).
pub(crate) struct Retry {
    pub(crate) job: JobRef,
    pub(crate) now: Timestamp,
}

impl Operation for Retry {
    type Answer = Option<QueuedState>;

    fn touched(&self) -> Touched {
        Touched::queue(&self.job.queue)
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Option<QueuedState>> {
        let look = "SELECT state, process_after FROM jobs WHERE queue = ?1 AND id = ?2";
        let found = tx.row(Statement::look(look, values![&self.job.queue, self.job.id])).await?;
        let Some(mut row) = found else { return Ok(None) };
        let stood = rows::state(&mut row)?;
        if matches!(stood, QueuedState::Failed | QueuedState::Canceled) {
            let due_at = row.optional_time()?.map_or(self.now, |time| time.max(self.now));
            let again = "UPDATE jobs SET state = 'queued', due_at = ?3, started_at = NULL, heartbeat_at = NULL, finished_at = NULL, \
                 failure_message = NULL, resets = 0, failures = 0, holder = NULL, cancel = 0 WHERE queue = ?1 AND id = ?2";
            tx.rows(Statement::change(again, values![&self.job.queue, self.job.id, due_at])).await?;
        }
        Ok(Some(stood))
    }
}
