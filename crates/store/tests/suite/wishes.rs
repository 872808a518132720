//! Cancelling and retrying.

use jobwright_model::{AttemptEnd, JobRef, NewJob, QueueRules, QueuedState};
use jobwright_store::Finished;

use crate::fixture::*;

// covers: sourcegraph 32
pub(crate) async fn a_job_that_waits_is_cancelled_at_once(database: &Database) {
    let store = database.with_rules(&QueueRules { max_retries: 1, ..QueueRules::default() }).await;
    let errs = push_one(&store, "errs").await;
    let lease = take(&store).await;
    end(&store, &lease, errored(), at(0)).await;
    let due = push_one(&store, "due").await;
    let later = push(&store, NewJob { process_after: Some(at(50)), ..new_job("", "later") }).await;
    push_one(&store, "stays").await;
    for job in [&errs, &due, &later] {
        assert_eq!(store.cancel(job, at(3)).await.unwrap(), Some(QueuedState::Canceled));
        let job = store.job(job).await.unwrap().unwrap();
        assert_eq!((job.state, job.finished_at, job.cancel), (QueuedState::Canceled, Some(at(3)), true));
    }
    assert_eq!(order(&store, at(1000)).await, "stays");
    assert_eq!(store.cancel(&JobRef::new(queue("q"), 77), at(0)).await.unwrap(), None);
}

// covers: sourcegraph 32
pub(crate) async fn a_job_that_runs_is_cancelled_through_its_holder(database: &Database) {
    let store = database.with_rules(&QueueRules { max_retries: 5, ..QueueRules::default() }).await;
    for end_as in [errored(), AttemptEnd::Failed("ended".to_owned())] {
        push_one(&store, "a").await;
        let lease = take(&store).await;
        assert_eq!(store.cancel(&lease.job.job, at(1)).await.unwrap(), Some(QueuedState::Processing));
        assert!(store.heartbeat(&[holds(&lease)], at(2)).await.unwrap()[0].cancel);
        assert_eq!(end(&store, &lease, end_as, at(3)).await, Finished::Now(QueuedState::Canceled));
        let kept = store.job(&lease.job.job).await.unwrap().unwrap();
        assert_eq!((kept.state, kept.failures), (QueuedState::Canceled, 0));
        let attempt = store.attempts(&lease.job.job).await.unwrap().remove(0);
        assert_eq!(attempt.state, QueuedState::Canceled);
    }
    assert_eq!(order(&store, at(1_000_000)).await, "");
}

pub(crate) async fn a_success_outruns_its_cancelling(database: &Database) {
    let store = database.with_queue().await;
    push_one(&store, "a").await;
    let lease = take(&store).await;
    store.cancel(&lease.job.job, at(1)).await.unwrap();
    let finished = end(&store, &lease, AttemptEnd::Completed, at(2)).await;
    assert_eq!(finished, Finished::Now(QueuedState::Completed));
}

pub(crate) async fn a_job_that_ended_cannot_be_cancelled(database: &Database) {
    let store = database.with_queue().await;
    push_one(&store, "a").await;
    let lease = take(&store).await;
    end(&store, &lease, AttemptEnd::Completed, at(1)).await;
    let before = store.job(&lease.job.job).await.unwrap();
    assert_eq!(store.cancel(&lease.job.job, at(2)).await.unwrap(), Some(QueuedState::Completed));
    assert_eq!(store.job(&lease.job.job).await.unwrap(), before);
}

pub(crate) async fn a_job_is_tried_as_if_it_never_was(database: &Database) {
    let store = database.with_rules(&QueueRules { max_retries: 1, ..QueueRules::default() }).await;
    let job = push_one(&store, "a").await;
    take(&store).await;
    store.reset_stalled(at(50)).await.unwrap();
    for now in [100, 200] {
        let lease = take_at(&store, at(now)).await.unwrap();
        end(&store, &lease, errored(), at(now)).await;
    }
    assert_eq!(store.retry(&job, at(300)).await.unwrap(), Some(QueuedState::Failed));
    let kept = store.job(&job).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.failures, kept.resets), (QueuedState::Queued, 0, 0));
    assert_eq!((kept.failure_message, kept.finished_at, kept.cancel), (None, None, false));
    let lease = take_at(&store, at(300)).await.unwrap();
    assert_eq!(lease.token.attempt, 4);
    assert_eq!(end(&store, &lease, errored(), at(300)).await, Finished::Now(QueuedState::Errored));
    store.cancel(&job, at(301)).await.unwrap();
    assert_eq!(store.retry(&job, at(302)).await.unwrap(), Some(QueuedState::Canceled));
    assert_eq!(take_at(&store, at(302)).await.unwrap().token.attempt, 5);
    assert_eq!(store.attempts(&job).await.unwrap().len(), 5);
}

pub(crate) async fn only_what_failed_or_was_cancelled_is_retried(database: &Database) {
    let store = database.with_queue().await;
    let job = push_one(&store, "a").await;
    assert_eq!(store.retry(&job, at(0)).await.unwrap(), Some(QueuedState::Queued));
    let lease = take(&store).await;
    assert_eq!(store.retry(&job, at(0)).await.unwrap(), Some(QueuedState::Processing));
    end(&store, &lease, AttemptEnd::Completed, at(1)).await;
    assert_eq!(store.retry(&job, at(0)).await.unwrap(), Some(QueuedState::Completed));
    assert_eq!(state(&store, &job).await, QueuedState::Completed);
    assert_eq!(store.retry(&JobRef::new(queue("q"), 9), at(0)).await.unwrap(), None);
}
