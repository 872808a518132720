//! Queues themselves: making one, pausing one, and what is in each.

use std::collections::HashMap;

use jiff::Timestamp;
use jobwright_model::{QueueName, QueueRules, QueuedState};

use crate::database::{Operation, Statement, Touched, Transaction};
use crate::error::{Error, Result};
use crate::queue::QueueSummary;
use crate::rows;
use crate::value::{Row, values};

/// See [`QueueStore::create_queue`](crate::QueueStore::create_queue).
pub(crate) struct CreateQueue {
    pub(crate) queue: QueueName,
    pub(crate) rules: QueueRules,
}

impl Operation for CreateQueue {
    type Answer = bool;

    fn touched(&self) -> Touched {
        Touched { beyond: true, ..Touched::queue(&self.queue) }
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<bool> {
        let rules = serde_json::to_string(&self.rules).map_err(|error| Error::Failed {
            operation: format!("making the queue {}", self.queue),
            reason: error.to_string(),
        })?;
        let update = "UPDATE queues SET rules = ?2 WHERE name = ?1 RETURNING name";
        let there = tx.row(Statement::change(update, values![&self.queue, rules.clone()])).await?;
        if there.is_some() {
            return Ok(false);
        }
        let insert =
            "INSERT INTO queues (name, rules, paused, last_id, stale_writes) VALUES (?1, ?2, 0, 0, 0)";
        tx.rows(Statement::change(insert, values![&self.queue, rules])).await?;
        Ok(true)
    }
}

/// See [`QueueStore::pause_queue`](crate::QueueStore::pause_queue).
pub(crate) struct PauseQueue {
    pub(crate) queue: QueueName,
    pub(crate) paused: bool,
}

impl Operation for PauseQueue {
    type Answer = bool;

    fn touched(&self) -> Touched {
        Touched::queue(&self.queue)
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<bool> {
        let update = "UPDATE queues SET paused = ?2 WHERE name = ?1 RETURNING name";
        Ok(tx.row(Statement::change(update, values![&self.queue, self.paused])).await?.is_some())
    }
}

/// See [`QueueStore::queues`](crate::QueueStore::queues).
pub(crate) struct Summaries {
    pub(crate) now: Timestamp,
}

impl Operation for Summaries {
    type Answer = Vec<QueueSummary>;

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Vec<QueueSummary>> {
        let queues = "SELECT name, rules, paused, stale_writes FROM queues ORDER BY name";
        let mut summaries = Vec::new();
        for mut row in tx.rows(Statement::look(queues, values![])).await? {
            let (queue, rules) = (row.queue()?, rows::rules(&mut row)?);
            let (paused, stale_writes) = (row.flag()?, row.number()?);
            let (counts, oldest_due) = self.content(tx, &queue).await?;
            summaries.push(QueueSummary { queue, rules, paused, counts, oldest_due, stale_writes });
        }
        Ok(summaries)
    }
}

/// How many jobs are in each state, and since when the one is due that is so longest.
type Content = (Vec<(QueuedState, u64)>, Option<Timestamp>);

impl Summaries {
    async fn content<T: Transaction>(&self, tx: &mut T, queue: &QueueName) -> Result<Content> {
        let counts = "SELECT state, COUNT(*) FROM jobs WHERE queue = ?1 AND id > 0 GROUP BY state";
        let in_line = "SELECT MIN(due_at) FROM jobs WHERE queue = ?1 AND place IS NOT NULL";
        let waiting = "SELECT MIN(due_at) FROM jobs WHERE queue = ?1 AND place IS NULL AND due_at <= ?2";
        let looks = vec![
            Statement::look(counts, values![queue]),
            Statement::look(in_line, values![queue]),
            Statement::look(waiting, values![queue, self.now]),
        ];
        let mut counts = HashMap::new();
        let mut oldest = None;
        for (number, rows) in tx.all(looks).await?.into_iter().enumerate() {
            for row in rows {
                if number == 0 {
                    counts.extend([count(row)?]);
                } else {
                    oldest = earlier(oldest, row)?;
                }
            }
        }
        let of = |state| (state, counts.get(&state).copied().unwrap_or_default());
        Ok((QueuedState::ALL.into_iter().map(of).collect(), oldest))
    }
}

fn count(mut row: Row) -> Result<(QueuedState, u64)> {
    Ok((rows::state(&mut row)?, row.number()?))
}

fn earlier(than: Option<Timestamp>, mut row: Row) -> Result<Option<Timestamp>> {
    let found = row.optional_time()?;
    Ok(than.into_iter().chain(found).min())
}
