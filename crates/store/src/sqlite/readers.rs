//! Connections that read, on threads that may block. Each reads one state of the database, whatever is written meanwhile.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::session::{Session, now};
use crate::database::Operation;
use crate::error::{Error, Result};

/// So many read at the same time.
const MOST: usize = 4;

pub(super) struct Readers {
    path: PathBuf,
    free: Arc<Mutex<Vec<Session>>>,
    places: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, free: Arc::default(), places: Arc::new(Semaphore::new(MOST)) }
    }

    pub(super) async fn read<O: Operation>(&self, operation: O) -> Result<O::Answer> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let (path, free) = (self.path.clone(), Arc::clone(&self.free));
        let read = spawn_blocking(move || {
            // Given back when the reading is over, not when nobody waits for it any more.
            let _place = place;
            let idle = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut session = idle.map_or_else(|| Session::open(&path), Ok)?;
            let answer = look(&mut session, &operation);
            if !session.is_in_transaction() {
                free.lock().unwrap_or_else(PoisonError::into_inner).push(session);
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
