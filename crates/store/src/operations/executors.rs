//! Agents: which there are, and what they say of themselves.

use std::time::Duration;

use jiff::Timestamp;
use jobwright_model::QueueName;

use super::check_name;
use crate::database::{Operation, Statement, Touched, Transaction};
use crate::error::{Error, Result};
use crate::queue::Executor;
use crate::rows;
use crate::value::{Row, Value, values};

/// An agent that was not heard of for so long is forgotten when another one is heard of (sourcegraph.md 7).
const FORGOTTEN_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// See [`QueueStore::seen`](crate::QueueStore::seen).
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) queues: Vec<QueueName>,
    pub(crate) about: Vec<(String, String)>,
    pub(crate) now: Timestamp,
}

impl Operation for Seen {
    type Answer = ();
    const IS_TOLD: bool = false;

    fn touched(&self) -> Touched {
        Touched::beyond()
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<()> {
        check_name("noting an agent", "agent", &self.name)?;
        let note = "INSERT INTO executors (name, queues, about, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?4) \
             ON CONFLICT (name) DO UPDATE SET queues = excluded.queues, about = excluded.about, last_seen = excluded.last_seen";
        let mut noted = vec![Value::free(&self.name)];
        noted.extend(values![json(&self.queues)?, json(&self.about)?, self.now]);
        let forget = "DELETE FROM executors WHERE last_seen < ?1";
        let long_ago = self.now.saturating_sub(FORGOTTEN_AFTER).unwrap_or(Timestamp::MIN);
        let statements = vec![Statement::change(note, noted), Statement::change(forget, values![long_ago])];
        tx.all(statements).await.map(drop)
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    let operation = || "noting an agent".to_owned();
    serde_json::to_string(value)
        .map_err(|error| Error::Failed { operation: operation(), reason: error.to_string() })
}

/// See [`QueueStore::executors`](crate::QueueStore::executors).
pub(crate) struct Executors {
    pub(crate) since: Timestamp,
}

impl Operation for Executors {
    type Answer = Vec<Executor>;

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Vec<Executor>> {
        let look = "SELECT name, queues, about, first_seen, last_seen FROM executors WHERE last_seen >= ?1 ORDER BY name";
        let rows = tx.rows(Statement::look(look, values![self.since])).await?;
        rows.into_iter().map(executor).collect()
    }
}

fn executor(mut row: Row) -> Result<Executor> {
    Ok(Executor {
        name: row.text()?,
        queues: rows::parsed(&row.text()?)?,
        about: rows::parsed(&row.text()?)?,
        first_seen: row.time()?,
        last_seen: row.time()?,
    })
}
