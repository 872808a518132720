//! The repositories of jobs, fetched with the real git from a server that runs the real `git http-backend`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jobwright_server::Token;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;

use super::support::{Desk, PASSWORD, WORD, text};

/// A server of repositories that wants a name and a password, and notes what it is asked.
struct Upstream {
    address: SocketAddr,
    root: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    _folder: TempDir,
}

type Shared = (PathBuf, Arc<Mutex<Vec<String>>>);

impl Upstream {
    /// None, with a word about it, where git came without its server.
    async fn open() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let programs = git(folder.path(), &["--exec-path"]).await.unwrap();
        if !Path::new(programs.trim()).join("git-http-backend").exists() {
            println!("skipped repositories over HTTP: this git has no http-backend");
            return None;
        }
        let (root, asked) = (folder.path().to_owned(), Arc::default());
        let router = Router::new().fallback(serve).with_state((root.clone(), Arc::clone(&asked)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Some(Self { address, root, asked, _folder: folder })
    }

    /// A repository with one commit, of a file of that many bytes.
    async fn repository(&self, name: &str, bytes: usize) {
        let path = self.root.join(name);
        std::fs::create_dir_all(&path).unwrap();
        let file = std::iter::repeat_n(b"0123456789abcdef\n".as_slice(), bytes / 17 + 1).flatten().copied();
        std::fs::write(path.join("file.txt"), file.take(bytes).collect::<Vec<_>>()).unwrap();
        for words in [
            &["init", "-q"][..],
            &["add", "."],
            &["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m"],
        ] {
            git(&path, words).await.unwrap();
        }
    }

    fn base(&self) -> String {
        format!("http://server:hunter2@{}/sub", self.address)
    }
}

async fn serve(
    State((root, asked)): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    asked.lock().unwrap().push(format!("{method} {uri}"));
    let own = format!("Basic {}", STANDARD.encode("server:hunter2"));
    if headers.get("authorization").is_none_or(|value| *value != own) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(path) = uri.path().strip_prefix("/sub") else { return StatusCode::NOT_FOUND.into_response() };
    if path.starts_with("/moved") {
        return (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")]).into_response();
    }
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .envs([("GIT_HTTP_EXPORT_ALL", "1"), ("REQUEST_METHOD", method.as_str()), ("PATH_INFO", path)])
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
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

async fn git(at: &Path, words: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .args(words)
        .current_dir(at)
        .envs([
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ])
        .output()
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn of(repository: &str) -> Value {
    json!({"repositoryName": repository, "commit": "HEAD", "dockerSteps": [{"image": "alpine"}]})
}

async fn take(desk: &Desk, repository: &str) -> Value {
    desk.push("batches", of(repository)).await;
    let answer = desk.executor().post("batches/dequeue", &json!({"executorName": "e"})).await;
    super::support::json_of(&answer)
}

async fn fetch(desk: &Desk, job: &Value, repository: &str) -> Result<TempDir, String> {
    let (folder, address) = (TempDir::new().unwrap(), desk.house.tcp);
    let url = format!("http://{address}/.executors/git/{repository}");
    let headers = [
        format!("http.extraHeader=Authorization: Bearer {}", job["token"].as_str().unwrap()),
        format!("http.extraHeader=X-Sourcegraph-Job-ID: {}", job["id"]),
        "http.extraHeader=X-Sourcegraph-Executor-Name: e".to_owned(),
    ];
    let [token, id, name] = headers.each_ref().map(String::as_str);
    let words = ["-c", token, "-c", id, "-c", name, "-c", "protocol.version=2", "clone", "-q", &url, "there"];
    git(folder.path(), &words).await.map(|_| folder)
}

async fn open(upstream: &Upstream) -> Desk {
    let word = Token::new(WORD).unwrap();
    Desk::open_as(|api| api.executor_token(&word).git(Some(&upstream.base())).unwrap()).await
}

// covers: sourcegraph 61 (the server's half), 34 (repositories)
#[tokio::test]
async fn a_job_fetches_its_repository_and_no_other() {
    let Some(upstream) = Upstream::open().await else { return };
    upstream.repository("github.com/a/b", 3 << 20).await;
    upstream.repository("github.com/a/other", 10).await;
    let desk = open(&upstream).await;
    let job = take(&desk, "github.com/a/b").await;
    let folder = fetch(&desk, &job, "github.com/a/b").await.unwrap();
    assert_eq!(std::fs::metadata(folder.path().join("there/file.txt")).unwrap().len(), 3 << 20);
    let asked = upstream.asked.lock().unwrap().len();
    for other in
        ["github.com/a/other", "github.com/a", "github.com/a/b/../other", "github.com/a/b%2F..%2Fother"]
    {
        let error = fetch(&desk, &job, other).await.unwrap_err();
        assert!(error.contains("403") || error.contains("400") || error.contains("404"), "{error}");
    }
    assert_eq!(upstream.asked.lock().unwrap().len(), asked, "the server of the repositories was not asked");
    let dead = json!({"executorName": "e", "jobId": job["id"]});
    assert_eq!(desk.executor().post("batches/markComplete", &dead).await.status, 204);
    assert!(
        fetch(&desk, &job, "github.com/a/b").await.unwrap_err().contains("Authentication failed")
            || fetch(&desk, &job, "github.com/a/b").await.unwrap_err().contains("could not read Username")
    );
}

// covers: sourcegraph 39 (git)
#[tokio::test]
async fn an_early_executor_fetches_with_its_password_in_the_url() {
    let Some(upstream) = Upstream::open().await else { return };
    upstream.repository("github.com/a/b", 10).await;
    let password = Token::new(PASSWORD).unwrap();
    let desk =
        Desk::open_as(|api| api.basic("executor", &password).unwrap().git(Some(&upstream.base())).unwrap())
            .await;
    let (folder, address) = (TempDir::new().unwrap(), desk.house.tcp);
    let url = format!("http://executor:{PASSWORD}@{address}/.executors/git/github.com/a/b");
    git(folder.path(), &["clone", "-q", &url, "there"]).await.unwrap();
    assert!(folder.path().join("there/file.txt").exists());
}

#[tokio::test]
async fn only_what_fetching_needs_is_passed_on() {
    let Some(upstream) = Upstream::open().await else { return };
    upstream.repository("a/b", 10).await;
    let desk = open(&upstream).await;
    let ask = async |line: &str| desk.executor().ask(line, b"").await;
    for (status, line) in [
        (200, "GET /.executors/git/a/b/info/refs?service=git-upload-pack"),
        (403, "GET /.executors/git/a/b/info/refs?service=git-receive-pack"),
        (403, "GET /.executors/git/a/b/info/refs"),
        (403, "HEAD /.executors/git/a/b/info/refs?service=git-upload-pack"),
        (404, "GET /.executors/git/a/b/HEAD"),
        (404, "POST /.executors/git/a/b/git-receive-pack"),
        (404, "GET /.executors/git/none/info/refs?service=git-upload-pack"),
        (400, "GET /.executors/git/a/../b/info/refs?service=git-upload-pack"),
        (400, "GET /.executors/git/%2Fa/info/refs?service=git-upload-pack"),
        (404, "GET /.executors/git/info/refs?service=git-upload-pack"),
        (502, "GET /.executors/git/moved/info/refs?service=git-upload-pack"),
    ] {
        let answer = ask(line).await;
        assert_eq!(answer.status, status, "{line}");
        assert!(!text_of(&answer.body).contains("hunter2"), "{line}");
        assert!(!answer.head.contains("location"), "{line}");
    }
    assert_eq!(desk.with("").get("/.executors/git/a/b/info/refs?service=git-upload-pack").await.status, 401);
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_server_of_repositories_that_does_not_answer_is_told_without_its_password() {
    let word = Token::new(WORD).unwrap();
    let desk = Desk::open_as(|api| {
        api.executor_token(&word).git(Some("http://server:hunter2@127.0.0.1:1/")).unwrap()
    })
    .await;
    let answer = desk.executor().get("/.executors/git/a/b/info/refs?service=git-upload-pack").await;
    assert_eq!(answer.status, 502);
    assert!(
        text(&answer).contains("does not answer") && !text(&answer).contains("hunter2"),
        "{}",
        text(&answer)
    );
    let without = Desk::open().await;
    assert_eq!(
        without.executor().get("/.executors/git/a/b/info/refs?service=git-upload-pack").await.status,
        404
    );
}
