//! Pushing and taking.

use jobwright_model::{NewJob, QueueRules, QueuedState};
use jobwright_store::{Ask, Error};
use serde_json::json;

use crate::fixture::*;

// covers: sourcegraph 7 (in the store)
pub(crate) async fn numbers_count_from_one_in_each_queue(database: &Database) {
    let store = database.with_queue().await;
    store.create_queue(&queue("other"), &QueueRules::default()).await.unwrap();
    let job = |name: &str| NewJob::new(queue(name), json!(name));
    let pushed = store.push(vec![job("q"), job("other"), job("q")], at(0)).await.unwrap();
    let names: Vec<_> = pushed.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["1-q", "1-other", "2-q"]);
    assert_eq!(store.push(vec![job("other")], at(0)).await.unwrap()[0].to_string(), "2-other");
    for job in pushed {
        assert_eq!(store.job(&job).await.unwrap().unwrap().payload, json!(job.queue.as_str()));
    }
    assert!(store.push(Vec::new(), at(0)).await.unwrap().is_empty());
}

pub(crate) async fn a_push_is_taken_in_whole_or_not_at_all(database: &Database) {
    let store = database.with_queue().await;
    let jobs = vec![new_job("", "a"), NewJob::new(queue("nowhere"), json!("b"))];
    let refused = store.push(jobs, at(0)).await.unwrap_err();
    assert!(matches!(&refused, Error::NoQueue(name) if name.as_str() == "nowhere"), "{refused}");
    assert_eq!(refused.to_string(), "there is no queue \"nowhere\"");
    assert!(take_at(&store, at(0)).await.is_none());
    assert_eq!(push_one(&store, "c").await.id, 1);
}

// covers: sourcegraph 19
pub(crate) async fn a_job_is_given_with_its_attempt(database: &Database) {
    let store = database.with_queue().await;
    let payload = json!({"steps": [1, "two", null], "text": "\u{0}"});
    let job = NewJob { priority: -3, ..NewJob::new(queue("q"), payload.clone()) };
    let pushed = push(&store, NewJob { tenant: "ada".to_owned(), ..job }).await;
    let lease = store.dequeue(&ask("agent-1"), at(7)).await.unwrap().unwrap();
    let given = &lease.job;
    assert_eq!((&given.job, given.state, given.attempt), (&pushed, QueuedState::Processing, 1));
    assert_eq!((given.tenant.as_str(), given.priority, &given.payload), ("ada", -3, &payload));
    assert_eq!((given.queued_at, given.started_at, given.heartbeat_at), (at(0), Some(at(7)), Some(at(7))));
    assert_eq!((given.holder.as_deref(), given.cancel), (Some("agent-1"), false));
    assert_eq!((&lease.token.job, lease.token.attempt), (&pushed, 1));
    assert_eq!(store.job(&pushed).await.unwrap().as_ref(), Some(given));
    assert!(take_at(&store, at(7)).await.is_none());
    let attempts = store.attempts(&pushed).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].attempt, attempts[0].holder.as_str()), (1, 1, "agent-1"));
    assert_eq!((attempts[0].started_at, attempts[0].finished_at), (at(7), None));
    assert_eq!(attempts[0].state, QueuedState::Processing);
}

// covers: sourcegraph 19
pub(crate) async fn a_new_attempt_clears_what_the_one_before_left(database: &Database) {
    let store = database.with_rules(&QueueRules { max_retries: 1, ..QueueRules::default() }).await;
    push_one(&store, "a").await;
    let first = take(&store).await;
    end(&store, &first, errored(), at(1)).await;
    let between = store.job(&first.job.job).await.unwrap().unwrap();
    assert_eq!(between.failure_message.as_deref(), Some("broken"));
    let second = store.dequeue(&ask("other"), at(100)).await.unwrap().unwrap();
    assert_eq!((second.job.attempt, second.job.holder.as_deref()), (2, Some("other")));
    assert_eq!((second.job.failure_message.as_ref(), second.job.finished_at), (None, None));
    assert_eq!((second.job.started_at, second.job.failures), (Some(at(100)), 1));
    assert!(store.logs(&second.token, 1, 0).await.unwrap().is_empty());
}

