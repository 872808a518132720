//! The files that a job fetches.

use std::os::unix::fs::symlink;

use jobwright_server::Token;
use serde_json::json;

use super::support::{Desk, WORD, json_of, payload};

const PATH: &str = "/.executors/files/batch-changes/spec/file.txt";

// covers: sourcegraph 34 (files)
#[tokio::test]
async fn a_job_of_batches_fetches_files_by_their_two_names() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("spec")).unwrap();
    std::fs::write(folder.path().join("spec/file.txt"), b"a\0b").unwrap();
    std::fs::write(folder.path().join("secret"), b"hunter2").unwrap();
    symlink("/", folder.path().join("spec/root")).unwrap();
    let word = Token::new(WORD).unwrap();
    let desk = Desk::open_as(|api| api.executor_token(&word).files(Some(folder.path().to_owned()))).await;
    let job = desk.taken("e").await;
    for caller in [desk.job(&job, "e"), desk.executor()] {
        let answer = caller.get(PATH).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"a\0b"[..]));
        let told = caller.ask(&format!("HEAD {PATH}"), b"").await;
        assert_eq!((told.status, told.header("content-length"), told.body.len()), (200, Some("3"), 0));
        for path in [
            "spec/none",
            "none/file.txt",
            "spec/root",
            "..%2Fspec/file.txt",
            "%2e%2e/secret",
            "spec/..%2Fsecret",
            "spec/..%2F..%2Fsecret",
            "spec/.",
            "secret/x",
        ] {
            let path = format!("/.executors/files/batch-changes/{path}");
            assert_eq!(caller.get(&path).await.status, 404, "{path}");
            assert_eq!(caller.ask(&format!("HEAD {path}"), b"").await.status, 404, "{path}");
        }
    }
    assert_eq!(desk.with("").get(PATH).await.status, 401);
    desk.push("codeintel", payload()).await;
    let other = json_of(&desk.executor().post("codeintel/dequeue", &json!({"executorName": "e"})).await);
    assert_eq!(desk.job(&other, "e").get(PATH).await.status, 403, "files are of the queue batches");
}

#[tokio::test]
async fn without_a_directory_there_are_no_files() {
    let desk = Desk::open().await;
    assert_eq!(desk.executor().get(PATH).await.status, 404);
}
