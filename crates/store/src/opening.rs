//! Tests of how a database is opened: a new one, one of an older or a later version, what is none.

/// A server of the tests' own, as the suite has it.
#[path = "../tests/suite/server.rs"]
#[allow(dead_code, reason = "what stops a server is for the suite")]
mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jobwright_model::{AttemptEnd, LogEntry, NewJob, QueueName, QueueRules, QueuedState, Speaker};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{AddedLog, Ask, Error, PostgresStore, QueueStore, Result, SqliteStore, schema};

/// A place for a database that is not there yet.
enum Place {
    File(TempDir),
    Url(String),
}

impl Place {
    /// One of each kind that there is here.
    async fn all() -> Vec<Self> {
        let mut places = vec![Self::File(TempDir::new().unwrap())];
        match server::shared() {
            Ok(server) => places.push(Self::Url(server.new_database().await)),
            Err(why) => eprintln!("SKIPPED: opening queues in PostgreSQL: {why}"),
        }
        places
    }

    async fn open(&self, version: i64) -> Result<Arc<dyn QueueStore>> {
        Ok(match self {
            Self::File(folder) => Arc::new(SqliteStore::open_at(&file(folder), version)?),
            Self::Url(url) => Arc::new(PostgresStore::connect_at(url, version).await?),
        })
    }

    async fn execute(&self, sql: &str) {
        match self {
            Self::File(folder) => Connection::open(file(folder)).unwrap().execute_batch(sql).unwrap(),
            Self::Url(url) => server::execute(url, &format!("SET search_path TO jobwright; {sql}")).await,
        }
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("made/queues.db")
}

fn now() -> Timestamp {
    Timestamp::from_second(1_900_000_000).unwrap()
}

fn ask() -> Ask {
    Ask { queues: vec![queue()], holder: "agent".to_owned(), token: Some([7; 32]) }
}

fn queue() -> QueueName {
    QueueName::new("q").unwrap()
}

#[tokio::test]
async fn a_database_of_an_older_version_keeps_its_data() {
    for place in Place::all().await {
        for version in 1..schema::VERSION {
            let old = place.open(version).await.unwrap();
            if version == 1 {
                old.create_queue(&queue(), &QueueRules::default()).await.unwrap();
            }
            let jobs =
                ["done", "running", "waiting"].map(|what| NewJob::new(queue(), json!([what, version])));
            old.push(jobs.to_vec(), now()).await.unwrap();
            let done = old.dequeue(&ask(), now()).await.unwrap().unwrap();
            let speaker = Speaker::Attempt(done.token);
            old.finish(&speaker, &AttemptEnd::Failed("\0".to_owned()), now()).await.unwrap();
        }
        let old = place.open(1).await.unwrap();
        let lease = old.dequeue(&ask(), now()).await.unwrap().unwrap();
        let before = old.jobs(&crate::Filter::default()).await.unwrap();
        drop(old);
        let store = place.open(schema::VERSION).await.unwrap();
        assert_eq!(store.jobs(&crate::Filter::default()).await.unwrap(), before);
        assert_eq!(before.len() as i64, 3 * (schema::VERSION - 1));
        assert_eq!(store.attempt_of_token(&[7; 32]).await.unwrap().unwrap().0, lease.token);
        let speaker = Speaker::Attempt(lease.token.clone());
        let entry = LogEntry {
            key: "k".to_owned(),
            command: None,
            started_at: now(),
            exit_code: None,
            out: "out".to_owned(),
            duration: None,
        };
        assert_eq!(store.add_log(&speaker, &entry, now()).await.unwrap(), AddedLog::As(1));
        store.finish(&speaker, &AttemptEnd::Completed, now()).await.unwrap();
        store.seen("agent", &[queue()], &[], now()).await.unwrap();
        let counts = &store.queues(now()).await.unwrap()[0].counts;
        assert!(counts.contains(&(QueuedState::Completed, 1)), "{counts:?}");
    }
}

#[tokio::test]
async fn a_database_of_a_later_version_is_refused_as_it_is() {
    for place in Place::all().await {
        place.open(schema::VERSION).await.unwrap();
        place.execute("UPDATE schema_version SET version = 99").await;
        for _ in 0..2 {
            let refused = place.open(schema::VERSION).await.err().unwrap();
            assert!(matches!(refused, Error::Newer { found: 99, known: schema::VERSION }), "{refused}");
            let expected = "the database is of version 99, this program knows versions up to 3";
            assert_eq!(refused.to_string(), expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_make_one_new_database_at_once() {
    for place in Place::all().await {
        let place = Arc::new(place);
        let mut opening = JoinSet::new();
        for _ in 0..6 {
            let place = Arc::clone(&place);
            opening.spawn(async move {
                let store = place.open(schema::VERSION).await.unwrap();
                store.create_queue(&queue(), &QueueRules::default()).await.unwrap()
            });
        }
        let made = opening.join_all().await.into_iter().filter(|made| *made).count();
        assert_eq!(made, 1);
    }
}

#[tokio::test]
async fn a_file_is_its_owners_alone() {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(&file(&folder)).unwrap();
    store.create_queue(&queue(), &QueueRules::default()).await.unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.path().join("made")), 0o700);
    let files = fs::read_dir(folder.path().join("made")).unwrap();
    let modes: Vec<_> = files.map(|entry| mode(entry.unwrap().path())).collect();
    assert_eq!(modes, [0o600; 3]);
}

#[tokio::test]
async fn what_is_no_database_is_refused_as_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("text");
    fs::write(&path, "this is no database at all, whoever reads it\n".repeat(99)).unwrap();
    let before = fs::read(&path).unwrap();
    let refused = SqliteStore::open(&path).err().unwrap();
    assert!(matches!(refused, Error::Open { .. }), "{refused}");
    let text = refused.to_string();
    assert!(text.contains("text cannot be opened") && text.contains("not a database"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
    let refused = SqliteStore::open(folder.path()).err().unwrap();
    assert!(refused.to_string().contains("Is a directory"), "{refused}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_and_not_shown() {
    for (url, why) in [
        ("postgres://user:geheim@host:port/database", "port"),
        ("geheim", "reading the address of the database"),
        ("postgres://user:geheim@host/database?sslmode=require", "not encrypted"),
        ("postgres://user:geheim@host/database?nothing=1", "nothing"),
        ("postgres://user:geheim@/database?host=/nowhere/geheim", "does not answer"),
    ] {
        let refused = PostgresStore::connect(url).await.err().unwrap().to_string();
        assert!(refused.contains(why) && !refused.contains("geheim"), "{url}: {refused}");
    }
}