pub(crate) async fn a_queue_that_is_not_there_has_nothing(database: &Database) {
    let store = database.with_queue().await;
    let ask = Ask { queues: vec![queue("nowhere")], ..ask("agent") };
    assert!(store.dequeue(&ask, at(0)).await.unwrap().is_none());
    assert!(store.dequeue(&Ask { queues: Vec::new(), ..ask }, at(0)).await.unwrap().is_none());
    let nowhere = jobwright_model::JobRef::new(queue("nowhere"), 1);
    assert!(store.job(&nowhere).await.unwrap().is_none());
    assert!(!store.pause_queue(&queue("nowhere"), true).await.unwrap());
    assert!(store.attempts(&nowhere).await.unwrap().is_empty());
}

pub(crate) async fn of_many_queues_the_first_with_something_due_gives_it(database: &Database) {
    let store = database.with_queue().await;
    store.create_queue(&queue("a"), &QueueRules::default()).await.unwrap();
    let pushed = [NewJob::new(queue("a"), json!("a")), new_job("", "q")];
    store.push(pushed.to_vec(), at(0)).await.unwrap();
    let ask = Ask { queues: vec![queue("q"), queue("a")], ..ask("agent") };
    let mut from = Vec::new();
    while let Some(lease) = store.dequeue(&ask, at(0)).await.unwrap() {
        from.push(lease.job.job.to_string());
    }
    assert_eq!(from, ["1-q", "1-a"]);
}

pub(crate) async fn a_job_waits_for_its_time(database: &Database) {
    let store = database.with_queue().await;
    push(&store, NewJob { process_after: Some(at(10)), ..new_job("", "later") }).await;
    push(&store, NewJob { process_after: Some(at(-10)), ..new_job("", "now ") }).await;
    assert_eq!(order(&store, at(9)).await, "now ");
    assert_eq!(order(&store, at(10)).await, "later");
}

pub(crate) async fn a_paused_queue_gives_nothing(database: &Database) {
    let store = database.with_queue().await;
    push_one(&store, "a").await;
    push_one(&store, "b").await;
    let running = take(&store).await;
    assert!(store.pause_queue(&queue("q"), true).await.unwrap());
    assert!(take_at(&store, at(0)).await.is_none());
    push_one(&store, "c").await;
    end(&store, &running, jobwright_model::AttemptEnd::Completed, at(1)).await;
    assert_eq!(state(&store, &running.job.job).await, QueuedState::Completed);
    assert!(store.queues(at(0)).await.unwrap()[0].paused);
    assert!(store.pause_queue(&queue("q"), false).await.unwrap());
    assert_eq!(order(&store, at(0)).await, "bc");
}

// covers: sourcegraph 24, 35
pub(crate) async fn a_token_is_good_for_its_attempt_only(database: &Database) {
    let store = database.with_rules(&QueueRules { max_retries: 5, ..QueueRules::default() }).await;
    push_one(&store, "a").await;
    let take_with = async |token: u8, when| {
        let ask = Ask { token: Some([token; 32]), ..ask("agent") };
        store.dequeue(&ask, when).await.unwrap().unwrap()
    };
    let owner = async |token: u8| store.attempt_of_token(&[token; 32]).await.unwrap();
    let first = take_with(1, at(0)).await;
    assert_eq!(owner(1).await, Some((first.token.clone(), "agent".to_owned())));
    assert_eq!(owner(2).await, None);
    end(&store, &first, errored(), at(1)).await;
    assert_eq!(owner(1).await, None);
    let second = take_with(2, at(100)).await;
    assert_eq!((owner(1).await, owner(2).await.unwrap().0.attempt), (None, 2));
    store.reset_stalled(at(200)).await.unwrap();
    assert_eq!(owner(2).await, None);
    assert_eq!(second.token.attempt, 2);
}

pub(crate) async fn rules_of_a_queue_can_be_changed(database: &Database) {
    let store = database.with_queue().await;
    push_one(&store, "a").await;
    let rules = QueueRules { max_retries: 7, stalled_after: seconds(3), ..QueueRules::default() };
    assert!(!store.create_queue(&queue("q"), &rules).await.unwrap());
    let summary = store.queues(at(0)).await.unwrap().remove(0);
    assert_eq!((summary.rules, summary.counts[0]), (rules, (QueuedState::Queued, 1)));
    assert_eq!(push_one(&store, "b").await.id, 2);
}
