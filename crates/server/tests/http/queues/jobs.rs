//! The jobs of a queue: pushed, listed, shown, canceled, tried again.

use jiff::Timestamp;
use jobwright_model::{AttemptEnd, JobRef, QueuedState, Speaker};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::refused;
use super::slow::Slow;
use crate::queue::support::{Desk, json_of, name, payload, text};
use crate::support::TOKEN;

impl Desk {
    async fn ends(&self, id: i64, end: &AttemptEnd) {
        let speaker = Speaker::Holder { name: "e".into(), job: JobRef::new(name("batches"), id) };
        self.store.finish(&speaker, end, Timestamp::now()).await.unwrap();
    }

    async fn count(&self) -> usize {
        self.store.jobs(&jobwright_store::Filter::default()).await.unwrap().len()
    }
}

fn failed() -> AttemptEnd {
    AttemptEnd::Failed("no such image".into())
}

#[tokio::test]
async fn one_job_or_several_are_taken_in_as_they_were_said() {
    let desk = Desk::open().await;
    let one =
        json!({"payload": payload(), "tenant": "t", "priority": -3, "process_after": "2099-01-02T03:04:05Z"});
    let answer = desk.own("POST", "/batches/jobs", &one).await;
    assert_eq!((answer.status, json_of(&answer)), (201, json!({"jobs": ["1-batches"]})));
    let several = json!([{"payload": payload()}, {"payload": payload()}]);
    let answer = desk.own("POST", "/batches/jobs", &several).await;
    assert_eq!(json_of(&answer), json!({"jobs": ["2-batches", "3-batches"]}));
    let kept = desk.kept("batches", 1).await;
    assert_eq!((kept.tenant.as_str(), kept.priority), ("t", -3));
    assert_eq!(kept.process_after, Some("2099-01-02T03:04:05Z".parse().unwrap()));
    assert_eq!(kept.payload["commit"], "HEAD");
    let given = desk.executor().post("batches/dequeue", &json!({"executorName": "e"})).await;
    assert_eq!(json_of(&given)["id"], 2, "the first is not due");
}

#[tokio::test]
async fn of_a_list_with_a_wrong_job_none_is_taken_in() {
    let desk = Desk::open().await;
    let mut wrong = payload();
    wrong["dockerSteps"][0]["image"] = json!("--privileged");
    let body = json!([{"payload": payload()}, {"payload": wrong}]);
    let answer = desk.own("POST", "/batches/jobs", &body).await;
    let (code, message) = answer.error();
    assert_eq!((answer.status, code.as_str()), (422, "invalid"));
    assert!(message.contains("[1].payload: the job is not usable: dockerSteps[0].image: "), "{message}");
    assert_eq!(desk.count().await, 0);
}

#[tokio::test]
async fn what_is_no_push_is_refused() {
    let desk = Desk::open().await;
    let job = json!({"payload": payload()});
    assert_eq!(refused(&desk.own("POST", "/other/jobs", &job).await), (404, "no_queue".into()));
    assert_eq!(refused(&desk.own("POST", "/batches/jobs?x=1", &job).await), (400, "invalid_query".into()));
    let path = "POST /api/v1/queues/batches/jobs";
    let plain = desk.house.ask(path, "", job.to_string().as_bytes()).await;
    assert_eq!(refused(&plain), (415, "not_json".into()));
    let half = desk.house.ask(path, super::JSON, b"{\"payload\": {").await;
    assert_eq!(refused(&half), (400, "malformed_json".into()));
    let mut large = payload();
    large["files"]["b.txt"] = json!({"content": "QUFB".repeat(1 << 20)});
    assert_eq!(desk.own("POST", "/batches/jobs", &json!({"payload": large})).await.status, 201);
    large["files"]["b.txt"] = json!({"content": "QUFB".repeat(4 << 20)});
    let answer = desk.own("POST", "/batches/jobs", &json!({"payload": large})).await;
    assert_eq!(refused(&answer), (413, "too_large".into()));
    assert_eq!(desk.count().await, 1);
}

