//! Where queues are kept: PostgreSQL where that is said, else SQLite in the state directory.

use std::sync::Arc;

use jobwright_journal::StateDir;
use jobwright_store::{PostgresStore, QueueStore, SqliteStore};

use crate::args::DatabaseArgs;
use crate::exit::Exit;
use crate::failure::Failure;

/// Opens it.
///
/// # Errors
/// When it cannot be opened or reached. The address is not repeated, as it may hold a password.
pub(crate) async fn open(args: &DatabaseArgs, state: &StateDir) -> Result<Arc<dyn QueueStore>, Failure> {
    let unavailable = |error: jobwright_store::Error| Failure::new(Exit::Unavailable, error);
    match args.database.as_deref() {
        None | Some("") => {
            let path = state.path().join("queues.db");
            let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path)).await;
            let opened = opened.map_err(|panic| Failure::new(Exit::Unavailable, panic))?;
            Ok(Arc::new(opened.map_err(unavailable)?))
        }
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            Ok(Arc::new(PostgresStore::connect(url).await.map_err(unavailable)?))
        }
        Some(_) => Err(Failure::new(
            Exit::Invalid,
            "--database: postgres://USER@HOST/NAME is needed, or nothing for SQLite",
        )),
    }
}

impl From<jobwright_store::Error> for Failure {
    fn from(error: jobwright_store::Error) -> Self {
        let exit = match error {
            jobwright_store::Error::NoQueue(_) => Exit::NotFound,
            _ => Exit::Unavailable,
        };
        Self::new(exit, error)
    }
}
