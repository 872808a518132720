//! Many at once, from one instance and from several over one database.

use std::collections::BTreeSet;

use jobwright_model::{AttemptEnd, JobRef, NewJob, QueueRules, QueuedState};
use jobwright_store::{Ask, Error, Finished};
use serde_json::json;
use tokio::task::JoinSet;

use crate::fixture::*;

// covers: sourcegraph 18
pub(crate) async fn two_instances_never_give_one_job_twice(database: &Database) {
    let stores = [database.with_queue().await, database.open().await];
    let tenants = ["a", "b", "c"];
    let jobs = (0..300).map(|number| new_job(tenants[number % 3], "x")).collect();
    stores[0].push(jobs, at(0)).await.unwrap();
    let mut takers = JoinSet::new();
    for number in 0..16 {
        let store = stores[number % 2].clone();
        takers.spawn(async move {
            let mut taken = Vec::new();
            while let Some(lease) = store.dequeue(&ask(&format!("agent-{number}")), at(0)).await.unwrap() {
                let finished = end(&store, &lease, AttemptEnd::Completed, at(1)).await;
                assert_eq!(finished, Finished::Now(QueuedState::Completed));
                taken.push(lease.job.job.id);
            }
            taken
        });
    }
    let taken = takers.join_all().await.concat();
    assert_eq!(taken.len(), 300);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), (1..=300).collect());
    assert_eq!(stale_writes(&stores[0]).await, 0);
}

pub(crate) async fn many_at_once_each_get_their_own_answer(database: &Database) {
    let store = database.with_queue().await;
    let mut pushers = JoinSet::new();
    for number in 0..200 {
        let store = store.clone();
        pushers.spawn(async move { (push(&store, new_job("", &format!("{number}"))).await, number) });
    }
    for (job, number) in pushers.join_all().await {
        let kept = store.job(&job).await.unwrap().unwrap();
        assert_eq!(kept.payload, json!(format!("{number}")));
    }
    assert_eq!(store.queues(at(0)).await.unwrap()[0].counts[0], (QueuedState::Queued, 200));
}

// covers: woodpecker 88 (what waits survives in its store)
pub(crate) async fn what_was_said_is_there_after_reopening(database: &Database) {
    let store = database.with_queue().await;
    push_one(&store, "a").await;
    push_one(&store, "b").await;
    let lease = take(&store).await;
    drop(store);
    let store = database.open().await;
    assert_eq!(store.job(&lease.job.job).await.unwrap().unwrap(), lease.job);
    let finished = end(&store, &lease, AttemptEnd::Completed, at(1)).await;
    assert_eq!(finished, Finished::Now(QueuedState::Completed));
    assert_eq!(order(&store, at(1)).await, "b");
}

pub(crate) async fn of_many_who_end_one_attempt_one_does(database: &Database) {
    let store = database.with_queue().await;
    for _ in 0..5 {
        push_one(&store, "a").await;
        let lease = take(&store).await;
        let mut enders = JoinSet::new();
        for _ in 0..12 {
            let (store, lease) = (store.clone(), lease.clone());
            enders.spawn(async move { end(&store, &lease, AttemptEnd::Completed, at(1)).await });
        }
        let finished = enders.join_all().await;
        let did = finished.iter().filter(|finished| **finished != Finished::Stale).count();
        assert_eq!(did, 1, "{finished:?}");
    }
    assert_eq!(stale_writes(&store).await, 55);
}

pub(crate) async fn jobs_whose_time_has_come_are_given_to_many_at_once(database: &Database) {
    let store = database.with_queue().await;
    for tenant in ["a", "b", "a", "c"] {
        push(&store, NewJob { process_after: Some(at(5)), ..new_job(tenant, "x") }).await;
    }
    let mut takers = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        takers.spawn(async move { take_at(&store, at(5)).await.map(|lease| lease.job.job.id) });
    }
    let given: BTreeSet<_> = takers.join_all().await.into_iter().flatten().collect();
    assert_eq!(given, (1..=4).collect());
}

pub(crate) async fn one_that_fails_takes_nothing_of_the_others_with_it(database: &Database) {
    let store = database.with_queue().await;
    let mut pushers = JoinSet::new();
    for number in 0..60 {
        let store = store.clone();
        pushers.spawn(async move {
            let name = if number % 3 == 0 { "nowhere" } else { "q" };
            // What is refused comes after something that is not, so that there is something to take back.
            let jobs = vec![new_job("", "x"), NewJob::new(queue(name), json!(number))];
            store.push(jobs, at(0)).await
        });
    }
    let (mut pushed, mut refused) = (BTreeSet::new(), 0);
    for answer in pushers.join_all().await {
        match answer {
            Ok(jobs) => pushed.extend(jobs),
            Err(error) => {
                assert!(matches!(error, Error::NoQueue(_)), "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!((pushed.len(), refused), (80, 20));
    assert_eq!(pushed, (1..=80).map(|id| JobRef::new(queue("q"), id)).collect());
    let mut given = 0;
    while take_at(&store, at(0)).await.is_some() {
        given += 1;
    }
    assert_eq!(given, 80);
}

pub(crate) async fn instances_that_cross_each_other_do_not_wait_forever(database: &Database) {
    let stores = [database.open().await, database.open().await];
    let names = ["a", "b", "c"];
    let mut tasks = JoinSet::new();
    for number in 0..24_usize {
        let store = stores[number % 2].clone();
        tasks.spawn(async move {
            for round in 0..8_usize {
                let mut queues = names.map(queue).to_vec();
                queues.rotate_left((number + round) % 3);
                if number % 4 < 2 {
                    queues.reverse();
                }
                let agent = format!("agent-{}", (number + round) % 5);
                for queue in &queues {
                    store.create_queue(queue, &QueueRules::default()).await.unwrap();
                }
                store.seen(&agent, &queues, &[], at(0)).await.unwrap();
                let jobs = queues.iter().map(|queue| NewJob::new(queue.clone(), json!(number)));
                store.push(jobs.collect(), at(0)).await.unwrap();
                let ask = Ask { queues, ..ask(&agent) };
                let lease = store.dequeue(&ask, at(0)).await.unwrap().unwrap();
                store.cancel(&lease.job.job, at(0)).await.unwrap();
                store.reset_stalled(at(1)).await.unwrap();
                assert_eq!(store.heartbeat(&[holds(&lease)], at(1)).await.unwrap().len(), 1);
                end(&store, &lease, AttemptEnd::Completed, at(2)).await;
            }
        });
    }
    tokio::time::timeout(seconds(120), tasks.join_all()).await.expect("nobody waits for each other");
    let summaries = stores[0].queues(at(0)).await.unwrap();
    let of = |state| summaries.iter().flat_map(|queue| &queue.counts).filter(move |(is, _)| *is == state);
    let total = |state| of(state).map(|(_, count)| count).sum::<u64>();
    assert_eq!((total(QueuedState::Completed), total(QueuedState::Queued)), (192, 384));
}

pub(crate) async fn changes_of_another_instance_are_told(database: &Database) {
    let (store, other) = (database.with_queue().await, database.open().await);
    let mut changes = other.changes();
    // What came before is told by now, or counts as well.
    tokio::time::timeout(seconds(30), async {
        loop {
            changes.borrow_and_update();
            let number = push_one(&store, "a").await.id;
            changes.changed().await.unwrap();
            if number > 3 {
                return;
            }
        }
    })
    .await
    .expect("pushes of another instance are told");
}
