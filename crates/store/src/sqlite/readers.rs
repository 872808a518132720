//! Connections that read, on threads that may block. Each reads one state of the database, whatever is written meanwhile.

use std::path::PathBuf;

use tokio::task::spawn_blocking;

use super::session::{Session, now};
use crate::database::Operation;
use crate::error::{Error, Result};
use crate::pool::Pool;

pub(super) struct Readers {
    path: PathBuf,
    pool: Pool<Session>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, pool: Pool::new() }
    }

    pub(super) async fn read<O: Operation>(&self, operation: O) -> Result<O::Answer> {
        let place = self.pool.place().await;
        let path = self.path.clone();
        // The place goes along: it is free when the reading is over, not when nobody waits for it any more.
        let read = spawn_blocking(move || {
            let mut session = place.idle().map_or_else(|| Session::open(&path), Ok)?;
            let answer = look(&mut session, &operation);
            if !session.is_in_transaction() {
                place.keep(session);
            }
            answer
        });
        read.await.unwrap_or_else(|error| {
            Err(Error::Failed { operation: "reading".to_owned(), reason: error.to_string() })
        })
    }
}

fn look<O: Operation>(session: &mut Session, operation: &O) -> Result<O::Answer> {
    session.execute("BEGIN")?;
    let answer = now(operation.run(session));
    session.execute("ROLLBACK")?;
    answer
}
