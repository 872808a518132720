//! Asked by the real client.

use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use jobwright_client::{JobLogEvent, JobsFilter};
use jobwright_model::{
    AttemptEnd, JobRef, LogEndEvent, LogEntry, PushRequest, QueueRules, QueuedState, Speaker,
};
use serde_json::json;

use crate::queue::support::{Desk, name, payload};
use crate::support::House;

fn request() -> PushRequest {
    PushRequest { payload: payload(), tenant: "t".into(), priority: 2, process_after: None }
}

#[tokio::test]
async fn the_client_has_a_call_for_each_route() {
    let desk = Desk::open().await;
    let queue = name("builds");
    for client in [desk.house.tcp_client.queues(), desk.house.unix_client.queues()] {
        let rules = QueueRules { max_retries: 2, ..QueueRules::default() };
        assert_eq!(client.put(&queue, &rules).await.unwrap().rules, rules);
        client.pause(&queue).await.unwrap();
        let listed = client.list().await.unwrap();
        assert!(listed.iter().any(|info| info.queue == queue && info.paused && info.rules == rules));
        client.resume(&queue).await.unwrap();
        let pushed = client.push(&queue, &[request(), request()]).await.unwrap();
        let job = JobRef::parse(&pushed[1]).unwrap().unwrap();
        assert_eq!(client.cancel(&job).await.unwrap(), QueuedState::Canceled);
        let filter = JobsFilter {
            states: vec![QueuedState::Canceled],
            tenant: Some("t".into()),
            limit: Some(1),
            after: None,
        };
        let page = client.jobs(&queue, &filter).await.unwrap();
        assert_eq!((page.jobs[0].id, page.next), (job.id, Some(job.id)));
        let after = JobsFilter { after: Some(1), ..JobsFilter::default() };
        assert_eq!(client.jobs(&queue, &after).await.unwrap().jobs, []);
        assert_eq!(client.retry(&job).await.unwrap(), QueuedState::Queued);
        let details = client.job(&job).await.unwrap();
        assert_eq!(
            (details.job.state, details.job.priority, details.attempts.len()),
            (QueuedState::Queued, 2, 0)
        );
    }
}

#[tokio::test]
async fn the_client_follows_a_log_and_is_told_why_it_cannot() {
    let desk = Desk::open().await;
    desk.taken("e").await;
    let job = JobRef::new(name("batches"), 1);
    let client = desk.house.tcp_client.queues();
    let mut log = client.logs(&job, None, true).await.unwrap();
    let speaker = Speaker::Holder { name: "e".into(), job: job.clone() };
    let now = Timestamp::now();
    let entry = LogEntry {
        key: "k".into(),
        command: None,
        started_at: now,
        exit_code: Some(0),
        out: "x".into(),
        duration: None,
    };
    desk.store.add_log(&speaker, &entry, now).await.unwrap();
    let JobLogEvent::Entry(begun) = log.next().await.unwrap().unwrap() else {
        panic!("an entry comes first")
    };
    assert_eq!((begun.entry, begun.key.as_str(), begun.command), (1, "k", None));
    desk.store.finish(&speaker, &AttemptEnd::Completed, now).await.unwrap();
    let rest: Vec<_> = log.try_collect().await.unwrap();
    let end = LogEndEvent { attempt: 1, state: QueuedState::Completed };
    assert_eq!(rest.len(), 3);
    assert_eq!(rest[2], JobLogEvent::End(end));
    for (job, attempt, code) in
        [(&job, Some(2), "no_attempt"), (&JobRef::new(name("batches"), 9), None, "no_job")]
    {
        let error = client.logs(job, attempt, false).await.err().unwrap();
        assert_eq!(error.code(), Some(code));
    }
    let wrong = PushRequest { payload: json!({}), ..request() };
    assert_eq!(client.push(&name("batches"), &[wrong]).await.unwrap_err().code(), Some("invalid"));
    let house = House::open().await;
    assert_eq!(house.unix_client.queues().list().await.unwrap_err().code(), Some("no_queues"));
}
