//! Random sequences of calls, held against a model of the rules, and random changes of a log against a text.

use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use jobwright_model::{
    AttemptEnd, AttemptToken, JobRef, LogEntry, LogOut, NewJob, QueueName, QueueRules, QueuedJob, Speaker,
};
use jobwright_store::{Ask, Filter, Finished, Heard, LogUpdate};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::fixture::*;
use crate::model::{self, Model, Who};

const HOLDERS: [&str; 3] = ["x", "y", "z"];
const TENANTS: [&str; 4] = ["", "a", "b", "a'"];

/// A call. Jobs are named by their number, which may be one that is not there.
#[derive(Debug, Clone)]
enum Call {
    Push {
        tenant: usize,
        priority: i32,
        delay: Option<i64>,
    },
    Dequeue {
        holder: usize,
    },
    Finish {
        id: i64,
        who: Who,
        end: AttemptEnd,
    },
    /// The attempt that is given there, whatever it is.
    FinishLatest {
        id: i64,
        end: AttemptEnd,
    },
    Heartbeat {
        ids: Vec<i64>,
        holder: usize,
    },
    Wait {
        seconds: i64,
    },
    Reset,
    Cancel {
        id: i64,
    },
    Retry {
        id: i64,
    },
    Pause {
        paused: bool,
    },
    Prune {
        age: i64,
    },
}

fn end_strategy() -> impl Strategy<Value = AttemptEnd> {
    prop_oneof![
        Just(AttemptEnd::Completed),
        Just(AttemptEnd::Errored("e'".to_owned())),
        Just(AttemptEnd::Errored("e2".to_owned())),
        Just(AttemptEnd::Failed("f\0".to_owned())),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let id = || 1..12_i64;
    let who = prop_oneof![
        (0..4_u32).prop_map(Who::Attempt),
        (0..HOLDERS.len()).prop_map(|holder| Who::Holder(HOLDERS[holder].to_owned())),
    ];
    prop_oneof![
        6 => (0..TENANTS.len(), -1..2_i32, prop::option::weighted(0.3, -5..40_i64))
            .prop_map(|(tenant, priority, delay)| Call::Push { tenant, priority, delay }),
        8 => (0..HOLDERS.len()).prop_map(|holder| Call::Dequeue { holder }),
        2 => (id(), who, end_strategy()).prop_map(|(id, who, end)| Call::Finish { id, who, end }),
        5 => (id(), end_strategy()).prop_map(|(id, end)| Call::FinishLatest { id, end }),
        2 => (prop::collection::vec(id(), 0..5), 0..HOLDERS.len())
            .prop_map(|(ids, holder)| Call::Heartbeat { ids, holder }),
        4 => (0..30_i64).prop_map(|seconds| Call::Wait { seconds }),
        2 => Just(Call::Reset),
        2 => id().prop_map(|id| Call::Cancel { id }),
        2 => id().prop_map(|id| Call::Retry { id }),
        1 => any::<bool>().prop_map(|paused| Call::Pause { paused }),
        1 => (0..100_i64).prop_map(|age| Call::Prune { age }),
    ]
}

/// A queue of its own in a database that many cases share.
struct Case<'a> {
    store: &'a Store,
    queue: QueueName,
    model: Model,
    now: Timestamp,
}

