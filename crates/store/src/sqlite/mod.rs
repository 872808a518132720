//! Queues in a file, by SQLite: one thread writes, a few connections read. Other processes may have the same file open. Not for a file on a
//! network file system, which SQLite's log does not work on.

mod readers;
mod session;
mod tidier;
mod writer;

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use self::readers::Readers;
use self::session::{Session, now};
use self::tidier::Tidier;
use self::writer::Writer;
use crate::database::{Database, Operation};
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::queue::Change;
use crate::schema;

/// The log's length in pages at which whoever writes must bring it into the database itself: the tidier does so long before.
const LONG_LOG: &str = "PRAGMA wal_autocheckpoint = 65536";

/// Queues in an SQLite file. When it is dropped, what was asked for is done first.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
    // Only held: it ends with the store.
    _tidier: Tidier,
    changes: watch::Receiver<Change>,
}

impl SqliteStore {
    /// Opens the database at `path`; makes it, its owner's alone, where there is none, and its directory. Brings an older one up to date. Blocks.
    ///
    /// # Errors
    /// [`Error::Open`] when it is no database, or cannot be read or made; [`Error::Newer`] when a later version of this program wrote it.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_at(path, schema::VERSION)
    }

    /// The same with tables of version `version`, for tests of what becomes of older ones.
    pub(crate) fn open_at(path: &Path, version: i64) -> Result<Self> {
        let refused = |error: Error| match error {
            Error::Failed { operation, reason } => {
                Error::Open { path: path.to_owned(), reason: format!("{operation}: {reason}") }
            }
            other => other,
        };
        make(path).map_err(|error| Error::Open { path: path.to_owned(), reason: error.to_string() })?;
        let mut session = Session::open(path).map_err(refused)?;
        migrate(&mut session, version).map_err(refused)?;
        session.execute(LONG_LOG)?;
        let mut tidying = Session::open(path).map_err(refused)?;
        tidying.execute(LONG_LOG)?;
        let (told, changes) = watch::channel(0);
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Ok(Self {
            writer: Writer::start(session, told)?,
            readers: Readers::new(path.to_owned()),
            _tidier: Tidier::start(tidying, PathBuf::from(log))?,
            changes,
        })
    }
}

/// SQLite makes its other files as this one is.
fn make(path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path).map(drop)
}

fn migrate(session: &mut Session, version: i64) -> Result<()> {
    session.execute("BEGIN IMMEDIATE")?;
    let migrated = now(schema::migrate(session, Dialect::Sqlite, version));
    session.execute(if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    migrated
}

impl Database for SqliteStore {
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
