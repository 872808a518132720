//! A database for one test, and words for what tests say often.

use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use jobwright_model::{AttemptEnd, JobRef, NewJob, QueueName, QueueRules, QueuedState, Speaker};
use jobwright_store::{Ask, Finished, Lease, PostgresStore, QueueStore, SqliteStore};
use serde_json::json;
use tempfile::TempDir;

use crate::server;

pub(crate) type Store = Arc<dyn QueueStore>;

/// A database of its own, for as long as the test runs.
pub(crate) enum Database {
    Sqlite(TempDir),
    /// At this address, on the server that the tests share.
    Postgres(String),
}

/// Addresses of databases that a test has done with. Making one takes seconds, so the next test gets it, emptied.
static FREE: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Drop for Database {
    fn drop(&mut self) {
        if let Self::Postgres(url) = self
            && !std::thread::panicking()
        {
            FREE.lock().unwrap().push(mem::take(url));
        }
    }
}

impl Database {
    pub(crate) async fn sqlite() -> Option<Self> {
        Some(Self::Sqlite(TempDir::new().unwrap()))
    }

    /// None where there is no server, which is said.
    pub(crate) async fn postgres() -> Option<Self> {
        match server::shared() {
            Ok(server) => {
                let free = FREE.lock().unwrap().pop();
                Some(Self::Postgres(match free {
                    Some(url) => server::emptied(url).await,
                    None => server.new_database().await,
                }))
            }
            Err(why) => {
                eprintln!("SKIPPED: queues in PostgreSQL: {why}");
                None
            }
        }
    }

    /// An instance over it, as another process would have.
    pub(crate) async fn open(&self) -> Store {
        match self {
            Self::Sqlite(folder) => {
                Arc::new(SqliteStore::open(&folder.path().join("state/queues.db")).unwrap())
            }
            Self::Postgres(url) => Arc::new(PostgresStore::connect(url).await.unwrap()),
        }
    }

    /// An instance with the queue `q` of these rules.
    pub(crate) async fn with_rules(&self, rules: &QueueRules) -> Store {
        let store = self.open().await;
        assert!(store.create_queue(&queue("q"), rules).await.unwrap());
        store
    }

    /// An instance with the queue `q`.
    pub(crate) async fn with_queue(&self) -> Store {
        self.with_rules(&QueueRules::default()).await
    }
}

pub(crate) fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

/// So many seconds after some moment.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + seconds).unwrap()
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn new_job(tenant: &str, what: &str) -> NewJob {
    NewJob { tenant: tenant.to_owned(), ..NewJob::new(queue("q"), json!(what)) }
}

pub(crate) async fn push(store: &Store, job: NewJob) -> JobRef {
    store.push(vec![job], at(0)).await.unwrap().remove(0)
}

/// A job that says `what`, of nobody in particular.
pub(crate) async fn push_one(store: &Store, what: &str) -> JobRef {
    push(store, new_job("", what)).await
}

pub(crate) fn ask(holder: &str) -> Ask {
    Ask { queues: vec![queue("q")], holder: holder.to_owned(), token: None }
}

pub(crate) async fn take_at(store: &Store, when: Timestamp) -> Option<Lease> {
    store.dequeue(&ask("agent"), when).await.unwrap()
}

/// The next job, for `agent`.
pub(crate) async fn take(store: &Store) -> Lease {
    take_at(store, at(0)).await.expect("a job is due")
}

/// What the next jobs say, until there is none.
pub(crate) async fn order(store: &Store, when: Timestamp) -> String {
    let mut order = String::new();
    while let Some(lease) = take_at(store, when).await {
        order += lease.job.payload.as_str().unwrap();
    }
    order
}

pub(crate) fn holds(lease: &Lease) -> Speaker {
    Speaker::Attempt(lease.token.clone())
}

pub(crate) fn named(holder: &str, job: &JobRef) -> Speaker {
    Speaker::Holder { name: holder.to_owned(), job: job.clone() }
}

pub(crate) async fn end(store: &Store, lease: &Lease, end: AttemptEnd, when: Timestamp) -> Finished {
    store.finish(&holds(lease), &end, when).await.unwrap()
}

pub(crate) fn errored() -> AttemptEnd {
    AttemptEnd::Errored("broken".to_owned())
}

pub(crate) async fn state(store: &Store, job: &JobRef) -> QueuedState {
    store.job(job).await.unwrap().expect("the job is there").state
}

pub(crate) async fn stale_writes(store: &Store) -> u64 {
    store.queues(at(0)).await.unwrap()[0].stale_writes
}
