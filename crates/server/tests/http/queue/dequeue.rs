//! An executor asks for a job.

use std::collections::BTreeSet;

use jobwright_model::QueuedState;
use serde_json::{Value, json};

use super::support::{Desk, error_of, json_of, payload, text};

fn ask(executor: &str) -> Value {
    json!({"executorName": executor})
}

// covers: sourcegraph 1, 9, 14
#[tokio::test]
async fn who_asks_gets_a_job_or_an_empty_answer() {
    let desk = Desk::open().await;
    let none = desk.executor().post("batches/dequeue", &ask("e")).await;
    assert_eq!((none.status, none.body.len()), (204, 0));
    desk.push("batches", payload()).await;
    desk.push("codeintel", payload()).await;
    let body = json!({"executorName": "e", "executorHostname": "h", "numCPUs": 4, "memory": "12G", "diskSpace": "20G"});
    let answer = desk.executor().post("batches/dequeue", &body).await;
    assert_eq!(answer.status, 200);
    let job = json_of(&answer);
    assert_eq!(
        (&job["id"], &job["repositoryName"], &job["commit"]),
        (&json!(1), &json!("github.com/a/b"), &json!("HEAD"))
    );
    assert!(job.get("queue").is_none() && job.get("version").is_none());
    assert_eq!(job["files"]["a.txt"], json!({"content": "text", "modifiedAt": "0001-01-01T00:00:00Z"}));
    assert_eq!(desk.executor().post("batches/dequeue", &ask("e")).await.status, 204);
}

// covers: sourcegraph 16-17
#[tokio::test]
async fn who_has_no_name_gets_nothing() {
    let desk = Desk::open().await;
    desk.push("batches", payload()).await;
    for path in ["dequeue", "heartbeat", "batches/dequeue", "batches/heartbeat"] {
        for body in
            [json!({}), json!({"executorName": null}), json!({"executorName": "", "queues": ["batches"]})]
        {
            let answer = desk.executor().post(path, &body).await;
            assert_eq!(error_of(&answer), "worker hostname cannot be empty", "{path}");
        }
        let long = desk.executor().post(path, &ask(&"x".repeat(256))).await;
        assert_eq!(long.status, 400);
        assert!(text(&long).contains("at most 255 bytes"), "{}", text(&long));
    }
    assert_eq!(desk.kept("batches", 1).await.state, QueuedState::Queued);
}

// covers: sourcegraph 18
#[tokio::test]
async fn no_two_executors_get_one_job() {
    let desk = Desk::open().await;
    for _ in 0..20 {
        desk.push("batches", payload()).await;
    }
    let mut asking = tokio::task::JoinSet::new();
    for executor in 0..24 {
        let caller = desk.executor();
        asking.spawn(async move { caller.post("batches/dequeue", &ask(&executor.to_string())).await });
    }
    let answers = asking.join_all().await;
    let got: BTreeSet<i64> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| json_of(answer)["id"].as_i64().unwrap())
        .collect();
    assert_eq!(got, (1..=20).collect());
    assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 4);
}

// covers: sourcegraph 19
#[tokio::test]
async fn a_new_attempt_begins_without_what_was_said_of_the_one_before() {
    let desk = Desk::open().await;
    desk.store.create_queue(&super::support::name("batches"), &super::support::rules()).await.unwrap();
    let job = desk.taken("first").await;
    let entry = json!({"executorName": "first", "jobId": 1, "key": "k", "out": "o"});
    assert_eq!(desk.job(&job, "first").post("batches/addExecutionLogEntry", &entry).await.status, 200);
    let body = json!({"executorName": "first", "jobId": 1, "errorMessage": "no luck"});
    assert_eq!(desk.job(&job, "first").post("batches/markErrored", &body).await.status, 204);
    let kept = desk.kept("batches", 1).await;
    assert!(kept.failure_message.as_deref() == Some("no luck") && kept.finished_at.is_some());
    assert_eq!(desk.executor().post("batches/dequeue", &ask("second")).await.status, 200);
    let kept = desk.kept("batches", 1).await;
    assert_eq!(
        (kept.failure_message, kept.finished_at, kept.holder.as_deref()),
        (None, None, Some("second"))
    );
    assert!(desk.logs("batches", 1).await.is_empty());
}