impl Case<'_> {
    fn job(&self, id: i64) -> JobRef {
        JobRef::new(self.queue.clone(), id)
    }

    fn speaker(&self, id: i64, who: &Who) -> Speaker {
        match who {
            Who::Attempt(attempt) => Speaker::Attempt(AttemptToken { job: self.job(id), attempt: *attempt }),
            Who::Holder(name) => named(name, &self.job(id)),
        }
    }

    async fn make(&mut self, call: &Call) {
        let (store, now) = (self.store, self.now);
        match call {
            Call::Push { tenant, priority, delay } => {
                let process_after = delay.map(|delay| now + jiff::SignedDuration::from_secs(delay));
                let job = NewJob {
                    queue: self.queue.clone(),
                    tenant: TENANTS[*tenant].to_owned(),
                    priority: *priority,
                    process_after,
                    payload: json!(null),
                };
                let pushed = store.push(vec![job], now).await.unwrap();
                let id = self.model.push(TENANTS[*tenant], *priority, process_after, now);
                assert_eq!(pushed, [self.job(id)]);
            }
            Call::Dequeue { holder } => {
                let holder = HOLDERS[*holder];
                let ask = Ask { queues: vec![self.queue.clone()], holder: holder.to_owned(), token: None };
                let given = store.dequeue(&ask, now).await.unwrap().map(|lease| lease.token);
                let id = self.model.dequeue(holder, now);
                let attempt = |id: i64| self.model.jobs[&id].attempt;
                assert_eq!(given, id.map(|id| AttemptToken { job: self.job(id), attempt: attempt(id) }));
            }
            Call::Finish { id, who, end } => self.finish(*id, who, end).await,
            Call::FinishLatest { id, end } => {
                let attempt = self.model.jobs.get(id).map_or(1, |job| job.attempt);
                self.finish(*id, &Who::Attempt(attempt), end).await;
            }
            Call::Heartbeat { ids, holder } => self.beat(ids, HOLDERS[*holder]).await,
            Call::Wait { seconds } => self.now = now + jiff::SignedDuration::from_secs(*seconds),
            Call::Reset => {
                let resets = store.reset_stalled(now).await.unwrap().into_iter();
                let ours = resets.filter(|reset| reset.job.queue == self.queue);
                let ours: Vec<_> = ours.map(|reset| (reset.job.id, reset.attempt, reset.state)).collect();
                assert_eq!(ours, self.model.reset_stalled(now));
            }
            Call::Cancel { id } => {
                let state = store.cancel(&self.job(*id), now).await.unwrap();
                assert_eq!(state, self.model.cancel(*id, now));
            }
            Call::Retry { id } => {
                let state = store.retry(&self.job(*id), now).await.unwrap();
                assert_eq!(state, self.model.retry(*id, now));
            }
            Call::Pause { paused } => {
                assert!(store.pause_queue(&self.queue, *paused).await.unwrap());
                self.model.paused = *paused;
            }
            Call::Prune { age } => {
                let before = now - jiff::SignedDuration::from_secs(*age);
                assert_eq!(store.prune(&self.queue, before).await.unwrap(), self.model.prune(before));
            }
        }
    }

    async fn finish(&mut self, id: i64, who: &Who, end: &AttemptEnd) {
        let finished = self.store.finish(&self.speaker(id, who), end, self.now).await.unwrap();
        let expected = self.model.finish(id, who, end, self.now);
        assert_eq!(finished, expected.map_or(Finished::Stale, Finished::Now));
    }

    async fn beat(&mut self, ids: &[i64], holder: &str) {
        let who = Who::Holder(holder.to_owned());
        let speakers: Vec<_> = ids.iter().map(|id| self.speaker(*id, &who)).collect();
        let heard = self.store.heartbeat(&speakers, self.now).await.unwrap();
        let mut expected = Vec::new();
        for id in ids {
            let heard = self.model.heartbeat(*id, &who, self.now);
            let heard = heard.map(|cancel| Heard { job: self.job(*id), cancel });
            expected.extend(heard.filter(|heard| !expected.contains(heard)));
        }
        assert_eq!(heard, expected);
    }

    async fn compare(&self) {
        let mut filter = Filter { queue: Some(self.queue.clone()), ..Filter::default() };
        filter.limit = 1000;
        let mut kept = self.store.jobs(&filter).await.unwrap();
        kept.reverse();
        let kept: Vec<_> = kept.into_iter().map(|job| (job.job.id, told(job))).collect();
        let expected: Vec<_> = self.model.jobs.iter().map(|(id, job)| (*id, job.clone())).collect();
        assert_eq!(kept, expected);
        let summaries = self.store.queues(self.now).await.unwrap();
        let summary = summaries.iter().find(|summary| summary.queue == self.queue).unwrap();
        assert_eq!((summary.stale_writes, summary.paused), (self.model.stale, self.model.paused));
        for (state, count) in &summary.counts {
            let expected = self.model.jobs.values().filter(|job| job.state == *state).count();
            assert_eq!(*count, expected as u64, "{state}");
        }
    }
}

fn told(job: QueuedJob) -> model::Job {
    model::Job {
        state: job.state,
        tenant: job.tenant,
        priority: job.priority,
        process_after: job.process_after,
        started_at: job.started_at,
        heartbeat_at: job.heartbeat_at,
        finished_at: job.finished_at,
        message: job.failure_message,
        resets: job.resets,
        failures: job.failures,
        attempt: job.attempt,
        holder: job.holder,
        cancel: job.cancel,
    }
}

fn next_queue() -> QueueName {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    queue(&format!("case-{}", NUMBER.fetch_add(1, Ordering::Relaxed)))
}

