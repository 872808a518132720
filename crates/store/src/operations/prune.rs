//! Removing what ended long ago.

use jiff::Timestamp;
use jobwright_model::QueueName;

use crate::database::{Operation, Statement, Touched, Transaction};
use crate::error::Result;
use crate::value::values;

/// See [`QueueStore::prune`](crate::QueueStore::prune).
pub(crate) struct Prune {
    pub(crate) queue: QueueName,
    pub(crate) before: Timestamp,
}

impl Operation for Prune {
    type Answer = u64;

    fn touched(&self) -> Touched {
        Touched::queue(&self.queue)
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<u64> {
        // Attempts, logs and payloads go with their job.
        let delete = "DELETE FROM jobs WHERE queue = ?1 AND id IN (SELECT id FROM jobs WHERE queue = ?1 AND due_at IS NULL \
             AND finished_at < ?2 ORDER BY finished_at, id LIMIT 1000) RETURNING id";
        Ok(tx.rows(Statement::change(delete, values![&self.queue, self.before])).await?.len() as u64)
    }
}
