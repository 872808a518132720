//! A thousand executions at once on host processes: listed, waited for and cancelled, without a thread for each.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

/// A process backend over a state directory of its own, as that backend's own tests have it.
#[path = "../../backends/process/tests/support/mod.rs"]
mod host;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jobwright_executor::{Executions, Executor, ExecutorOptions};
use jobwright_model::{Cause, ExecutionId, ExecutionRequest, ExecutionStatus, JobId, SpecConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const MANY: usize = 1000;
/// The runtime's own threads, those of its blocking pool, and some to spare.
const THREADS: usize = 64;

fn request(number: usize) -> ExecutionRequest {
    let argv = ["/bin/sleep", "1000"].map(str::to_owned).to_vec();
    let spec = SpecConfig::new("process").with_param("entrypoint", argv);
    ExecutionRequest::new(JobId::new("many").unwrap(), id(number), spec)
}

fn id(number: usize) -> ExecutionId {
    ExecutionId::new(format!("e{number:04}")).unwrap()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

// covers: nunet 69
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_are_listed_waited_for_and_cancelled_without_a_thread_each() {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    if most.is_some_and(|most| most < 8 * MANY as u64) {
        return eprintln!("SKIPPED: this process may open no more than {most:?} files");
    }
    let bench = host::Bench::new();
    let executor =
        Executions::open(bench.state(), [Arc::new(bench.backend().await) as _], ExecutorOptions::default())
            .unwrap();
    stream::iter(0..MANY)
        .for_each_concurrent(16, |number| {
            let executor = executor.clone();
            async move { executor.start(request(number)).await.unwrap() }
        })
        .await;
    let waits: Vec<_> = (0..MANY)
        .map(|number| {
            let executor = executor.clone();
            tokio::spawn(async move { executor.wait(&id(number)).await })
        })
        .collect();
    let running = ExecutionStatus::Running;
    for number in 0..MANY {
        executor.wait_for_status(&id(number), running, Some(Duration::from_secs(60))).await.unwrap();
    }
    let listed = executor.list().await.unwrap();
    assert_eq!(listed.iter().filter(|item| item.running).count(), MANY);
    assert!(threads() < THREADS, "{} threads", threads());
    stream::iter(0..MANY)
        .for_each_concurrent(64, |number| {
            let executor = executor.clone();
            async move { executor.cancel(&id(number)).await.unwrap() }
        })
        .await;
    for wait in waits {
        assert_eq!(wait.await.unwrap().unwrap().ending.cause, Cause::ByUser);
    }
    assert!(threads() < THREADS, "{} threads", threads());
    executor.cleanup().await.unwrap();
    assert_eq!(bench.leftovers(), [""; 0]);
}
