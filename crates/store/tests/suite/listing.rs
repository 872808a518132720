//! Looking at queues and jobs, and removing what is over.

use jobwright_model::{AttemptEnd, JobRef, LogEntry, NewJob, QueueRules, QueuedState};
use jobwright_store::Filter;
use serde_json::json;

use crate::fixture::*;

pub(crate) async fn a_queue_tells_how_much_is_in_it(database: &Database) {
    let store = database.with_rules(&QueueRules { max_retries: 1, ..QueueRules::default() }).await;
    store.create_queue(&queue("empty"), &QueueRules::default()).await.unwrap();
    for end_as in [AttemptEnd::Completed, errored(), AttemptEnd::Failed("x".to_owned())] {
        push_one(&store, "a").await;
        let lease = take(&store).await;
        end(&store, &lease, end_as, at(1)).await;
    }
    let canceled = push_one(&store, "b").await;
    store.cancel(&canceled, at(2)).await.unwrap();
    push_one(&store, "c").await;
    take(&store).await;
    push(&store, NewJob { process_after: Some(at(5)), ..new_job("", "d") }).await;
    store.push(vec![new_job("", "e")], at(7)).await.unwrap();
    let oldest = async |now| store.queues(at(now)).await.unwrap()[1].oldest_due;
    assert_eq!((oldest(4).await, oldest(5).await, oldest(50).await), (Some(at(7)), Some(at(5)), Some(at(5))));
    let summaries = store.queues(at(20)).await.unwrap();
    let names: Vec<_> = summaries.iter().map(|summary| summary.queue.as_str()).collect();
    assert_eq!(names, ["empty", "q"]);
    let counts: Vec<_> =
        summaries[1].counts.iter().map(|(state, count)| format!("{state} {count}")).collect();
    let expected = ["queued 2", "processing 1", "completed 1", "errored 1", "failed 1", "canceled 1"];
    assert_eq!(counts, expected);
    assert_eq!(summaries[0].counts.iter().map(|(_, count)| count).sum::<u64>(), 0);
    assert_eq!((summaries[0].oldest_due, summaries[0].counts.len()), (None, 6));
}

pub(crate) async fn a_job_is_due_when_it_is_pushed_at_the_earliest(database: &Database) {
    let store = database.with_queue().await;
    push(&store, NewJob { process_after: Some(at(-50)), ..new_job("", "a") }).await;
    assert_eq!(store.queues(at(1)).await.unwrap()[0].oldest_due, Some(at(0)));
}

async fn names(store: &Store, filter: Filter) -> String {
    let jobs = store.jobs(&filter).await.unwrap();
    jobs.iter().map(|job| job.job.to_string()).collect::<Vec<_>>().join(" ")
}

pub(crate) async fn jobs_are_listed_by_queue_the_latest_first(database: &Database) {
    let store = database.with_queue().await;
    store.create_queue(&queue("a"), &QueueRules::default()).await.unwrap();
    for tenant in ["x", "y", "x"] {
        push(&store, new_job(tenant, "what")).await;
    }
    store.push(vec![NewJob::new(queue("a"), json!(1))], at(0)).await.unwrap();
    take(&store).await;
    store.cancel(&JobRef::new(queue("q"), 3), at(0)).await.unwrap();
    let all = Filter::default();
    assert_eq!(names(&store, all.clone()).await, "1-a 3-q 2-q 1-q");
    assert_eq!(names(&store, Filter { queue: Some(queue("q")), ..all.clone() }).await, "3-q 2-q 1-q");
    assert_eq!(names(&store, Filter { tenant: Some("x".to_owned()), ..all.clone() }).await, "3-q 1-q");
    let states = vec![QueuedState::Queued, QueuedState::Canceled];
    assert_eq!(names(&store, Filter { states: states.clone(), ..all.clone() }).await, "1-a 3-q 2-q");
    let both = Filter { states, tenant: Some("x".to_owned()), limit: 5, ..all.clone() };
    assert_eq!(names(&store, both).await, "3-q");
    assert_eq!(names(&store, Filter { queue: Some(queue("nowhere")), ..all }).await, "");
}

pub(crate) async fn jobs_are_listed_page_by_page(database: &Database) {
    let store = database.with_queue().await;
    store.create_queue(&queue("p"), &QueueRules::default()).await.unwrap();
    let jobs = ["q", "p"].map(|name| vec![NewJob::new(queue(name), json!(name)); 700]).concat();
    store.push(jobs, at(0)).await.unwrap();
    let (mut pages, mut seen, mut after) = (0, Vec::new(), None);
    loop {
        let page = store.jobs(&Filter { after: after.clone(), ..Filter::default() }).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.job.clone());
        seen.extend(page.iter().map(|job| job.job.clone()));
        pages += 1;
    }
    let expected = ["p", "q"].map(|name| (1..=700).rev().map(move |id| JobRef::new(queue(name), id)));
    assert_eq!((pages, seen), (2, expected.into_iter().flatten().collect()));
    let three = Filter { limit: 3, after: Some(JobRef::new(queue("p"), 2)), ..Filter::default() };
    assert_eq!(names(&store, three).await, "1-p 700-q 699-q");
}

pub(crate) async fn what_ended_long_ago_is_removed(database: &Database) {
    let store = database.with_rules(&QueueRules { max_retries: 1, ..QueueRules::default() }).await;
    let log = LogEntry {
        key: "k".to_owned(),
        command: None,
        started_at: at(0),
        exit_code: None,
        out: "text".to_owned(),
        duration: None,
    };
    let mut tokens = Vec::new();
    for (end_as, when) in
        [(AttemptEnd::Completed, 1), (errored(), 2), (errored(), 3), (AttemptEnd::Completed, 9)]
    {
        push_one(&store, "a").await;
        let lease = take(&store).await;
        store.add_log(&holds(&lease), &log, at(0)).await.unwrap();
        end(&store, &lease, end_as, at(when)).await;
        tokens.push(lease.token);
    }
    let waits = push_one(&store, "b").await;
    store.cancel(&tokens[1].job, at(4)).await.unwrap();
    assert_eq!(store.prune(&queue("q"), at(1)).await.unwrap(), 0);
    assert_eq!(store.prune(&queue("q"), at(9)).await.unwrap(), 2);
    assert_eq!(names(&store, Filter::default()).await, "5-q 4-q 3-q");
    assert!(store.logs(&tokens[0], 1, 0).await.unwrap().is_empty());
    assert!(store.attempts(&tokens[0].job).await.unwrap().is_empty());
    assert_eq!(store.logs(&tokens[3], 1, 0).await.unwrap().len(), 1);
    assert_eq!((store.prune(&queue("nowhere"), at(9)).await.unwrap(), waits.id), (0, 5));
    assert_eq!(push_one(&store, "c").await.id, 6);
}

pub(crate) async fn changes_are_told(database: &Database) {
    let store = database.with_queue().await;
    let mut changes = store.changes();
    changes.borrow_and_update();
    push_one(&store, "a").await;
    tokio::time::timeout(seconds(30), changes.changed()).await.expect("a push is told").unwrap();
    let lease = take(&store).await;
    changes.borrow_and_update();
    store.cancel(&lease.job.job, at(0)).await.unwrap();
    tokio::time::timeout(seconds(30), changes.changed()).await.expect("a wish is told").unwrap();
}
