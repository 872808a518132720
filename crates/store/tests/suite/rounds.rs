//! Whose turn it is.

use jobwright_model::{AttemptEnd, NewJob};

use crate::fixture::*;

/// Pushes jobs that say their tenant and their number among these: `a1`.
async fn push_all(store: &Store, tenants: &str) {
    let jobs = tenants.split_whitespace().map(|word| new_job(&word[..1], &format!("{word} ")));
    store.push(jobs.collect(), at(0)).await.unwrap();
}

pub(crate) async fn a_higher_priority_comes_first(database: &Database) {
    let store = database.with_queue().await;
    for (priority, what) in [(0, "c"), (-5, "d"), (i32::MAX, "a"), (7, "b"), (i32::MIN, "e")] {
        push(&store, NewJob { priority, ..new_job(what, what) }).await;
    }
    assert_eq!(order(&store, at(0)).await, "abcde");
}

pub(crate) async fn the_oldest_of_a_tenant_comes_first(database: &Database) {
    let store = database.with_queue().await;
    push_all(&store, "a1 a2 a3 a4 a5 a6 a7 a8 a9").await;
    assert_eq!(order(&store, at(0)).await, "a1 a2 a3 a4 a5 a6 a7 a8 a9 ");
}

pub(crate) async fn tenants_have_their_turns_by_rounds(database: &Database) {
    let store = database.with_queue().await;
    push_all(&store, "b1 b2 b3 b4 a1 a2 c1").await;
    assert_eq!(order(&store, at(0)).await, "b1 a1 c1 b2 a2 b3 b4 ");
}

pub(crate) async fn a_tenant_that_comes_late_waits_one_round_at_most(database: &Database) {
    let store = database.with_queue().await;
    let many: Vec<_> = (0..300).map(|number| new_job("busy", &format!("{number} "))).collect();
    store.push(many, at(0)).await.unwrap();
    for _ in 0..100 {
        take(&store).await;
    }
    push_all(&store, "a1 a2").await;
    let first: Vec<_> = order(&store, at(0)).await.split_whitespace().take(4).map(str::to_owned).collect();
    assert_eq!(first, ["100", "a1", "101", "a2"]);
}

pub(crate) async fn a_tenant_that_comes_again_and_again_does_not_starve_another(database: &Database) {
    let store = database.with_queue().await;
    push_all(&store, "z1 z2 z3").await;
    let mut order = String::new();
    for number in 0..8 {
        push_all(&store, &format!("a{number}")).await;
        order += take(&store).await.job.payload.as_str().unwrap();
    }
    assert_eq!(order, "z1 a0 z2 a1 z3 a2 a3 a4 ");
}

pub(crate) async fn jobs_that_waited_for_their_time_take_turns_too(database: &Database) {
    let store = database.with_queue().await;
    for what in ["a1 ", "a2 ", "a3 "] {
        push(&store, NewJob { process_after: Some(at(10)), ..new_job("a", what) }).await;
    }
    push_all(&store, "b1 b2 b3").await;
    assert_eq!(take(&store).await.job.payload, "b1 ");
    assert_eq!(order(&store, at(10)).await, "b2 a1 b3 a2 a3 ");
}

pub(crate) async fn priorities_have_rounds_of_their_own(database: &Database) {
    let store = database.with_queue().await;
    push_all(&store, "a1 a2 a3").await;
    for number in 0..20 {
        push(&store, NewJob { priority: 1, ..new_job("a", "urgent") }).await;
        let urgent = take(&store).await;
        assert_eq!(urgent.job.payload, "urgent", "{number}");
        end(&store, &urgent, AttemptEnd::Completed, at(0)).await;
    }
    push_all(&store, "b1 b2").await;
    assert_eq!(order(&store, at(0)).await, "a1 b1 a2 b2 a3 ");
}
