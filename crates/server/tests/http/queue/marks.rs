//! An executor says how its job ended.

use jobwright_model::QueuedState;
use serde_json::json;

use super::support::{Desk, json_of, name, rules, text};

// covers: sourcegraph 6, 23-24
#[tokio::test]
async fn a_job_ends_once_and_by_who_holds_it() {
    let desk = Desk::open().await;
    let states = [
        ("markComplete", QueuedState::Completed),
        ("markErrored", QueuedState::Failed),
        ("markFailed", QueuedState::Failed),
    ];
    for (mark, state) in states {
        let id = desk.taken("e").await["id"].as_i64().unwrap();
        let path = format!("batches/{mark}");
        let body = |executor: &str, id: i64| json!({"executorName": executor, "jobId": id, "errorMessage": "no luck"});
        for wrong in [body("other", id), body("e", 99), body("", id), json!({})] {
            let answer = desk.executor().post(&path, &wrong).await;
            assert_eq!((answer.status, text(&answer)), (404, "null"));
        }
        assert_eq!(desk.kept("batches", id).await.state, QueuedState::Processing);
        let answer = desk.executor().post(&path, &body("e", id)).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        assert_eq!(desk.executor().post(&path, &body("e", id)).await.status, 404, "twice");
        let kept = desk.kept("batches", id).await;
        let message = (mark != "markComplete").then(|| "no luck".to_owned());
        assert_eq!((kept.state, kept.failure_message), (state, message));
    }
}

// covers: sourcegraph 25
#[tokio::test]
async fn an_error_is_tried_again_until_the_rules_say_no_and_a_failure_never() {
    let desk = Desk::open().await;
    desk.store.create_queue(&name("batches"), &rules()).await.unwrap();
    desk.taken("e").await;
    let body = json!({"executorName": "e", "jobId": 1, "errorMessage": "no luck"});
    assert_eq!(desk.executor().post("batches/markErrored", &body).await.status, 204);
    assert_eq!(desk.kept("batches", 1).await.state, QueuedState::Errored);
    let again = desk.executor().post("batches/dequeue", &json!({"executorName": "e"})).await;
    assert_eq!(json_of(&again)["id"], 1);
    assert_eq!(desk.executor().post("batches/markErrored", &body).await.status, 204);
    assert_eq!(desk.kept("batches", 1).await.state, QueuedState::Failed);
    let other = desk.taken("e").await["id"].as_i64().unwrap();
    let body = json!({"executorName": "e", "jobId": other, "errorMessage": "no luck"});
    assert_eq!(desk.executor().post("batches/markFailed", &body).await.status, 204);
    assert_eq!(desk.kept("batches", other).await.state, QueuedState::Failed);
    assert_eq!(desk.executor().post("batches/dequeue", &json!({"executorName": "e"})).await.status, 204);
}
