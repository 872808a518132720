//! An executor tells what the commands of its job print.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Desk, error_of, json_of};

fn entry(executor: &str, more: Value) -> Value {
    let mut body = json!({
        "executorName": executor, "jobId": 1, "key": "step.docker.0", "command": ["docker", "run"],
        "startTime": "2024-01-01T10:00:00Z",
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

const ADD: &str = "batches/addExecutionLogEntry";
const UPDATE: &str = "batches/updateExecutionLogEntry";

// covers: sourcegraph 4, 20
#[tokio::test]
async fn entries_are_numbered_from_one_and_grow() {
    let desk = Desk::open().await;
    let caller = desk.job(&desk.taken("e").await, "e");
    for number in 1..=3 {
        let answer = caller.post(ADD, &entry("e", json!({}))).await;
        assert_eq!((answer.status, json_of(&answer)), (200, json!(number)));
    }
    let running = entry("e", json!({"entryId": 2, "out": "stdout: a\n"}));
    assert_eq!(caller.post(UPDATE, &running).await.status, 204);
    let log = desk.logs("batches", 1).await.remove(1).log;
    assert_eq!((log.out.as_str(), log.exit_code, log.duration), ("stdout: a\n", None, None));
    let ended = entry(
        "e",
        json!({"entryId": 2, "out": "stdout: a\nstderr: b\n", "exitCode": -1, "durationMs": 1500}),
    );
    let answer = caller.post(UPDATE, &ended).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let log = desk.logs("batches", 1).await.remove(1).log;
    assert_eq!((log.key.as_str(), log.command.unwrap().join(" ").as_str()), ("step.docker.0", "docker run"));
    assert_eq!(log.started_at.to_string(), "2024-01-01T10:00:00Z");
    assert_eq!(
        (log.exit_code, log.duration, log.out.lines().count()),
        (Some(-1), Some(Duration::from_millis(1500)), 2)
    );
}

// covers: sourcegraph 20 (the early form)
#[tokio::test]
async fn an_early_executor_tells_a_command_at_once() {
    let desk = Desk::open().await;
    desk.taken("e").await;
    let body = entry("e", json!({"command": null, "exitCode": 0, "out": "stdout: a\n", "durationMs": 12}));
    let answer = desk.executor().post(ADD, &body).await;
    assert_eq!((answer.status, json_of(&answer)), (200, json!(1)));
    let log = desk.logs("batches", 1).await.remove(0).log;
    assert_eq!((log.command, log.exit_code, log.out.as_str()), (None, Some(0), "stdout: a\n"));
}

// covers: sourcegraph 21
#[tokio::test]
async fn who_does_not_hold_a_job_writes_nothing_of_it() {
    let desk = Desk::open().await;
    let job = desk.taken("e").await;
    assert_eq!(desk.executor().post(ADD, &entry("e", json!({}))).await.status, 200);
    for (caller, body) in [
        (desk.executor(), entry("other", json!({"entryId": 1, "out": "x"}))),
        (desk.executor(), entry("", json!({"entryId": 1, "out": "x"}))),
        (desk.executor(), entry("e", json!({"entryId": 1, "jobId": 99, "out": "x"}))),
        (desk.job(&job, "e"), entry("other", json!({"entryId": 1, "out": "x"}))),
    ] {
        for path in [ADD, UPDATE] {
            assert_eq!(error_of(&caller.post(path, &body).await), "unknown job");
        }
    }
    let end = json!({"executorName": "e", "jobId": 1});
    assert_eq!(desk.executor().post("batches/markComplete", &end).await.status, 204);
    for path in [ADD, UPDATE] {
        let answer = desk.executor().post(path, &entry("e", json!({"entryId": 1, "out": "x"}))).await;
        assert_eq!(error_of(&answer), "unknown job");
    }
    let logs = desk.logs("batches", 1).await;
    assert_eq!((logs.len(), logs[0].log.out.as_str()), (1, ""));
}

// covers: sourcegraph 22
#[tokio::test]
async fn an_entry_that_is_not_there_is_not_changed() {
    let desk = Desk::open().await;
    let caller = desk.job(&desk.taken("e").await, "e");
    assert_eq!(caller.post(ADD, &entry("e", json!({}))).await.status, 200);
    for id in [json!(2), json!(0), json!(-1), Value::Null, json!(i64::MAX)] {
        let answer = caller.post(UPDATE, &entry("e", json!({"entryId": id, "out": "x"}))).await;
        assert_eq!(error_of(&answer), "unknown job");
    }
    assert_eq!(desk.logs("batches", 1).await[0].log.out, "");
}