/// Random sequences of calls do what the model does.
fn calls(runtime: &Runtime, store: &Store, cases: u32) {
    let rules = QueueRules { max_retries: 2, max_resets: 1, ..QueueRules::default() };
    let calls = prop::collection::vec(call(), 1..80);
    let config = Config { cases, max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let run = |calls: Vec<Call>| {
        runtime.block_on(async {
            let (queue, model) = (next_queue(), Model::new(rules.clone()));
            store.create_queue(&queue, &rules).await.unwrap();
            let mut case = Case { store, queue, model, now: at(0) };
            for call in &calls {
                case.make(call).await;
            }
            case.compare().await;
        });
        Ok(())
    };
    TestRunner::new(config).run(&calls, run).unwrap();
}

/// A change of an entry's output: a whole text that has something of the text before, or a delta at some part of it.
#[derive(Debug, Clone)]
struct Change {
    is_whole: bool,
    /// How much of what is there is kept, of 1,000.
    part: usize,
    text: String,
    times: usize,
}

fn change() -> impl Strategy<Value = Change> {
    let text = prop_oneof![Just(String::new()), "[aé😀]{0,9}", Just("line é\n".to_owned())];
    let times = prop_oneof![4 => 0..4_usize, 1 => Just(3_000)];
    let part = prop_oneof![3 => Just(1000), 2 => 0..1001_usize];
    (any::<bool>(), part, text, times).prop_map(|(is_whole, part, text, times)| Change {
        is_whole,
        part,
        text,
        times,
    })
}

/// Random changes of a log leave what they would leave of a text.
fn changes(runtime: &Runtime, store: &Store, cases: u32) {
    let config = Config { cases, max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let run = |changes: Vec<Change>| {
        runtime.block_on(change_all(store, &changes));
        Ok(())
    };
    TestRunner::new(config).run(&prop::collection::vec(change(), 1..16), run).unwrap();
}

async fn change_all(store: &Store, changes: &[Change]) {
    let queue = next_queue();
    store.create_queue(&queue, &QueueRules::default()).await.unwrap();
    store.push(vec![NewJob::new(queue.clone(), json!(0))], at(0)).await.unwrap();
    let ask = Ask { queues: vec![queue], holder: "x".to_owned(), token: None };
    let lease = store.dequeue(&ask, at(0)).await.unwrap().unwrap();
    let entry = LogEntry {
        key: "k".to_owned(),
        command: None,
        started_at: at(0),
        exit_code: None,
        out: String::new(),
        duration: None,
    };
    store.add_log(&holds(&lease), &entry, at(0)).await.unwrap();
    let (mut text, mut revision) = (String::new(), 0);
    for change in changes {
        let keep = text.floor_char_boundary(text.len() * change.part / 1000);
        let more = change.text.repeat(change.times);
        let after = format!("{}{more}", &text[..keep]);
        let out = if change.is_whole {
            LogOut::Whole(after.clone())
        } else {
            LogOut::Delta { at: keep as u64, text: more }
        };
        let update = store.update_log(&holds(&lease), 1, &out, None, at(0)).await.unwrap();
        assert_eq!(update, LogUpdate::Made(after.len() as u64));
        revision += u64::from(!after.starts_with(&text));
        text = after;
        let kept = store.logs(&lease.token, 1, 0).await.unwrap().remove(0);
        assert!(kept.log.out == text, "{} bytes, not {}", kept.log.out.len(), text.len());
        assert_eq!((kept.length, kept.revision), (text.len() as u64, revision));
    }
}

fn with(database: Option<&Database>, runtime: &Runtime, check: impl FnOnce(&Runtime, &Store)) {
    if let Some(database) = database {
        check(runtime, &runtime.block_on(database.open()));
    }
}

#[test]
fn random_calls_do_in_sqlite_what_the_rules_say() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::sqlite());
    with(database.as_ref(), &runtime, |runtime, store| calls(runtime, store, 150));
}

#[test]
fn random_calls_do_in_postgres_what_the_rules_say() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::postgres());
    with(database.as_ref(), &runtime, |runtime, store| calls(runtime, store, 25));
}

#[test]
fn random_changes_of_a_log_are_kept_in_sqlite() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::sqlite());
    with(database.as_ref(), &runtime, |runtime, store| changes(runtime, store, 100));
}

#[test]
fn random_changes_of_a_log_are_kept_in_postgres() {
    let runtime = Runtime::new().unwrap();
    let database = runtime.block_on(Database::postgres());
    with(database.as_ref(), &runtime, |runtime, store| changes(runtime, store, 20));
}
