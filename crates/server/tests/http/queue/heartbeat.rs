//! An executor says that it lives, in the ways of three ages; and what happens when it does not.

use std::time::Duration;

use jiff::Timestamp;
use jobwright_model::{DIED_TOO_OFTEN, JobRef, QueueRules, QueuedState};
use jobwright_server::Token;
use serde_json::{Value, json};

use super::support::{Desk, WORD, error_of, json_of, name, payload, rules};

impl Desk {
    async fn beat(&self, path: &str, body: Value) -> Value {
        let answer = self.executor().post(path, &body).await;
        assert_eq!(answer.status, 200, "{}", super::support::text(&answer));
        json_of(&answer)
    }
}

// covers: sourcegraph 26, 28
#[tokio::test]
async fn each_age_of_executors_hears_what_it_understands() {
    let desk = Desk::open().await;
    let (mine, others) = (desk.taken("e").await["id"].clone(), desk.taken("other").await["id"].clone());
    desk.push("batches", payload()).await;
    let ids = json!([mine, others, 3, 99]);
    let body = json!({"executorName": "e", "jobIds": ids});
    assert_eq!(
        desk.beat("heartbeat", body.clone()).await,
        json!([2, 3, 99]),
        "what is not known, before July 2021"
    );
    assert_eq!(desk.beat("batches/heartbeat", body).await, json!([1]), "what is known, until December 2022");
    let second = json!({"executorName": "e", "jobIds": ids, "version": "V2"});
    assert_eq!(desk.beat("batches/heartbeat", second).await, json!({"knownIds": [1], "cancelIds": []}));
    let third = json!({"executorName": "e", "jobIds": ids, "version": "V2", "executorVersion": "5.2.0"});
    assert_eq!(desk.beat("batches/heartbeat", third).await, json!({"knownIds": ["1"], "cancelIds": []}));
}

// covers: sourcegraph 12, 5
#[tokio::test]
async fn an_id_is_the_same_as_a_number_a_float_and_a_text() {
    let desk = Desk::open().await;
    desk.taken("e").await;
    for id in [json!(1), json!(1.0), json!("1")] {
        let answer = desk.beat("batches/heartbeat", json!({"executorName": "e", "jobIds": [id]})).await;
        assert_eq!(answer, json!([1]));
    }
    for id in [json!(1.5), json!("one"), json!(true), json!([1])] {
        let answer =
            desk.executor().post("batches/heartbeat", &json!({"executorName": "e", "jobIds": [id]})).await;
        assert_eq!(answer.status, 400);
    }
}

// covers: sourcegraph 27
#[tokio::test]
async fn an_idle_executor_is_shown_alive_with_what_it_tells() {
    let desk = Desk::open().await;
    let begin = Timestamp::now();
    let idle = json!({"executorName": "e", "jobIds": null, "version": "V2", "os": "linux", "executorVersion": "5.2.0", "srcCliVersion": ""});
    assert_eq!(desk.beat("batches/heartbeat", idle).await, json!({"knownIds": [], "cancelIds": []}));
    let executor = desk.store.executors(begin).await.unwrap().remove(0);
    assert_eq!((executor.name.as_str(), &executor.queues[..]), ("e", &[name("batches")][..]));
    assert_eq!(
        executor.about,
        [("os".into(), "linux".into()), ("executorVersion".to_owned(), "5.2.0".to_owned())]
    );
    let several = json!({"executorName": "f", "queueNames": ["batches", "codeintel"], "jobIdsByQueue": null});
    assert_eq!(desk.beat("heartbeat", several).await, json!({"knownIds": [], "cancelIds": []}));
    let early = json!({"executorName": "g", "jobIds": null});
    assert_eq!(desk.beat("heartbeat", early).await, json!([]));
    let names: Vec<_> = desk
        .store
        .executors(begin)
        .await
        .unwrap()
        .into_iter()
        .map(|executor| (executor.name, executor.queues.len()))
        .collect();
    assert_eq!(names, [("e".to_owned(), 1), ("f".to_owned(), 2), ("g".to_owned(), 0)]);
}

