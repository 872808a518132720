//! One connection to a database file, and the transaction that is open on it. Nothing here waits for anything but the disk, so its futures are
//! ready at once and are run where they are made ([`now`]).

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags};

use crate::database::{Statement, Transaction};
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::value::{Row, Value};

/// How long another process may hold the database before that is an error.
const PATIENCE: Duration = Duration::from_secs(20);
/// Each statement that there is, a few times over.
const STATEMENTS: usize = 256;

/// What a future that never waits comes to.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing of SQLite waits for another task")
}

/// A connection.
pub(super) struct Session {
    connection: Connection,
    has_changed: bool,
}

impl Session {
    /// Opens the file, which is there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed("opening the database"))?;
        connection.busy_timeout(PATIENCE).map_err(failed("opening the database"))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let mut session = Self { connection, has_changed: false };
        // Synced at each commit. What is written before lies in a file of its own, so that readers wait for nobody.
        session.execute("PRAGMA journal_mode = WAL")?;
        session.execute("PRAGMA synchronous = FULL")?;
        session.execute("PRAGMA foreign_keys = ON")?;
        Ok(session)
    }

    /// Executes what gives no rows that anybody wants.
    pub(super) fn execute(&mut self, sql: &str) -> Result<()> {
        self.run(&Statement::look(sql.to_owned(), Vec::new())).map(drop)
    }

    /// The one number that a pragma gives.
    pub(super) fn number(&mut self, pragma: &'static str) -> Result<i64> {
        let rows = self.run(&Statement::look(pragma, Vec::new()))?;
        rows.into_iter().next().map_or(Ok(0), |mut row| row.integer())
    }

    /// Whether the transaction that was begun is still open: an error such as a full disk ends it.
    pub(super) fn is_in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Whether something was changed since this was last asked.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    fn run(&mut self, statement: &Statement) -> Result<Vec<Row>> {
        let sql = Dialect::Sqlite.spell(&statement.sql);
        let before = self.connection.total_changes();
        let rows = self.query(&sql, &statement.values).map_err(failed("asking the database"))?;
        self.has_changed |= !statement.is_look && self.connection.total_changes() != before;
        Ok(rows)
    }

    fn query(&self, sql: &str, values: &[Value]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut read = Vec::new();
        while let Some(row) = rows.next()? {
            let values = (0..columns).map(|column| Ok(value(row.get_ref(column)?)));
            read.push(Row::new(values.collect::<rusqlite::Result<_>>()?));
        }
        Ok(read)
    }
}

impl Transaction for Session {
    async fn all(&mut self, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>> {
        statements.iter().map(|statement| self.run(statement)).collect()
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// No column holds a fraction; one that does makes no sense to whoever reads it.
fn value(found: ValueRef<'_>) -> Value {
    match found {
        ValueRef::Null | ValueRef::Real(_) => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Text(text) | ValueRef::Blob(text) => Value::Bytes(text.to_vec()),
    }
}

pub(super) fn failed(operation: &str) -> impl FnOnce(rusqlite::Error) -> Error {
    move |error| Error::Failed { operation: operation.to_owned(), reason: error.to_string() }
}
