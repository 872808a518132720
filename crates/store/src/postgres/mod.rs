//! Queues in a PostgreSQL database, by as many servers at once as there are: one task writes, a few connections read, one listens. The tables are in
//! a schema of their own. Needs a connection of its own to the server: what pools connections between transactions loses what is prepared.

mod listener;
mod problem;
mod readers;
mod session;
mod values;
mod writer;

use std::time::Duration;

use tokio::sync::watch;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use self::listener::Listener;
use self::readers::Readers;
use self::session::{SCHEMA, Session};
use self::writer::Writer;
use crate::database::{Database, Operation, Statement, Transaction};
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::queue::Change;
use crate::schema;
use crate::value::values;

/// The lock of who writes what belongs to no queue, and of who makes tables. Any number that no other program uses.
const BEYOND: i64 = 0x6a6f_6277_7269_6768;
/// A server that does not answer for so long does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long a connection may have sent what nobody acknowledged.
const SILENCE: Duration = Duration::from_secs(30);

/// Queues in a PostgreSQL database. What was asked for before it is dropped is done.
pub struct PostgresStore {
    writer: Writer,
    readers: Readers,
    // Only held: it ends with the store.
    _listener: Listener,
    changes: watch::Receiver<Change>,
}

impl PostgresStore {
    /// Connects to the database at `url` (`postgres://user:password@host/database`, or `host` a directory with the server's socket in it), and makes
    /// its tables or brings them up to date.
    ///
    /// # Errors
    /// [`Error::Failed`] when the address is none or the server refuses; [`Error::Gone`] when it does not answer; [`Error::Newer`] when a later
    /// version of this program made the tables. No error shows the address, which may hold a password.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_at(url, schema::VERSION).await
    }

    /// The same with tables of version `version`, for tests of what becomes of older ones.
    pub(crate) async fn connect_at(url: &str, version: i64) -> Result<Self> {
        let config = config(url)?;
        let mut session = Session::connect(&config).await?;
        migrate(&mut session, version).await?;
        let (told, changes) = watch::channel(0);
        let name = instance();
        Ok(Self {
            writer: Writer::start(config.clone(), session, told.clone(), name.clone()),
            readers: Readers::new(config.clone()),
            _listener: Listener::start(config, told, name),
            changes,
        })
    }
}

fn config(url: &str) -> Result<Config> {
    let refused = |reason: String| Error::Failed {
        operation: "reading the address of the database".to_owned(),
        reason,
    };
    let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        // The source says what is wrong with it, and shows none of it.
        let source = std::error::Error::source(&error).map(ToString::to_string);
        refused(source.unwrap_or_else(|| error.to_string()))
    })?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err(refused(
            "sslmode=require: connections are not encrypted; use a tunnel or a socket".to_owned(),
        ));
    }
    if config.get_application_name().is_none() {
        config.application_name("jobwright");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(PATIENCE);
    }
    config.tcp_user_timeout(SILENCE);
    Ok(config)
}

/// A name that no other instance has.
fn instance() -> String {
    jobwright_model::OwnerId::random().to_string()
}

async fn migrate(session: &mut Session, version: i64) -> Result<()> {
    session.execute("BEGIN").await?;
    let lock = "SELECT pg_advisory_xact_lock(?1)::text";
    session.rows(Statement::look(lock, values![BEYOND])).await?;
    let there = "SELECT nspname::text FROM pg_namespace WHERE nspname = ?1::text";
    if session.row(Statement::look(there, values![SCHEMA])).await?.is_none() {
        session.execute("CREATE SCHEMA jobwright").await?;
    }
    schema::migrate(session, Dialect::Postgres, version).await?;
    session.execute("COMMIT").await
}

impl Database for PostgresStore {
    async fn write<O: Operation>(&self, operation: O) -> Result<O::Answer> {
        self.writer.write(operation).await
    }

    async fn read<O: Operation>(&self, operation: O) -> Result<O::Answer> {
        self.readers.read(operation).await
    }

    fn changed(&self) -> watch::Receiver<Change> {
        self.changes.clone()
    }
}