// covers: sourcegraph 29, 7, 28 (texts)
#[tokio::test]
async fn ids_of_several_queues_come_back_with_their_queue() {
    let desk = Desk::open().await;
    desk.store.create_queue(&name("batches-hooks"), &rules()).await.unwrap();
    for queue in ["batches", "batches-hooks"] {
        desk.push(queue, payload()).await;
        let body = json!({"executorName": "e", "queues": [queue]});
        assert_eq!(json_of(&desk.executor().post("dequeue", &body).await)["id"], 1);
    }
    desk.store.cancel(&JobRef::new(name("batches-hooks"), 1), Timestamp::now()).await.unwrap();
    let body = json!({
        "executorName": "e", "queueNames": ["batches", "batches-hooks", "never heard of"],
        "jobIdsByQueue": [{"queueName": "batches", "jobIds": ["1", "7"]}, {"queueName": "batches-hooks", "jobIds": [1]}, {"queueName": "never heard of", "jobIds": ["1"]}],
    });
    let answer = desk.beat("heartbeat", body).await;
    assert_eq!(
        answer,
        json!({"knownIds": ["1-batches", "1-batches-hooks"], "cancelIds": ["1-batches-hooks"]})
    );
}

// covers: sourcegraph 29 (what is wrong)
#[tokio::test]
async fn a_sign_of_life_of_several_queues_has_to_name_them() {
    let desk = Desk::open().await;
    for body in [
        json!({"executorName": "e"}),
        json!({"executorName": "e", "jobIdsByQueue": [{"queueName": "batches", "jobIds": ["1"]}]}),
        json!({"executorName": "e", "version": "V2", "jobIds": [1], "queueNames": []}),
    ] {
        let answer = desk.executor().post("heartbeat", &body).await;
        assert_eq!(error_of(&answer), "queueNames must be set for multi-queue heartbeats");
    }
    let body = json!({"executorName": "e", "queueNames": ["batches"], "jobIdsByQueue": [{"queueName": "codeintel", "jobIds": []}]});
    let error = error_of(&desk.executor().post("heartbeat", &body).await);
    assert!(error.contains("'codeintel'") && error.contains("'batches'"), "{error}");
    let ids: Vec<i64> = (0..4097).collect();
    let many = desk.executor().post("heartbeat", &json!({"executorName": "e", "jobIds": ids})).await;
    assert_eq!(many.status, 400);
    let names: Vec<_> = (0..4097).map(|number| format!("q{number}")).collect();
    let many = desk.executor().post("heartbeat", &json!({"executorName": "e", "queueNames": names})).await;
    assert_eq!(many.status, 400);
}

// covers: sourcegraph 32
#[tokio::test]
async fn whose_end_is_wanted_is_told_to_its_executor() {
    let desk = Desk::open().await;
    let waiting = desk.push("batches", payload()).await;
    assert_eq!(desk.store.cancel(&waiting, Timestamp::now()).await.unwrap(), Some(QueuedState::Canceled));
    for mark in ["markFailed", "markErrored", "markComplete"] {
        let job = desk.taken("e").await;
        let id = job["id"].as_i64().unwrap();
        let at = JobRef::new(name("batches"), id);
        assert_eq!(desk.store.cancel(&at, Timestamp::now()).await.unwrap(), Some(QueuedState::Processing));
        let body = json!({"executorName": "e", "jobIds": [id], "version": "V2"});
        assert_eq!(desk.beat("batches/heartbeat", body).await, json!({"knownIds": [id], "cancelIds": [id]}));
        assert_eq!(
            desk.beat("batches/heartbeat", json!({"executorName": "e", "jobIds": [id]})).await,
            json!([id])
        );
        assert_eq!(
            desk.beat("heartbeat", json!({"executorName": "e", "jobIds": [id]})).await,
            json!([id]),
            "it has to end"
        );
        let other = json!({"executorName": "e", "jobId": id, "errorMessage": "canceled"});
        assert_eq!(desk.job(&job, "e").post(&format!("batches/{mark}"), &other).await.status, 204);
        let kept = desk.kept("batches", id).await;
        let state = if mark == "markComplete" { QueuedState::Completed } else { QueuedState::Canceled };
        assert_eq!((kept.state, kept.failures), (state, 0));
    }
}

