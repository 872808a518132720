//! The bare statements that the store's operations cannot do without, one after the other on one connection, as synced as the store's. Not for
//! anything of the store's own.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls};

use crate::Outcome;

/// A parameter, or a column.
#[derive(Debug, Clone)]
enum Value {
    Number(i64),
    Text(&'static str),
    Bytes(Vec<u8>),
}

use Value::{Bytes, Number, Text};

/// A connection.
pub(crate) enum Bare {
    File(rusqlite::Connection),
    Server(Box<Client>, std::collections::HashMap<&'static str, tokio_postgres::Statement>),
}

const PUSH: [&str; 4] = [
    "UPDATE queues SET last_id = last_id + 1 WHERE name = ?1 RETURNING last_id",
    "INSERT INTO jobs (queue, id, state, tenant, priority, queued_at, due_at, place, resets, failures, attempt, cancel) \
     VALUES (?1, ?2, 'queued', ?3, 0, ?4, ?4, ?2, 0, 0, 0, 0)",
    "INSERT INTO payloads (queue, id, payload) VALUES (?1, ?2, ?3)",
    "INSERT INTO lines (queue, priority, tenant, waiting, turn) \
     VALUES (?1, 0, ?2, 1, (SELECT COALESCE(MAX(turn), 0) + 1 FROM lines WHERE queue = ?1 AND priority = 0 AND turn > 0)) \
     ON CONFLICT (queue, priority, tenant) DO UPDATE SET waiting = lines.waiting + 1",
];

const DEQUEUE: [&str; 5] = [
    "UPDATE jobs SET state = 'processing', due_at = NULL, place = NULL, started_at = ?2, heartbeat_at = ?2, attempt = attempt + 1, holder = ?3 \
     WHERE queue = ?1 AND id = (SELECT (SELECT place FROM jobs WHERE jobs.queue = lines.queue AND jobs.priority = lines.priority \
     AND jobs.tenant = lines.tenant AND place IS NOT NULL ORDER BY place LIMIT 1) \
     FROM lines WHERE lines.queue = ?1 AND lines.turn > 0 ORDER BY lines.priority DESC, lines.turn LIMIT 1) RETURNING id, attempt",
    "INSERT INTO attempts (queue, id, attempt, holder, started_at, state) VALUES (?1, ?2, ?3, ?4, ?5, 'processing')",
    "DELETE FROM lines WHERE queue = ?1 AND priority = 0 AND tenant = ?2 AND waiting <= 1",
    "UPDATE lines SET waiting = waiting - 1, turn = (SELECT MAX(turn) + 1 FROM lines WHERE queue = ?1 AND priority = 0 AND turn > 0) \
     WHERE queue = ?1 AND priority = 0 AND tenant = ?2",
    "SELECT payload FROM payloads WHERE queue = ?1 AND id = ?2",
];

const COMPLETE: [&str; 3] = [
    "SELECT attempt, cancel, failures, rules FROM jobs JOIN queues ON name = queue \
     WHERE queue = ?1 AND id = ?2 AND state = 'processing' AND attempt = ?3",
    "UPDATE jobs SET state = 'completed', finished_at = ?3 WHERE queue = ?1 AND id = ?2",
    "UPDATE attempts SET state = 'completed', finished_at = ?4 WHERE queue = ?1 AND id = ?2 AND attempt = ?3",
];

fn queue() -> Value {
    Text("bare")
}

fn now() -> Value {
    Number(Timestamp::now().as_microsecond())
}

impl Bare {
    pub(crate) fn file(path: &Path) -> Outcome<Self> {
        let connection = rusqlite::Connection::open(path)?;
        connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self::File(connection))
    }

    pub(crate) async fn server(url: &str) -> Outcome<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("SET search_path TO jobwright; SET enable_seqscan TO off").await?;
        Ok(Self::Server(Box::new(client), std::collections::HashMap::new()))
    }

    pub(crate) async fn push(&mut self) -> Outcome<()> {
        let nobody = || Bytes(Vec::new());
        self.execute("BEGIN", vec![]).await?;
        let id = self.execute(PUSH[0], vec![queue()]).await?.remove(0);
        self.execute(PUSH[1], vec![queue(), Number(id), nobody(), now()]).await?;
        self.execute(PUSH[2], vec![queue(), Number(id), Text("{\"n\":1}")]).await?;
        self.execute(PUSH[3], vec![queue(), nobody()]).await?;
        self.execute("COMMIT", vec![]).await.map(drop)
    }

    pub(crate) async fn dequeue(&mut self) -> Outcome<(i64, i64)> {
        let (holder, nobody) = (|| Bytes(b"agent".to_vec()), || Bytes(Vec::new()));
        self.execute("BEGIN", vec![]).await?;
        let given = self.execute(DEQUEUE[0], vec![queue(), now(), holder()]).await?;
        let (id, attempt) = (given[0], given[1]);
        let began = vec![queue(), Number(id), Number(attempt), holder(), now()];
        self.execute(DEQUEUE[1], began).await?;
        self.execute(DEQUEUE[2], vec![queue(), nobody()]).await?;
        self.execute(DEQUEUE[3], vec![queue(), nobody()]).await?;
        self.execute(DEQUEUE[4], vec![queue(), Number(id)]).await?;
        self.execute("COMMIT", vec![]).await?;
        Ok((id, attempt))
    }

    pub(crate) async fn complete(&mut self, id: i64, attempt: i64) -> Outcome<()> {
        self.execute("BEGIN", vec![]).await?;
        self.execute(COMPLETE[0], vec![queue(), Number(id), Number(attempt)]).await?;
        self.execute(COMPLETE[1], vec![queue(), Number(id), now()]).await?;
        self.execute(COMPLETE[2], vec![queue(), Number(id), Number(attempt), now()]).await?;
        self.execute("COMMIT", vec![]).await.map(drop)
    }

    /// The numbers of the first row; a text counts as 0.
    async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Outcome<Vec<i64>> {
        match self {
            Self::File(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let columns = statement.column_count();
                let mut rows = statement.query(rusqlite::params_from_iter(&values))?;
                let mut numbers = Vec::new();
                while let Some(row) = rows.next()? {
                    for column in 0..columns {
                        let number =
                            if let ValueRef::Integer(number) = row.get_ref(column)? { number } else { 0 };
                        numbers.push(number);
                    }
                }
                Ok(numbers)
            }
            Self::Server(client, prepared) => {
                if !prepared.contains_key(sql) {
                    prepared.insert(sql, client.prepare(&sql.replace('?', "$")).await?);
                }
                let values: Vec<_> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
                let rows = client.query(&prepared[sql], &values).await?;
                let numbers = rows.iter().flat_map(|row| {
                    (0..row.len()).map(|column| row.try_get::<_, i64>(column).unwrap_or_default())
                });
                Ok(numbers.collect())
            }
        }
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(match self {
            Number(number) => ValueRef::Integer(*number),
            Text(text) => ValueRef::Text(text.as_bytes()),
            Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Number(number) => out.extend_from_slice(&number.to_be_bytes()),
            Text(text) => out.extend_from_slice(text.as_bytes()),
            Bytes(bytes) => out.extend_from_slice(bytes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
