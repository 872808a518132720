//! What can be done with queues, each in one transaction, written once for both databases: `database::Operation`s. Every rule of the port is here
//! or in `model::QueueRules`; no other module decides anything.

mod dequeue;
mod executors;
mod finish;
mod held;
mod line;
mod liveness;
mod log_reading;
mod log_writing;
mod prune;
mod push;
mod queues;
mod reading;
mod wishes;

pub(crate) use dequeue::Dequeue;
pub(crate) use executors::{Executors, Seen};
pub(crate) use finish::Finish;
pub(crate) use liveness::{Heartbeat, ResetStalled};
pub(crate) use log_reading::ReadLogs;
pub(crate) use log_writing::{AddLog, Compare, Compared, Splice, Spliced};
pub(crate) use prune::Prune;
pub(crate) use push::Push;
pub(crate) use queues::{CreateQueue, PauseQueue, Summaries};
pub(crate) use reading::{AttemptOfToken, Attempts, Job, Jobs};
pub(crate) use wishes::{Cancel, Retry};

use crate::error::{Error, Result};

/// The longest name of a tenant, a holder or an agent in bytes: what an index of PostgreSQL holds, with room to spare.
const LONGEST_NAME: usize = 1024;

/// Refuses a name that no index holds.
fn check_name(operation: &str, whose: &str, name: &str) -> Result<()> {
    if name.len() <= LONGEST_NAME {
        return Ok(());
    }
    let reason = format!("the name of the {whose} has {} bytes, {LONGEST_NAME} are the most", name.len());
    Err(Error::Failed { operation: operation.to_owned(), reason })
}