fn ids(answer: &crate::support::Answer) -> Vec<i64> {
    let told = json_of(answer);
    told["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn jobs_are_listed_by_state_and_tenant_and_page_by_page() {
    let desk = Desk::open().await;
    for tenant in ["a", "b", "a", "b", "a"] {
        let job = json!({"payload": payload(), "tenant": tenant});
        assert_eq!(desk.own("POST", "/batches/jobs", &job).await.status, 201);
    }
    let given = desk.executor().post("batches/dequeue", &json!({"executorName": "e"})).await;
    assert_eq!(json_of(&given)["id"], 1);
    desk.own("POST", "/batches/jobs/2/cancel", &json!(null)).await;
    assert_eq!(ids(&desk.look("/batches/jobs").await), [5, 4, 3, 2, 1]);
    assert_eq!(ids(&desk.look("/batches/jobs?state=processing,canceled").await), [2, 1]);
    assert_eq!(ids(&desk.look("/batches/jobs?state=processing&state=canceled&tenant=b").await), [2]);
    assert_eq!(ids(&desk.look("/codeintel/jobs").await), [0; 0]);
    let first = desk.look("/batches/jobs?limit=3").await;
    assert_eq!((ids(&first), &json_of(&first)["next"]), (vec![5, 4, 3], &json!(3)));
    let second = desk.look("/batches/jobs?limit=3&after=3").await;
    assert_eq!((ids(&second), &json_of(&second)["next"]), (vec![2, 1], &Value::Null));
    for query in ["state=lost", "limit=0", "limit=x", "after=x", "order=id", "tenant=a&tenant=b"] {
        let answer = desk.look(&format!("/batches/jobs?{query}")).await;
        assert_eq!(refused(&answer), (400, "invalid_query".into()), "{query}");
    }
    assert_eq!(refused(&desk.look("/other/jobs").await), (404, "no_queue".into()));
}

#[tokio::test]
async fn a_job_is_shown_with_its_attempts_and_without_what_may_be_secret() {
    let desk = Desk::open().await;
    desk.taken("e").await;
    desk.ends(1, &failed()).await;
    let shown = desk.look("/batches/jobs/1").await;
    let told = json_of(&shown);
    assert_eq!(
        (&told["job"], &told["state"], &told["holder"]),
        (&json!("1-batches"), &json!("failed"), &json!("e"))
    );
    let attempts = told["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    let attempt = &attempts[0];
    assert_eq!((&attempt["attempt"], &attempt["state"]), (&json!(1), &json!("failed")));
    assert_eq!(attempt["failure_message"], "no such image");
    assert!(attempt["finished_at"].is_string());
    for answer in [shown, desk.look("/batches/jobs").await] {
        assert!(!text(&answer).contains("payload") && !text(&answer).contains("redactedValues"));
    }
}

#[tokio::test]
async fn what_waits_is_canceled_at_once_and_what_runs_by_its_agent() {
    let desk = Desk::open().await;
    let job = desk.taken("e").await;
    desk.push("batches", payload()).await;
    let cancel = async |id: i64| desk.own("POST", &format!("/batches/jobs/{id}/cancel"), &json!(null)).await;
    let answer = cancel(2).await;
    assert_eq!((answer.status, json_of(&answer)), (200, json!({"job": "2-batches", "state": "canceled"})));
    assert_eq!(cancel(2).await.status, 200, "once more does no harm");
    assert_eq!(json_of(&cancel(1).await), json!({"job": "1-batches", "state": "processing"}));
    let beat = json!({"executorName": "e", "jobIds": [job["id"]], "version": "V2"});
    let told = desk.executor().post("batches/heartbeat", &beat).await;
    assert_eq!(json_of(&told)["cancelIds"], json!([1]));
    desk.taken("e").await;
    desk.ends(3, &AttemptEnd::Completed).await;
    let answer = cancel(3).await;
    let (code, message) = answer.error();
    assert_eq!((answer.status, code.as_str()), (409, "has_ended"));
    assert_eq!(message, "3-batches has ended: completed; nothing was changed");
}

#[tokio::test]
async fn what_failed_or_was_canceled_is_tried_again() {
    let desk = Desk::open().await;
    desk.taken("e").await;
    let retry = async || desk.own("POST", "/batches/jobs/1/retry", &json!(null)).await;
    let answer = retry().await;
    assert_eq!(refused(&answer), (409, "wrong_state".into()));
    assert!(
        answer.error().1.starts_with("1-batches is processing; only what failed"),
        "{}",
        answer.error().1
    );
    desk.ends(1, &failed()).await;
    assert_eq!(json_of(&retry().await), json!({"job": "1-batches", "state": "queued"}));
    assert_eq!(desk.kept("batches", 1).await.state, QueuedState::Queued);
}

#[tokio::test]
async fn a_job_that_is_not_there_is_told_from_a_queue_that_is_not() {
    let desk = Desk::open().await;
    for line in ["GET {}", "POST {}/cancel", "POST {}/retry", "GET {}/logs"] {
        let (method, path) = line.split_once(' ').unwrap();
        for (job, status, code) in [
            ("/batches/jobs/1", 404, "no_job"),
            ("/batches/jobs/-1", 404, "no_job"),
            ("/other/jobs/1", 404, "no_queue"),
            ("/batches/jobs/1-batches", 400, "invalid_id"),
            ("/batches/jobs/99999999999999999999", 400, "invalid_id"),
            ("/.x/jobs/1", 400, "invalid_id"),
        ] {
            let answer = desk.own(method, &path.replace("{}", job), &json!(null)).await;
            assert_eq!(refused(&answer), (status, code.to_owned()), "{line} {job}");
        }
    }
}

#[tokio::test]
async fn a_push_goes_on_when_the_one_who_asked_hangs_up() {
    let (slow, gate) = Slow::waiting_in("push");
    let desk = Desk::open_on(slow).await;
    let body = json!({"payload": payload()}).to_string();
    let mut stream = TcpStream::connect(desk.house.tcp).await.unwrap();
    let head = format!(
        "POST /api/v1/queues/batches/jobs HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    gate.until_asked().await;
    stream.shutdown().await.unwrap();
    // The server has noticed when it closes its side too.
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    let mut changes = desk.store.changes();
    gate.open();
    while desk.count().await == 0 {
        changes.changed().await.unwrap();
    }
}
