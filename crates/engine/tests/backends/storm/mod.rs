//! Two hundred jobs that fail and are cancelled at random, spread over the backends. After them there is nothing that was not
//! there before: no container, network, volume, process, workspace, mount, nor a file beside their journals.
//!
//! The seed is printed; `JOBWRIGHT_STORM_SEED` sets it. Each job's own is made of it and the job's number.

mod census;
mod weather;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::{StreamExt, stream};
use jobwright_backend::conformance::Script;
use jobwright_journal::Journal;
use jobwright_model::{Cause, Outcome};
use jobwright_runtime::{Limits, Record, open_tasks};
use tokio::time::{sleep, timeout};

use crate::engines::Engine;
use crate::world::{Site, World, while_running};
use census::Census;
use weather::Weather;

/// Any number does; this one is kept so that a failure comes again.
const SEED: u64 = 20_260_731;
/// Seconds between SIGTERM and SIGKILL.
const GRACE: u32 = 1;
/// No job takes nearly as long: each has a time of a few seconds.
const DEADLINE: Duration = Duration::from_secs(90);

// covers: woodpecker 14, 16, 48, 49, 52
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_on_host_processes_leaves_nothing() {
    storm(Some(Site::Process), 120, 8).await;
}

// covers: woodpecker 14, 16, 48, 49, 53
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_in_docker_leaves_nothing() {
    storm(Engine::docker().await.map(Site::Containers), 60, 6).await;
}

// covers: woodpecker 14, 16, 48, 49, 53
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_in_podman_leaves_nothing() {
    storm(Engine::podman().await.map(Site::Containers), 20, 4).await;
}

/// `count` jobs on one owner's backend at `site`, `at_a_time` of them at once.
async fn storm(site: Option<Site>, count: u64, at_a_time: usize) {
    let Some(site) = site else { return };
    let seed = std::env::var("JOBWRIGHT_STORM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    println!("{}: {count} jobs, JOBWRIGHT_STORM_SEED={seed}", site.name());
    let world = World::with_grace(&site, GRACE).await;
    let folder = tempfile::tempdir().unwrap();
    // A backend may make itself a place when it is first used.
    world.run(&world.workflow([vec![world.step("calm", &Script::new())]])).await;
    let before = Census::take(&world).await;

    let jobs = stream::iter(0..count).map(|number| {
        let (world, path) = (world.beside(), folder.path().join(format!("journal-{number}")));
        async move {
            let job = tokio::spawn(async move { run(&world, Rng::with_seed(seed + number), &path).await });
            let ended = timeout(DEADLINE, job).await;
            ended
                .unwrap_or_else(|_| panic!("job {number} of seed {seed} did not end"))
                .unwrap_or_else(|panic| panic!("job {number} of seed {seed}: {panic}"))
        }
    });
    let causes: Vec<Cause> = jobs.buffer_unordered(at_a_time).collect().await;
    assert_mixed(&causes);

    let after = Census::take(&world).await;
    assert_eq!(after, before, "seed {seed}");
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files as u64, count, "there is a file beside the journals");
    assert_eq!(world.close().await, Vec::<String>::new(), "left when the backend was dropped");
}

/// One job; answers how it ended.
async fn run(world: &World, mut rng: Rng, path: &Path) -> Cause {
    let Weather { phases, timeouts, cancel_after } = Weather::of(&mut rng, world);
    let (journal, _) = Journal::open(path).unwrap();
    let limits = Limits { drain: Duration::from_secs(2), ..Limits::default() };
    let job = world.plan_job_within(phases, timeouts).limits(limits).journal(Arc::new(journal));
    let cancel = async {
        if let Some(after) = cancel_after {
            sleep(after).await;
            world.scope.cancel(Cause::ByUser);
        }
    };
    let report = while_running(job.run(), cancel).await;
    report.phases.iter().for_each(|phase| world.check(phase));
    let records = Journal::<Record>::read(path).unwrap().records;
    assert!(open_tasks(&records).is_empty(), "a task is open after {report:?}");
    report.ending.cause
}

/// A storm in which nothing fails shows nothing.
fn assert_mixed(causes: &[Cause]) {
    let mut counts = BTreeMap::new();
    for cause in causes {
        *counts.entry(cause.as_str()).or_insert(0) += 1;
    }
    println!("they ended by {counts:?}");
    for outcome in [Outcome::Succeeded, Outcome::Failed, Outcome::Cancelled] {
        assert!(causes.iter().any(|cause| cause.outcome() == outcome), "nothing {}", outcome.as_str());
    }
    let lost = causes.iter().filter(|cause| cause.outcome() == Outcome::Lost).count();
    assert_eq!(lost, 0, "nothing happened to the engines");
}
