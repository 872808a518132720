//! A store that waits in one of its calls until a test lets it go on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jobwright_model::{
    AttemptEnd, AttemptToken, JobRef, LogEntry, LogOut, NewJob, QueueName, QueueRules, QueuedJob,
    QueuedState, Speaker,
};
use jobwright_store::{
    AddedLog, Ask, Change, Executor, Filter, Finished, Heard, KeptAttempt, KeptLogEntry, Lease, LogUpdate,
    QueueStore, QueueSummary, Reset, Result, TokenHash,
};
use tokio::sync::{Semaphore, watch};

use crate::queue::support::store;

/// The store.
pub(super) struct Slow {
    store: Arc<dyn QueueStore>,
    gate: Arc<Gate>,
}

/// Where it waits.
pub(super) struct Gate {
    call: &'static str,
    asked: Semaphore,
    open: Semaphore,
}

impl Slow {
    /// One that waits in this call.
    pub(super) fn waiting_in(call: &'static str) -> (Arc<dyn QueueStore>, Arc<Gate>) {
        let gate = Arc::new(Gate { call, asked: Semaphore::new(0), open: Semaphore::new(0) });
        (Arc::new(Self { store: store(), gate: Arc::clone(&gate) }), gate)
    }
}

impl Gate {
    /// Until it has been called.
    pub(super) async fn until_asked(&self) {
        self.asked.acquire().await.unwrap().forget();
    }

    /// Whoever waits goes on, and whoever comes.
    pub(super) fn open(&self) {
        self.open.add_permits(1_000_000);
    }

    async fn pass(&self, call: &str) {
        if call == self.call {
            self.asked.add_permits(1);
            self.open.acquire().await.unwrap().forget();
        }
    }
}

macro_rules! passed_on {
    ($($name:ident($($argument:ident: [$($kind:tt)*]),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl QueueStore for Slow {
            $(async fn $name(&self, $($argument: $($kind)*),*) -> Result<$answer> {
                self.gate.pass(stringify!($name)).await;
                self.store.$name($($argument),*).await
            })*

            fn changes(&self) -> watch::Receiver<Change> {
                self.store.changes()
            }
        }
    };
}

passed_on! {
    create_queue(queue: [&QueueName], rules: [&QueueRules]) -> bool;
    queues(now: [Timestamp]) -> Vec<QueueSummary>;
    pause_queue(queue: [&QueueName], paused: [bool]) -> bool;
    push(jobs: [Vec<NewJob>], now: [Timestamp]) -> Vec<JobRef>;
    dequeue(ask: [&Ask], now: [Timestamp]) -> Option<Lease>;
    attempt_of_token(token: [&TokenHash]) -> Option<(AttemptToken, String)>;
    heartbeat(speakers: [&[Speaker]], now: [Timestamp]) -> Vec<Heard>;
    add_log(speaker: [&Speaker], entry: [&LogEntry], now: [Timestamp]) -> AddedLog;
    update_log(speaker: [&Speaker], entry: [u64], out: [&LogOut], end: [Option<(i32, Duration)>], now: [Timestamp]) -> LogUpdate;
    finish(speaker: [&Speaker], end: [&AttemptEnd], now: [Timestamp]) -> Finished;
    reset_stalled(now: [Timestamp]) -> Vec<Reset>;
    cancel(job: [&JobRef], now: [Timestamp]) -> Option<QueuedState>;
    retry(job: [&JobRef], now: [Timestamp]) -> Option<QueuedState>;
    job(job: [&JobRef]) -> Option<QueuedJob>;
    jobs(filter: [&Filter]) -> Vec<QueuedJob>;
    attempts(job: [&JobRef]) -> Vec<KeptAttempt>;
    logs(token: [&AttemptToken], from: [u64], at: [u64]) -> Vec<KeptLogEntry>;
    prune(queue: [&QueueName], before: [Timestamp]) -> u64;
    seen(name: [&str], queues: [&[QueueName]], about: [&[(String, String)]], now: [Timestamp]) -> ();
    executors(since: [Timestamp]) -> Vec<Executor>;
}
