//! Bodies that cannot be taken.

use serde_json::json;

use super::support::{Desk, WORD, text};
use jobwright_server::Token;

const POSTS: [&str; 11] = [
    "dequeue",
    "heartbeat",
    "batches/dequeue",
    "batches/heartbeat",
    "batches/addExecutionLogEntry",
    "batches/updateExecutionLogEntry",
    "batches/markComplete",
    "batches/markErrored",
    "batches/markFailed",
    "batches/canceled",
    "batches/canceledJobs",
];

// covers: sourcegraph 15
#[tokio::test]
async fn a_body_that_is_malformed_is_a_400_everywhere() {
    let desk = Desk::open().await;
    for path in POSTS {
        for body in
            ["", "{", "[]", "nonsense", "{\"executorName\": 5}", "{\"executorName\": \"\\ud800\"}", "\u{0}"]
        {
            let answer =
                desk.executor().ask(&format!("POST /.executors/queue/{path}"), body.as_bytes()).await;
            assert_eq!(answer.status, 400, "{path} {body}");
            assert!(text(&answer).starts_with("Failed to unmarshal payload: "), "{}", text(&answer));
        }
    }
    assert_eq!(desk.house.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_its_sender_reads_why() {
    let word = Token::new(WORD).unwrap();
    let desk = Desk::open_as(|api| api.executor_token(&word).log_body(2 << 20)).await;
    let body = |bytes: usize| json!({"executorName": "e", "x": "x".repeat(bytes)});
    for path in POSTS {
        let answer = desk.executor().post(path, &body(5 << 20)).await;
        assert_eq!(answer.status, 413, "{path}");
        assert!(text(&answer).contains("larger than"), "{}", text(&answer));
    }
    assert_eq!(desk.executor().post("batches/markComplete", &body(1 << 20)).await.status, 413);
    assert_eq!(desk.executor().post("batches/heartbeat", &body(3 << 20)).await.status, 200);
    let job = desk.taken("e").await;
    let entry = json!({"executorName": "e", "jobId": 1, "key": "k", "out": "x".repeat(3 << 19)});
    assert_eq!(desk.job(&job, "e").post("batches/addExecutionLogEntry", &entry).await.status, 200);
    assert_eq!(desk.logs("batches", 1).await[0].length, 3 << 19);
}

#[tokio::test]
async fn many_large_entries_at_once_are_all_taken() {
    let desk = Desk::open().await;
    let (job, mut asking) = (desk.taken("e").await, tokio::task::JoinSet::new());
    for _ in 0..12 {
        let caller = desk.job(&job, "e");
        let entry = json!({"executorName": "e", "jobId": 1, "key": "k", "out": "x".repeat(3 << 20)});
        asking.spawn(async move { caller.post("batches/addExecutionLogEntry", &entry).await.status });
    }
    assert!(asking.join_all().await.iter().all(|status| *status == 200));
    let last = desk.logs_from("batches", 1, 12).await;
    assert_eq!(last.iter().map(|entry| (entry.entry, entry.length)).collect::<Vec<_>>(), [(12, 3 << 20)]);
}
