//! Queues as wholes.

use jiff::Timestamp;
use jobwright_model::{JobRef, QueueRules, Speaker};
use serde_json::{Value, json};

use super::refused;
use crate::queue::support::{Desk, json_of, name, payload};
use crate::support::House;

#[tokio::test]
async fn a_queue_is_made_and_gets_other_rules() {
    let desk = Desk::open().await;
    let made = desk.own("PUT", "/builds", &json!({"max_retries": 2, "retry_after": "1m30s"})).await;
    assert_eq!(made.status, 201);
    let rules = json!({
        "stalled_after": "25000ms", "max_resets": 3, "max_retries": 2, "retry_after": "90000ms", "retry_at_most": "600000ms",
    });
    assert_eq!(json_of(&made), json!({"queue": "builds", "rules": rules}));
    desk.own("POST", "/builds/jobs", &json!({"payload": payload()})).await;
    let changed = desk.own("PUT", "/builds", &json!({})).await;
    assert_eq!(changed.status, 200);
    let queues = desk.store.queues(Timestamp::now()).await.unwrap();
    let kept = queues.iter().find(|summary| summary.queue == name("builds")).unwrap();
    assert_eq!(kept.rules, QueueRules::default());
    assert!(desk.store.job(&JobRef::new(name("builds"), 1)).await.unwrap().is_some(), "its jobs stay");
}

#[tokio::test]
async fn rules_that_are_none_are_refused_with_their_place() {
    let desk = Desk::open().await;
    for (body, expected) in [
        (json!({"retries": 1}), "unknown field `retries`"),
        (json!({"stalled_after": "soon"}), "stalled_after: invalid duration \"soon\""),
        (json!({"max_resets": -1}), "max_resets: invalid value"),
        (json!([]), "it is a list"),
    ] {
        let answer = desk.own("PUT", "/builds", &body).await;
        let (code, message) = answer.error();
        assert_eq!((answer.status, code.as_str()), (422, "invalid"));
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(refused(&desk.own("PUT", "/-x", &json!({})).await), (400, "invalid_id".into()));
    assert_eq!(refused(&desk.own("PUT", "/builds?x=1", &json!({})).await), (400, "invalid_query".into()));
    assert_eq!(desk.store.queues(Timestamp::now()).await.unwrap().len(), 2, "none was made");
}

#[tokio::test]
async fn what_is_in_each_queue_is_told() {
    let desk = Desk::open().await;
    desk.taken("e").await;
    desk.push("batches", payload()).await;
    let stranger = Speaker::Holder { name: "stranger".into(), job: JobRef::new(name("batches"), 1) };
    let end = jobwright_model::AttemptEnd::Completed;
    desk.store.finish(&stranger, &end, Timestamp::now()).await.unwrap();
    let told = json_of(&desk.look("").await);
    let queues = told["queues"].as_array().unwrap();
    assert_eq!(queues.len(), 2);
    let counts =
        json!({"queued": 1, "processing": 1, "completed": 0, "errored": 0, "failed": 0, "canceled": 0});
    assert_eq!((&queues[0]["queue"], &queues[0]["counts"]), (&json!("batches"), &counts));
    assert_eq!((&queues[0]["stale_writes"], &queues[0]["paused"]), (&json!(1), &json!(false)));
    let due: Timestamp = queues[0]["oldest_due"].as_str().unwrap().parse().unwrap();
    assert!(due <= Timestamp::now());
    assert_eq!((&queues[1]["queue"], &queues[1]["oldest_due"]), (&json!("codeintel"), &Value::Null));
    assert_eq!(queues[1]["rules"], json!(QueueRules::default()));
}

#[tokio::test]
async fn a_queue_that_is_paused_gives_nothing_out() {
    let desk = Desk::open().await;
    desk.push("batches", payload()).await;
    let asked = json!({"executorName": "e"});
    assert_eq!(desk.own("POST", "/batches/pause", &json!(null)).await.status, 204);
    assert_eq!(json_of(&desk.look("").await)["queues"][0]["paused"], true);
    assert_eq!(desk.executor().post("batches/dequeue", &asked).await.status, 204);
    assert_eq!(desk.own("POST", "/batches/resume", &json!(null)).await.status, 204);
    assert_eq!(desk.executor().post("batches/dequeue", &asked).await.status, 200);
    for what in ["pause", "resume"] {
        let answer = desk.own("POST", &format!("/other/{what}"), &json!(null)).await;
        assert_eq!(answer.error(), ("no_queue".into(), "there is no queue \"other\"".into()));
        assert_eq!(answer.status, 404);
    }
}

const ROUTES: [&str; 11] = [
    "GET /api/v1/queues",
    "PUT /api/v1/queues/q",
    "POST /api/v1/queues/q/pause",
    "POST /api/v1/queues/q/resume",
    "POST /api/v1/queues/q/jobs",
    "GET /api/v1/queues/q/jobs",
    "GET /api/v1/queues/q/jobs/1",
    "POST /api/v1/queues/q/jobs/1/cancel",
    "POST /api/v1/queues/q/jobs/1/retry",
    "GET /api/v1/queues/q/jobs/1/logs",
    "GET /metrics",
];

#[tokio::test]
async fn a_server_without_queues_says_so() {
    let house = House::open().await;
    for line in ROUTES {
        let answer = house.ask(line, super::JSON, b"{}").await;
        let (code, message) = answer.error();
        assert_eq!((answer.status, code.as_str()), (404, "no_queues"), "{line}");
        assert!(message.starts_with("this server has no queues; start it with"), "{message}");
    }
}

#[tokio::test]
async fn nobody_gets_in_with_the_word_of_executors_or_none() {
    let desk = Desk::open().await;
    for line in ROUTES {
        for caller in [desk.executor(), desk.with("")] {
            assert_eq!(refused(&caller.ask(line, b"{}").await), (401, "unauthorized".into()), "{line}");
        }
    }
}
