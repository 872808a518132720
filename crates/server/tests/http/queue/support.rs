//! A server with queues, and executors that ask it by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jobwright_model::{AttemptToken, JobRef, NewJob, QueueName, QueueRules, QueuedJob};
use jobwright_server::{Builder, QueueApi, Token};
use jobwright_store::{KeptLogEntry, QueueStore, SqliteStore};
use serde_json::{Value, json};

use crate::support::{Answer, House};

pub(crate) const WORD: &str = "executors-word-hunter2";
pub(crate) const PASSWORD: &str = "executors-pass-hunter2";

/// The store that all of these tests have.
pub(crate) fn store() -> Arc<dyn QueueStore> {
    let folder = tempfile::tempdir().unwrap().keep();
    Arc::new(SqliteStore::open(&folder.join("queues.db")).unwrap())
}

/// One retry, at once; one reset.
pub(crate) fn rules() -> QueueRules {
    QueueRules {
        stalled_after: Duration::from_secs(3600),
        max_resets: 1,
        max_retries: 1,
        retry_after: Duration::ZERO,
        retry_at_most: Duration::ZERO,
    }
}

pub(crate) struct Desk {
    pub(crate) house: House,
    pub(crate) store: Arc<dyn QueueStore>,
}

/// Who asks.
#[derive(Clone)]
pub(crate) struct Caller {
    address: SocketAddr,
    headers: String,
}

impl Desk {
    /// The queues `batches` and `codeintel`, and the word of executors.
    pub(crate) async fn open() -> Self {
        Self::open_as(|api| api.executor_token(&Token::new(WORD).unwrap())).await
    }

    pub(crate) async fn open_as(as_it_is: impl FnOnce(QueueApi) -> QueueApi) -> Self {
        Self::built(|builder| builder, as_it_is).await
    }

    /// In front of this store.
    pub(crate) async fn open_on(store: Arc<dyn QueueStore>) -> Self {
        Self::all(store, |builder| builder, |api| api.executor_token(&Token::new(WORD).unwrap())).await
    }

    /// By a server of one's own.
    pub(crate) async fn built(
        server: impl FnOnce(Builder) -> Builder,
        as_it_is: impl FnOnce(QueueApi) -> QueueApi,
    ) -> Self {
        Self::all(store(), server, as_it_is).await
    }

    async fn all(
        store: Arc<dyn QueueStore>,
        server: impl FnOnce(Builder) -> Builder,
        as_it_is: impl FnOnce(QueueApi) -> QueueApi,
    ) -> Self {
        for queue in ["batches", "codeintel"] {
            store.create_queue(&name(queue), &QueueRules::default()).await.unwrap();
        }
        let api = as_it_is(QueueApi::new(Arc::clone(&store)));
        let house = House::open_as(|builder| server(builder).queues(Some(api))).await;
        Self { house, store }
    }

    /// Whoever asks with exactly these header lines.
    pub(crate) fn with(&self, headers: &str) -> Caller {
        Caller { address: self.house.tcp, headers: headers.to_owned() }
    }

    /// An executor with the right word.
    pub(crate) fn executor(&self) -> Caller {
        self.with(&format!("authorization: token-executor {WORD}\r\n"))
    }

    /// Whoever has a job's token.
    pub(crate) fn job(&self, job: &Value, executor: &str) -> Caller {
        let (id, token) = (&job["id"], job["token"].as_str().unwrap());
        self.with(&format!(
            "authorization: Bearer {token}\r\nX-Sourcegraph-Job-ID: {id}\r\nX-Sourcegraph-Executor-Name: {executor}\r\n"
        ))
    }

    pub(crate) async fn push(&self, queue: &str, payload: Value) -> JobRef {
        let jobs = vec![NewJob::new(name(queue), payload)];
        self.store.push(jobs, Timestamp::now()).await.unwrap().remove(0)
    }

    /// A job of `batches`, taken by that executor.
    pub(crate) async fn taken(&self, executor: &str) -> Value {
        self.push("batches", payload()).await;
        let answer = self
            .executor()
            .post("batches/dequeue", &json!({"executorName": executor, "version": "dev"}))
            .await;
        assert_eq!(answer.status, 200, "{}", text(&answer));
        json_of(&answer)
    }

    pub(crate) async fn kept(&self, queue: &str, id: i64) -> QueuedJob {
        self.store.job(&JobRef::new(name(queue), id)).await.unwrap().unwrap()
    }

    pub(crate) async fn logs(&self, queue: &str, id: i64) -> Vec<KeptLogEntry> {
        self.logs_from(queue, id, 1).await
    }

    /// The entries from that number on: a store gives a few mebibytes of them at once.
    pub(crate) async fn logs_from(&self, queue: &str, id: i64, from: u64) -> Vec<KeptLogEntry> {
        let attempt = self.kept(queue, id).await.attempt;
        self.store.logs(&AttemptToken { job: JobRef::new(name(queue), id), attempt }, from, 0).await.unwrap()
    }
}

impl Caller {
    /// Posts to `/.executors/queue/PATH`.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(&format!("POST /.executors/queue/{path}"), body.to_string().as_bytes()).await
    }

    pub(crate) async fn ask(&self, line: &str, body: &[u8]) -> Answer {
        let headers = format!("host: {}\r\n{}", self.address, self.headers);
        crate::support::ask(self.address, line, &headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), b"").await
    }
}

pub(crate) fn name(queue: &str) -> QueueName {
    QueueName::new(queue).unwrap()
}

pub(crate) fn payload() -> Value {
    json!({
        "version": 2, "repositoryName": "github.com/a/b", "commit": "HEAD", "files": {"a.txt": {"content": "dGV4dA=="}},
        "dockerSteps": [{"image": "alpine", "commands": ["true"]}], "redactedValues": {"x": "y"},
    })
}

pub(crate) fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

pub(crate) fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {:?}", text(answer)))
}

/// The message of an error in the form of the original's handlers.
#[track_caller]
pub(crate) fn error_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 500, "{}", text(answer));
    json_of(answer)["error"].as_str().unwrap().to_owned()
}
