//! Signs of life, and what becomes of jobs of which none came.

use jobwright_model::{DIED_TOO_OFTEN, JobRef, QueueRules, QueuedState};
use jobwright_store::{Heard, Reset};

use crate::fixture::*;

// covers: sourcegraph 26-27
pub(crate) async fn a_heartbeat_tells_only_what_is_held(database: &Database) {
    let store = database.with_queue().await;
    for what in ["a", "b", "c"] {
        push_one(&store, what).await;
    }
    let first = take(&store).await;
    let other = store.dequeue(&ask("other"), at(0)).await.unwrap().unwrap();
    let third = JobRef::new(queue("q"), 3);
    let speakers = [
        named("agent", &third),
        named("agent", &other.job.job),
        named("agent", &first.job.job),
        holds(&other),
        named("agent", &first.job.job),
        named("agent", &JobRef::new(queue("nowhere"), 1)),
        named("agent", &JobRef::new(queue("q"), i64::MAX)),
    ];
    let heard = store.heartbeat(&speakers, at(5)).await.unwrap();
    let beat = |job: &JobRef| Heard { job: job.clone(), cancel: false };
    assert_eq!(heard, [beat(&other.job.job), beat(&first.job.job)]);
    assert_eq!(store.job(&first.job.job).await.unwrap().unwrap().heartbeat_at, Some(at(5)));
    assert_eq!(store.job(&third).await.unwrap().unwrap().heartbeat_at, None);
    assert!(store.heartbeat(&[], at(6)).await.unwrap().is_empty());
    assert_eq!(stale_writes(&store).await, 0);
}

// covers: sourcegraph 31, woodpecker 88 (a lease that ran out puts the job at the front, in a store that survives)
pub(crate) async fn a_job_that_is_silent_is_queued_again_at_the_front(database: &Database) {
    let store = database.with_queue().await;
    for what in ["a", "b", "c"] {
        push_one(&store, what).await;
    }
    let silent = take(&store).await;
    assert!(store.reset_stalled(at(24)).await.unwrap().is_empty());
    let reset = Reset { job: silent.job.job.clone(), attempt: 1, state: QueuedState::Queued };
    assert_eq!(store.reset_stalled(at(25)).await.unwrap(), [reset]);
    drop(store);
    let store = database.open().await;
    let kept = store.job(&silent.job.job).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.resets, kept.failures), (QueuedState::Queued, 1, 0));
    assert_eq!((kept.started_at, kept.failure_message), (None, None));
    let attempt = store.attempts(&silent.job.job).await.unwrap().remove(0);
    assert_eq!((attempt.state, attempt.finished_at), (QueuedState::Queued, Some(at(25))));
    assert!(store.reset_stalled(at(25)).await.unwrap().is_empty());
    assert_eq!(order(&store, at(26)).await, "abc");
}

pub(crate) async fn a_heartbeat_keeps_a_job(database: &Database) {
    let store = database.with_queue().await;
    push_one(&store, "a").await;
    let lease = take(&store).await;
    for beat in [20, 40, 60] {
        assert_eq!(store.heartbeat(&[holds(&lease)], at(beat)).await.unwrap().len(), 1);
        assert!(store.reset_stalled(at(beat + 24)).await.unwrap().is_empty());
    }
    assert_eq!(store.reset_stalled(at(85)).await.unwrap().len(), 1);
    assert!(store.heartbeat(&[holds(&lease)], at(86)).await.unwrap().is_empty());
}

// covers: sourcegraph 31
pub(crate) async fn a_job_that_stalls_too_often_fails(database: &Database) {
    let store = database.with_queue().await;
    let job = push_one(&store, "a").await;
    for reset in 1..=3 {
        take_at(&store, at(reset * 100)).await.unwrap();
        let resets = store.reset_stalled(at(reset * 100 + 50)).await.unwrap();
        assert_eq!(resets[0].state, QueuedState::Queued);
        assert_eq!(i64::from(store.job(&job).await.unwrap().unwrap().resets), reset);
    }
    take_at(&store, at(900)).await.unwrap();
    assert_eq!(store.reset_stalled(at(950)).await.unwrap()[0].state, QueuedState::Failed);
    let kept = store.job(&job).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.resets, kept.failures), (QueuedState::Failed, 3, 0));
    assert_eq!(kept.failure_message.as_deref(), Some(DIED_TOO_OFTEN));
    assert_eq!(kept.finished_at, Some(at(950)));
    assert!(take_at(&store, at(10_000)).await.is_none());
}

pub(crate) async fn a_job_that_was_to_be_cancelled_is_so_when_it_stalls(database: &Database) {
    let store = database.with_rules(&QueueRules { stalled_after: seconds(5), ..QueueRules::default() }).await;
    push_one(&store, "a").await;
    let lease = take(&store).await;
    store.cancel(&lease.job.job, at(1)).await.unwrap();
    assert_eq!(store.reset_stalled(at(5)).await.unwrap()[0].state, QueuedState::Canceled);
    let kept = store.job(&lease.job.job).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.resets, kept.finished_at), (QueuedState::Canceled, 0, Some(at(5))));
}

// covers: sourcegraph 27
pub(crate) async fn agents_are_known_by_what_they_say(database: &Database) {
    let store = database.open().await;
    let about = |version: &str| vec![("executorVersion".to_owned(), version.to_owned())];
    store.seen("b", &[queue("q")], &about("1"), at(0)).await.unwrap();
    store.seen("a", &[], &[], at(50)).await.unwrap();
    store.seen("b", &[queue("q"), queue("r")], &about("2"), at(100)).await.unwrap();
    let known = store.executors(at(0)).await.unwrap();
    let names: Vec<_> = known.iter().map(|executor| executor.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!((&known[1].queues, &known[1].about), (&vec![queue("q"), queue("r")], &about("2")));
    assert_eq!((known[1].first_seen, known[1].last_seen), (at(0), at(100)));
    assert_eq!(store.executors(at(51)).await.unwrap().len(), 1);
    store.seen("c", &[], &[], at(50 + 7 * 24 * 3600 + 1)).await.unwrap();
    let names: Vec<_> = store.executors(at(0)).await.unwrap().into_iter().map(|known| known.name).collect();
    assert_eq!(names, ["b", "c"]);
}
