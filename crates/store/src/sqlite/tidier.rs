//! The thread that brings what was written from SQLite's log into the database, so that the one that writes need not do it while somebody waits.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::session::Session;
use crate::error::{Error, Result};

/// So often it is looked how long the log is.
const LOOK: Duration = Duration::from_millis(500);
/// A shorter log is left alone. Bringing it over makes the disk slow for whoever syncs in that moment, so it is done seldom.
const SHORT: u64 = 32 << 20;

/// A handle on the thread, which ends with it.
pub(super) struct Tidier {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tidier {
    pub(super) fn start(mut session: Session, log: PathBuf) -> Result<Self> {
        let (end, ended) = mpsc::channel::<()>();
        let tidy = move || {
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if log.metadata().is_ok_and(|log| log.len() > SHORT) {
                    tidy(&mut session);
                }
            }
        };
        let thread = thread::Builder::new().name("queue-tidier".to_owned()).spawn(tidy);
        let thread = thread.map_err(|error| Error::Failed {
            operation: "starting the thread that tidies".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

/// Nobody who reads or writes waits for this.
fn tidy(session: &mut Session) {
    if let Err(error) = session.execute("PRAGMA wal_checkpoint(PASSIVE)") {
        tracing::warn!(%error, "the log of the database of queues grows");
    }
}

impl Drop for Tidier {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
