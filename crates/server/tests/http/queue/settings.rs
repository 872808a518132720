//! What the interface may be, and where it is.

use jobwright_server::{QueueApi, Token};
use serde_json::json;

use super::support::{Desk, WORD, payload, store, text};

// covers: sourcegraph 70
#[tokio::test]
async fn a_path_before_all_others_is_kept_on_every_call() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("spec")).unwrap();
    std::fs::write(folder.path().join("spec/file"), "x").unwrap();
    let word = Token::new(WORD).unwrap();
    let files = Some(folder.path().to_owned());
    let desk =
        Desk::open_as(|api| api.executor_token(&word).files(files).base_path("/jobs/of-ours").unwrap()).await;
    desk.push("batches", payload()).await;
    let ask = async |line: &str, body: &[u8]| desk.executor().ask(line, body).await;
    let body = json!({"executorName": "e"}).to_string();
    for base in ["/jobs/of-ours", ""] {
        assert_eq!(text(&ask(&format!("GET {base}/.executors/test/auth"), b"").await), "ok");
        let file = ask(&format!("GET {base}/.executors/files/batch-changes/spec/file"), b"").await;
        assert_eq!((file.status, text(&file)), (200, "x"));
        let beat = ask(&format!("POST {base}/.executors/queue/batches/heartbeat"), body.as_bytes()).await;
        assert_eq!(beat.status, 200);
        let git = ask(&format!("GET {base}/.executors/git/a/info/refs?service=git-upload-pack"), b"").await;
        assert_eq!((git.status, text(&git).trim()), (404, "no repositories are served here"));
    }
    let job = ask("POST /jobs/of-ours/.executors/queue/batches/dequeue", body.as_bytes()).await;
    assert_eq!(job.status, 200);
    for path in ["/jobs/.executors/test/auth", "/jobs/of-ours/api/v1/executor", "/other/.executors/test/auth"]
    {
        assert_eq!(desk.executor().get(path).await.status, 401, "{path} is not of the queues");
    }
}

#[tokio::test]
async fn without_queues_there_is_nothing_of_them() {
    let house = crate::support::House::open().await;
    assert_eq!(house.get("/.executors/test/auth").await.status, 404);
    let word = format!("host: {}\r\nauthorization: token-executor {WORD}\r\n", house.tcp);
    assert_eq!(house.ask_as("GET /.executors/test/auth", &word, b"").await.status, 401);
}

#[test]
fn what_cannot_be_is_refused_and_what_is_secret_is_not_repeated() {
    let api = || QueueApi::new(store());
    for path in ["/", "x", "/x/", "/a//b", "/{x}", "/a/../b", "/ä"] {
        assert!(api().base_path(path).is_err(), "{path}");
    }
    assert!(api().base_path("/a.b/c_d-~").is_ok() && api().base_path("").is_ok());
    for name in ["", "a:b", "a\n"] {
        assert!(api().basic(name, &Token::new("0123456789abcdef").unwrap()).is_err(), "{name:?}");
    }
    for base in
        ["", "git.example.org", "ssh://a:hunter2@b/", "file:///srv", "https://a:hunter2@b/?q", "data:hunter2"]
    {
        let error = api().git(Some(base)).err().unwrap().to_string();
        assert!(error.contains("https://git.example.org/") && !error.contains("hunter2"), "{error}");
    }
    assert!(api().git(Some("https://a:b@git.example.org/sub/")).is_ok() && api().git(None).is_ok());
}
