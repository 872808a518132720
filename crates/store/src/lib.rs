//! What outlives a process and is shared by many: queues. The traits are ports over the model's nouns; there is one implementation in SQLite, the
//! embedded default, and one in PostgreSQL, and one suite for both. Nobody else knows SQL (DESIGN section 2).
//!
//! Not for what a run or an execution keeps in its own folder: that is `journal` and `events`.

mod error;
mod queue;

pub use error::{Error, Result};
pub use queue::{
    AddedLog, Ask, Change, Executor, Filter, Finished, Heard, KeptAttempt, KeptLogEntry, Lease, LogUpdate,
    QueueStore, QueueSummary, Reset, TokenHash,
};
