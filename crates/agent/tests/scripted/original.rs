//! A server as a Sourcegraph is to its executors (`reference/sourcegraph.md` 1), which notes all that is said to it and answers as a test wants.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// What all agents know.
pub(crate) const SECRET: &str = "all-agents-hunter2-swordfish";

/// How an attempt was marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) job: String,
    pub(crate) how: String,
    pub(crate) why: String,
}

#[derive(Default)]
pub(crate) struct Inner {
    jobs: HashMap<String, VecDeque<Value>>,
    /// Everything that was asked: method, path, headers that matter, body.
    pub(crate) asked: Vec<(String, Value)>,
    pub(crate) entries: HashMap<String, Vec<Value>>,
    pub(crate) marks: Vec<Mark>,
    /// Jobs that it does not know any more.
    pub(crate) forgotten: HashSet<String>,
    /// Jobs whose end is wanted.
    pub(crate) cancelled: HashSet<String>,
    /// Beginnings of what is answered with 500.
    pub(crate) broken: HashSet<String>,
    /// Each entry is taken once, as before July 2021.
    pub(crate) is_early: bool,
    pub(crate) beats: u64,
}

#[derive(Clone)]
pub(crate) struct Original {
    pub(crate) base: String,
    inner: Arc<Mutex<Inner>>,
    repositories: PathBuf,
}

impl Original {
    /// Repositories lie in `folder`.
    pub(crate) async fn open(folder: &TempDir) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/prefix", listener.local_addr().unwrap());
        let repositories = folder.path().join("repositories");
        std::fs::create_dir_all(&repositories).unwrap();
        let original = Self { base, inner: Arc::default(), repositories };
        let router = Router::new().fallback(serve).with_state(original.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        original
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn push(&self, queue: &str, job: Value) {
        self.inner().jobs.entry(queue.to_owned()).or_default().push_back(job);
    }

    /// A repository with one commit, and that commit.
    pub(crate) fn repository(&self, name: &str) -> String {
        let path = self.repositories.join(name);
        std::fs::create_dir_all(path.join("docs")).unwrap();
        std::fs::write(path.join("README"), "read me\n").unwrap();
        std::fs::write(path.join("docs/a.txt"), "a\n").unwrap();
        let git = |words: &[&str]| {
            let output = std::process::Command::new("git").args(words).current_dir(&path).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        git(&["init", "-q"]);
        git(&["config", "uploadpack.allowFilter", "true"]);
        git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
        git(&["add", "."]);
        git(&["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m"]);
        git(&["rev-parse", "HEAD"])
    }

    /// Waits until a look gives something.
    #[track_caller]
    pub(crate) fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&Inner) -> Option<T>,
    ) -> impl Future<Output = T> {
        let deadline = Instant::now() + Duration::from_secs(60);
        async move {
            loop {
                if let Some(found) = look(&self.inner()) {
                    return found;
                }
                assert!(
                    Instant::now() < deadline,
                    "it did not come to this: {what}; asked was {:#?}",
                    self.inner().asked
                );
                sleep(Duration::from_millis(10)).await;
            }
        }
    }

    pub(crate) async fn marked(&self, job: &str) -> Mark {
        self.until(&format!("{job} is marked"), |inner| {
            inner.marks.iter().find(|mark| mark.job == job).cloned()
        })
        .await
    }

    /// The entries of a job's log: keys, exit codes and outputs.
    pub(crate) fn log(&self, job: &str) -> Vec<(String, i64, String)> {
        let inner = self.inner();
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let entries = inner.entries.get(job).into_iter().flatten();
        entries
            .map(|entry| (text(entry, "key"), entry["exitCode"].as_i64().unwrap_or(-99), text(entry, "out")))
            .collect()
    }
}

async fn serve(
    State(original): State<Original>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(path) = uri.path().strip_prefix("/prefix/.executors/") else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    if let Some(rest) = path.strip_prefix("git/") {
        original.inner().asked.push((
            format!("{method} {path}"),
            json!({"auth": header("authorization"), "actor": header("x-sourcegraph-actor-uid")}),
        ));
        return git(&original.repositories, rest, &method, &uri, &headers, &body).await;
    }
    let said: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut noted = said.clone();
    noted["auth"] = json!(header("authorization"));
    noted["job-header"] = json!(header("x-sourcegraph-job-id"));
    noted["name-header"] = json!(header("x-sourcegraph-executor-name"));
    let mut inner = original.inner();
    inner.asked.push((format!("{method} {path}"), noted));
    if inner.broken.iter().any(|broken| path.contains(broken.as_str())) {
        return (StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"out of order"}"#).into_response();
    }
    answer(&mut inner, path, &said)
}

fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn answer(inner: &mut Inner, path: &str, said: &Value) -> Response {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["test", "auth"] => "ok".into_response(),
        ["queue", "dequeue"] => {
            for queue in said["queues"].as_array().unwrap() {
                let queue = queue.as_str().unwrap();
                if let Some(mut job) = inner.jobs.get_mut(queue).and_then(VecDeque::pop_front) {
                    job["queue"] = json!(queue);
                    return job.to_string().into_response();
                }
            }
            no_content()
        }
        ["queue", "heartbeat"] => {
            let mut named = Vec::new();
            for jobs in said["jobIdsByQueue"].as_array().into_iter().flatten() {
                for id in jobs["jobIds"].as_array().into_iter().flatten() {
                    named.push(format!("{}-{}", id.as_str().unwrap(), jobs["queueName"].as_str().unwrap()));
                }
            }
            beat(inner, named, |job| job.to_owned())
        }
        ["queue", queue, "dequeue"] => match inner.jobs.get_mut(*queue).and_then(VecDeque::pop_front) {
            Some(job) => job.to_string().into_response(),
            None => no_content(),
        },
        ["queue", queue, "heartbeat"] => {
            let ids = said["jobIds"].as_array().into_iter().flatten();
            let named = ids.map(|id| format!("{id}-{queue}")).collect();
            beat(inner, named, |job| job.split('-').next().unwrap().to_owned())
        }
        ["queue", queue, "addExecutionLogEntry" | "updateExecutionLogEntry"]
            if inner.forgotten.contains(&format!("{}-{queue}", said["jobId"])) =>
        {
            (StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"unknown job"}"#).into_response()
        }
        ["queue", queue, "addExecutionLogEntry"] => {
            let entries = inner.entries.entry(format!("{}-{queue}", said["jobId"])).or_default();
            entries.push(said.clone());
            let number = entries.len();
            if inner.is_early { no_content() } else { number.to_string().into_response() }
        }
        ["queue", queue, "updateExecutionLogEntry"] => {
            let entries = inner.entries.entry(format!("{}-{queue}", said["jobId"])).or_default();
            let number = usize::try_from(said["entryId"].as_u64().unwrap()).unwrap();
            entries[number - 1] = said.clone();
            no_content()
        }
        ["queue", queue, how @ ("markComplete" | "markErrored" | "markFailed")] => {
            let job = format!("{}-{queue}", said["jobId"]);
            let why = said["errorMessage"].as_str().unwrap_or_default().to_owned();
            let is_known = !inner.forgotten.contains(&job);
            inner.marks.push(Mark { job, how: (*how).to_owned(), why });
            if is_known { no_content() } else { (StatusCode::NOT_FOUND, "null").into_response() }
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn beat(inner: &mut Inner, named: Vec<String>, written: impl Fn(&String) -> String) -> Response {
    inner.beats += 1;
    let known: Vec<String> =
        named.iter().filter(|job| !inner.forgotten.contains(*job)).map(&written).collect();
    let cancel: Vec<String> =
        named.iter().filter(|job| inner.cancelled.contains(*job)).map(&written).collect();
    json!({"knownIds": known, "cancelIds": cancel}).to_string().into_response()
}

async fn git(
    root: &Path,
    rest: &str,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .envs([("GIT_HTTP_EXPORT_ALL", "1"), ("REQUEST_METHOD", method.as_str())])
        .env("PATH_INFO", format!("/{rest}"))
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, body) = (child.stdin.take().unwrap(), body.clone());
    tokio::spawn(async move { input.write_all(&body).await });
    let output = child.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(output[..end].to_vec()).unwrap();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let status = field("Status: ").map_or(200, |status| status[..3].parse().unwrap());
    let kind = field("Content-Type: ").unwrap_or_default();
    (StatusCode::from_u16(status).unwrap(), [("content-type", kind)], output[end + 4..].to_vec())
        .into_response()
}
