//! How attempts end, and what becomes of their jobs.

use jobwright_model::{AttemptEnd, AttemptToken, JobRef, QueueRules, QueuedState, Speaker};
use jobwright_store::Finished;

use crate::fixture::*;

// covers: sourcegraph 24
pub(crate) async fn a_success_completes_a_job(database: &Database) {
    let store = database.with_queue().await;
    let job = push_one(&store, "a").await;
    take(&store).await;
    let finished = store.finish(&named("agent", &job), &AttemptEnd::Completed, at(5)).await.unwrap();
    assert_eq!(finished, Finished::Now(QueuedState::Completed));
    let job = store.job(&job).await.unwrap().unwrap();
    assert_eq!((job.state, job.finished_at, job.failures), (QueuedState::Completed, Some(at(5)), 0));
    let attempt = store.attempts(&job.job).await.unwrap().remove(0);
    assert_eq!((attempt.state, attempt.finished_at), (QueuedState::Completed, Some(at(5))));
    assert_eq!(attempt.failure_message, None);
}

// covers: sourcegraph 25
pub(crate) async fn an_error_is_tried_again_after_its_back_off(database: &Database) {
    let rules = QueueRules {
        max_retries: 3,
        retry_after: seconds(10),
        retry_at_most: seconds(30),
        ..QueueRules::default()
    };
    let store = database.with_rules(&rules).await;
    let job = push_one(&store, "a").await;
    let mut now = 0;
    for (failures, back_off) in [(1, 10), (2, 20), (3, 30)] {
        let lease = take_at(&store, at(now)).await.unwrap();
        assert_eq!(lease.token.attempt, failures);
        assert_eq!(end(&store, &lease, errored(), at(now)).await, Finished::Now(QueuedState::Errored));
        let kept = store.job(&job).await.unwrap().unwrap();
        assert_eq!((kept.state, kept.failures), (QueuedState::Errored, failures));
        assert_eq!(kept.failure_message.as_deref(), Some("broken"));
        assert!(take_at(&store, at(now + back_off - 1)).await.is_none());
        now += back_off;
    }
    let lease = take_at(&store, at(now)).await.unwrap();
    assert_eq!(end(&store, &lease, errored(), at(now)).await, Finished::Now(QueuedState::Failed));
    assert!(take_at(&store, at(now + 1_000_000)).await.is_none());
    let states: Vec<_> = store.attempts(&job).await.unwrap().iter().map(|attempt| attempt.state).collect();
    let [errored, failed] = [QueuedState::Errored, QueuedState::Failed];
    assert_eq!(states, [errored, errored, errored, failed]);
}

// covers: sourcegraph 25
pub(crate) async fn the_last_error_fails_a_job(database: &Database) {
    let store = database.with_queue().await;
    let job = push_one(&store, "a").await;
    let lease = take(&store).await;
    assert_eq!(end(&store, &lease, errored(), at(1)).await, Finished::Now(QueuedState::Failed));
    let job = store.job(&job).await.unwrap().unwrap();
    assert_eq!((job.failures, job.failure_message.as_deref()), (1, Some("broken")));
}

// covers: sourcegraph 25
pub(crate) async fn a_failure_is_never_tried_again(database: &Database) {
    let store = database.with_rules(&QueueRules { max_retries: 9, ..QueueRules::default() }).await;
    push_one(&store, "a").await;
    let lease = take(&store).await;
    let finished = end(&store, &lease, AttemptEnd::Failed("no".to_owned()), at(1)).await;
    assert_eq!(finished, Finished::Now(QueuedState::Failed));
    assert!(take_at(&store, at(1_000_000)).await.is_none());
}

// covers: sourcegraph 23
pub(crate) async fn who_does_not_hold_a_job_cannot_end_it(database: &Database) {
    let store = database.with_queue().await;
    let job = push_one(&store, "a").await;
    let nobody = [
        named("agent", &job),
        Speaker::Attempt(AttemptToken { job: job.clone(), attempt: 0 }),
        named("agent", &JobRef::new(queue("q"), 99)),
        named("agent", &JobRef::new(queue("nowhere"), 1)),
    ];
    for speaker in &nobody {
        let finished = store.finish(speaker, &AttemptEnd::Completed, at(1)).await.unwrap();
        assert_eq!(finished, Finished::Stale, "{speaker:?}");
    }
    assert_eq!((stale_writes(&store).await, state(&store, &job).await), (3, QueuedState::Queued));
    let lease = take(&store).await;
    let before = store.job(&job).await.unwrap();
    for speaker in
        [named("other", &job), Speaker::Attempt(AttemptToken { attempt: 2, ..lease.token.clone() })]
    {
        let finished = store.finish(&speaker, &errored(), at(1)).await.unwrap();
        assert_eq!(finished, Finished::Stale, "{speaker:?}");
    }
    assert_eq!((store.job(&job).await.unwrap(), stale_writes(&store).await), (before, 5));
}

// covers: sourcegraph 23
pub(crate) async fn an_attempt_ends_once(database: &Database) {
    let store = database.with_queue().await;
    push_one(&store, "a").await;
    let lease = take(&store).await;
    end(&store, &lease, AttemptEnd::Completed, at(1)).await;
    let kept = store.job(&lease.job.job).await.unwrap();
    assert_eq!(end(&store, &lease, errored(), at(2)).await, Finished::Stale);
    let by_name = store.finish(&named("agent", &lease.job.job), &errored(), at(2)).await.unwrap();
    assert_eq!((by_name, store.job(&lease.job.job).await.unwrap()), (Finished::Stale, kept));
    assert_eq!(stale_writes(&store).await, 2);
}

pub(crate) async fn a_stale_attempt_cannot_end_the_next_one(database: &Database) {
    let store = database.with_queue().await;
    push_one(&store, "a").await;
    let first = take(&store).await;
    store.reset_stalled(at(60)).await.unwrap();
    let second = take_at(&store, at(60)).await.unwrap();
    assert_eq!((first.token.attempt, second.token.attempt), (1, 2));
    assert_eq!(end(&store, &first, AttemptEnd::Completed, at(61)).await, Finished::Stale);
    assert_eq!(state(&store, &first.job.job).await, QueuedState::Processing);
    let finished = end(&store, &second, AttemptEnd::Completed, at(62)).await;
    assert_eq!(finished, Finished::Now(QueuedState::Completed));
}