// covers: sourcegraph 36
#[tokio::test]
async fn the_form_of_a_job_is_what_the_executors_version_knows() {
    let desk = Desk::open().await;
    for (version, second) in [
        (json!("dev"), true),
        (json!("5.2.0"), true),
        (json!("4.3.0-rc.1"), true),
        (json!("190345_2022-11-24_0123456789ab"), true),
        (json!("4.2.1"), false),
        (Value::Null, false),
    ] {
        desk.push("batches", payload()).await;
        let job = json_of(
            &desk.executor().post("batches/dequeue", &json!({"executorName": "e", "version": version})).await,
        );
        let content = &job["files"]["a.txt"]["content"];
        if second {
            assert_eq!(
                (&job["version"], content, &job["dockerAuthConfig"]),
                (&json!(2), &json!("dGV4dA=="), &json!({}))
            );
        } else {
            assert!(job.get("version").is_none() && *content == "text", "{version}");
        }
    }
    let last = desk.push("batches", payload()).await;
    let answer =
        desk.executor().post("batches/dequeue", &json!({"executorName": "e", "version": "garbage"})).await;
    assert!(error_of(&answer).contains("\"garbage\" is not known"));
    assert_eq!(desk.kept("batches", last.id).await.state, QueuedState::Queued, "nobody lost a job by it");
}

// covers: sourcegraph 37
#[tokio::test]
async fn a_job_that_cannot_be_said_has_failed() {
    let desk = Desk::open().await;
    desk.push("batches", json!({"files": 5})).await;
    desk.push("batches", json!({"version": 2, "files": {"a.bin": {"content": "/w=="}}})).await;
    for (id, reason) in [(1, "files: an object is needed"), (2, "\"a.bin\" is not UTF-8")] {
        let error = error_of(&desk.executor().post("batches/dequeue", &ask("e")).await);
        assert!(error.starts_with("failed to transform record: ") && error.contains(reason), "{error}");
        let kept = desk.kept("batches", id).await;
        assert_eq!((kept.state, kept.failure_message), (QueuedState::Failed, Some(error)));
    }
    assert_eq!(desk.executor().post("batches/dequeue", &ask("e")).await.status, 204);
}

// covers: sourcegraph 30, 7
#[tokio::test]
async fn who_asks_several_queues_gets_a_job_of_any_that_has_one() {
    let desk = Desk::open().await;
    let of = |queues: Value| json!({"executorName": "e", "queues": queues, "version": "dev"});
    for none in [json!([]), Value::Null] {
        assert_eq!(desk.executor().post("dequeue", &of(none)).await.status, 204);
    }
    for queues in [json!(["batches", "nonsense"]), json!(["../x"])] {
        let error = error_of(&desk.executor().post("dequeue", &of(queues.clone())).await);
        let wrong = queues.as_array().unwrap().last().unwrap().as_str().unwrap();
        assert_eq!(
            error,
            format!("Invalid queue name(s) '{wrong}' found. Supported queue names are 'batches, codeintel'.")
        );
    }
    for queue in ["codeintel", "batches"] {
        desk.push(queue, payload()).await;
    }
    let mut got = BTreeSet::new();
    for _ in 0..2 {
        let job =
            json_of(&desk.executor().post("dequeue", &of(json!(["batches", "codeintel", "batches"]))).await);
        got.insert((job["queue"].as_str().unwrap().to_owned(), job["id"].as_i64().unwrap()));
    }
    assert_eq!(got, [("batches".to_owned(), 1), ("codeintel".to_owned(), 1)].into());
    assert_eq!(desk.executor().post("dequeue", &of(json!(["batches", "codeintel"]))).await.status, 204);
}

// covers: sourcegraph 30 (the limits, over the wire)
#[tokio::test]
async fn a_queue_that_had_its_share_waits_for_the_others() {
    use jobwright_queue::{Share, Turns};
    let word = jobwright_server::Token::new(super::support::WORD).unwrap();
    let share = Share { weight: 1_000_000_000, limit: Some(2) };
    let turns = Turns::default().share(super::support::name("batches"), share);
    let desk = Desk::open_as(|api| api.executor_token(&word).turns(turns)).await;
    for _ in 0..4 {
        desk.push("batches", payload()).await;
        desk.push("codeintel", payload()).await;
    }
    let mut order = Vec::new();
    for _ in 0..8 {
        let body = json!({"executorName": "e", "queues": ["batches", "codeintel"]});
        order.push(
            json_of(&desk.executor().post("dequeue", &body).await)["queue"].as_str().unwrap().to_owned(),
        );
    }
    assert_eq!(order[..2], ["batches", "batches"]);
    assert_eq!(order[2..6], ["codeintel", "codeintel", "codeintel", "codeintel"]);
    assert_eq!(order[6..], ["batches", "batches"], "who had its share comes when nobody else has anything");
}
