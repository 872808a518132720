//! One connection to a server, and the transaction that is open on it. What is asked for together goes out together, and what must be said but has
//! no answer that anybody waits for (the beginning of a transaction, a savepoint, a lock) goes ahead of what comes next.

use std::collections::HashMap;

use futures_util::future::maybe_done;
use futures_util::{FutureExt, StreamExt, pin_mut, poll};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls};

use super::problem::problem;
use crate::database::{Statement, Transaction};
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::value::{Row, Value};

/// Where the tables are, so that they are in nobody's way who has others in the same database.
pub(super) const SCHEMA: &str = "jobwright";

/// How each connection is set, whatever the server's settings are. Nobody waits for a server that stands still in the middle of a transaction, or
/// for somebody's lock, longer than this. Each statement has its index: it is planned once, and not so that it reads a table whole that was small then.
const SETTINGS: &str = "SET search_path TO jobwright; SET synchronous_commit TO on; SET idle_in_transaction_session_timeout TO '10s'; \
     SET lock_timeout TO '20s'; SET statement_timeout TO '60s'; SET enable_seqscan TO off; SET jit TO off; \
     SET plan_cache_mode TO force_generic_plan; SET client_min_messages TO warning";

/// A connection.
pub(super) struct Session {
    client: Client,
    prepared: HashMap<String, tokio_postgres::Statement>,
    ahead: Vec<Statement>,
    has_changed: bool,
    is_broken: bool,
}

impl Session {
    pub(super) async fn connect(config: &Config) -> Result<Self> {
        let (client, connection) = config.connect(NoTls).await.map_err(|error| problem(&error))?;
        // It ends when the client is dropped, or fails with it: then each question is answered so.
        tokio::spawn(connection.map(drop));
        client.batch_execute(SETTINGS).await.map_err(|error| problem(&error))?;
        let (prepared, ahead) = (HashMap::new(), Vec::new());
        Ok(Self { client, prepared, ahead, has_changed: false, is_broken: false })
    }

    /// Nothing more can be asked of it.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken || self.client.is_closed()
    }

    /// Says this before whatever is asked for next.
    pub(super) fn say_ahead(&mut self, statement: Statement) {
        self.ahead.push(statement);
    }

    /// How much is still to be said.
    pub(super) fn unsaid(&self) -> usize {
        self.ahead.len()
    }

    /// Leaves unsaid what is after the first `keep`.
    pub(super) fn unsay(&mut self, keep: usize) {
        self.ahead.truncate(keep);
    }

    /// Whether something was changed since this was last asked.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Says one thing.
    pub(super) async fn execute(&mut self, sql: &'static str) -> Result<()> {
        self.rows(Statement::look(sql, Vec::new())).await.map(drop)
    }

    async fn prepare(&mut self, statement: &Statement) -> Result<tokio_postgres::Statement> {
        let sql = Dialect::Postgres.spell(&statement.sql);
        if let Some(prepared) = self.prepared.get(&sql) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare(&sql).await.map_err(|error| problem(&error))?;
        self.prepared.insert(sql, prepared.clone());
        Ok(prepared)
    }

    /// Sends all, each before anything of the next, and then waits for each answer.
    async fn send(
        &self,
        statements: &[Statement],
        prepared: &[tokio_postgres::Statement],
    ) -> Result<Vec<Answer>> {
        let mut sent = Vec::new();
        for (statement, prepared) in statements.iter().zip(prepared) {
            let mut request = Box::pin(maybe_done(ask(&self.client, prepared, &statement.values)));
            let _ = poll!(request.as_mut());
            sent.push(request);
        }
        let mut answers = Vec::new();
        for mut request in sent {
            request.as_mut().await;
            let answer = request.as_mut().take_output();
            answers.push(answer.unwrap_or_else(|| Err(Error::Gone("it did not answer".to_owned())))?);
        }
        Ok(answers)
    }

    async fn send_all(&mut self, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>> {
        let ahead = self.ahead.len();
        let mut all = std::mem::take(&mut self.ahead);
        all.extend(statements);
        let mut prepared = Vec::new();
        for statement in &all {
            // What was to be said ahead is not said then, so nobody knows what is open.
            let outcome = self.prepare(statement).await.inspect_err(|_| self.is_broken = true);
            prepared.push(outcome?);
        }
        let answers = self.send(&all, &prepared).await?;
        let changes = all.iter().zip(&answers).any(|(asked, answer)| !asked.is_look && answer.changed > 0);
        self.has_changed |= changes;
        Ok(answers.into_iter().skip(ahead).map(|answer| answer.rows).collect())
    }
}

/// What a statement came to.
struct Answer {
    rows: Vec<Row>,
    changed: u64,
}

async fn ask(client: &Client, prepared: &tokio_postgres::Statement, values: &[Value]) -> Result<Answer> {
    let values = values.iter().map(|value| value as &(dyn ToSql + Sync));
    let found = client.query_raw(prepared, values).await.map_err(|error| problem(&error))?;
    pin_mut!(found);
    let mut rows = Vec::new();
    while let Some(row) = found.next().await {
        let row = row.map_err(|error| problem(&error))?;
        let values = (0..row.len()).map(|column| row.try_get(column)).collect::<std::result::Result<_, _>>();
        rows.push(Row::new(values.map_err(|error| problem(&error))?));
    }
    Ok(Answer { rows, changed: found.rows_affected().unwrap_or_default() })
}

impl Transaction for Session {
    async fn all(&mut self, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>> {
        let answered = self.send_all(statements).await;
        self.is_broken |= matches!(answered, Err(Error::Gone(_)));
        answered
    }
}
