//! What outlives a process and is shared by many: queues. The traits are ports over the model's nouns; there is one implementation in SQLite, the
//! embedded default, and one in PostgreSQL, and one suite for both. Nobody else knows SQL (DESIGN section 2).
//!
//! Not for what a run or an execution keeps in its own folder: that is `journal` and `events`.
//!
//! How it is made: `operations` has each call of the port as one transaction, with its SQL and its rules, written once. `database` is the little
//! that an operation needs: an open transaction that executes statements and gives rows. `sqlite` and `postgres` are that little twice, each with
//! its way to let many operations share a transaction and its sync (`batch`, docs/adr/0014). `dialect` has what the two spell differently, `schema`
//! the tables, `port` the trait.

mod batch;
mod database;
mod dialect;
mod error;
#[cfg(test)]
mod opening;
mod operations;
mod pool;
mod port;
mod postgres;
mod queue;
mod rows;
mod schema;
mod sqlite;
mod value;

pub use error::{Error, Result};
pub use postgres::PostgresStore;
pub use queue::{
    AddedLog, Ask, Change, Executor, Filter, Finished, Heard, KeptAttempt, KeptLogEntry, Lease, LogUpdate,
    QueueStore, QueueSummary, Reset, TokenHash,
};
pub use sqlite::SqliteStore;