// covers: sourcegraph 32 (before December 2022)
#[tokio::test]
async fn an_executor_of_old_asks_whose_end_is_wanted() {
    let desk = Desk::open().await;
    for executor in ["e", "e", "e", "other"] {
        desk.taken(executor).await;
    }
    for id in [1, 3, 4] {
        desk.store.cancel(&JobRef::new(name("batches"), id), Timestamp::now()).await.unwrap();
    }
    assert_eq!(desk.beat("batches/canceled", json!({"executorName": "e"})).await, json!([1, 3]));
    let known = json!({"executorName": "e", "knownJobIds": [2, 3, 4]});
    assert_eq!(desk.beat("batches/canceledJobs", known).await, json!([3]));
    let none = json!({"executorName": "e", "knownJobIds": null});
    assert_eq!(desk.beat("batches/canceledJobs", none).await, json!([]));
    assert_eq!(desk.beat("codeintel/canceled", json!({"executorName": "e"})).await, json!([]));
}

// covers: sourcegraph 31
#[tokio::test]
async fn a_job_of_which_nothing_is_heard_is_queued_again_and_then_has_failed() {
    let word = Token::new(WORD).unwrap();
    let desk = Desk::open_as(|api| api.executor_token(&word).stall_check(Duration::from_millis(10))).await;
    let rules = QueueRules { stalled_after: Duration::from_millis(300), ..rules() };
    desk.store.create_queue(&name("batches"), &rules).await.unwrap();
    let mut changed = desk.store.changes();
    let first = desk.taken("e").await;
    for (state, resets) in [(QueuedState::Queued, 1), (QueuedState::Failed, 1)] {
        loop {
            let kept = desk.kept("batches", 1).await;
            if kept.state == state {
                assert_eq!(kept.resets, resets);
                break;
            }
            changed.changed().await.unwrap();
        }
        assert_eq!(
            desk.job(&first, "e")
                .post("batches/markComplete", &json!({"executorName": "e", "jobId": 1}))
                .await
                .status,
            401
        );
        if state == QueuedState::Queued {
            assert_eq!(
                desk.executor().post("batches/dequeue", &json!({"executorName": "f"})).await.status,
                200
            );
        }
    }
    assert_eq!(desk.kept("batches", 1).await.failure_message.as_deref(), Some(DIED_TOO_OFTEN));
}

#[tokio::test]
async fn metrics_that_come_along_are_kept_for_a_while() {
    let word = Token::new(WORD).unwrap();
    let mut metrics = None;
    let desk = Desk::open_as(|api| {
        metrics = Some(api.metrics());
        api.executor_token(&word)
    })
    .await;
    let body = |text: &str| json!({"executorName": "e", "jobIds": [], "prometheusMetrics": text});
    desk.beat("batches/heartbeat", body("a 1\n")).await;
    desk.beat("batches/heartbeat", body("a 2\n")).await;
    let current = metrics.as_ref().unwrap().current();
    assert_eq!(
        current.iter().map(|(name, text)| (name.as_str(), &**text)).collect::<Vec<_>>(),
        [("e", "a 2\n")]
    );
    desk.beat("batches/heartbeat", body(&"x".repeat(2 << 20))).await;
    assert!(
        metrics.unwrap().current().is_empty(),
        "what is too much is not kept, and the sign of life counts"
    );
}
