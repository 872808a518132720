//! `kill -9` for the shim in the middle of a run: its steps are lost, never passed; the run ends; and nothing stays of what the
//! shim can no longer end. When it is killed is random; the seed is printed, and `JOBWRIGHT_STORM_SEED` sets it.

use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::{StreamExt, stream};
use jobwright_backend::LogPosition;
use jobwright_backend::conformance::Script;
use jobwright_model::{Cause, ExitStatus, Outcome, Step, StepType, TaskUuid, Workflow};
use jobwright_runtime::WorkflowReport;
use jobwright_shim::record::ShimRecord;
use rustix::process::{Pid, Signal, kill_process};

use crate::seen::Event;
use crate::world::{Site, World, ending};

const SEED: u64 = 20_260_801;
/// Within this time a run has to end once its shim is dead: the grace of two seconds, and what the machine may take.
const PROMPT: Duration = Duration::from_secs(20);

/// Kills every shim of the world's state directory; answers how many there were.
fn kill_shims(world: &World) -> usize {
    let bench = world.bench().expect("this is the process backend");
    let shims =
        std::fs::read_dir(bench.root.path().join("state/process/shims")).into_iter().flatten().flatten();
    let records = shims.filter_map(|shim| ShimRecord::read(&shim.path()).ok().flatten());
    let pids = records.filter(|record| record.process.is_alive()).map(|record| record.process.pid);
    let killed = pids.map(|pid| kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL));
    killed.filter(Result::is_ok).count()
}

/// Steps whose children got away into groups and sessions of their own, a service, and a stage that waits for them.
fn workflow(world: &World) -> Workflow {
    let text = "sh -c 'sleep 1000000 & exec sleep 1000000' & setsid sh -c 'trap \"\" TERM; sleep 1000000 & wait' & \
                printf 'ready\\n'; wait";
    let mut service = world.step("service", &Script::new().say_ready().forever());
    (service.kind, service.detached) = (StepType::Service, true);
    let steps: Vec<Step> = ["one", "two"].map(|name| world.shell(name, text)).into();
    world.workflow([vec![service], steps, vec![world.step("later", &Script::new())]])
}

/// Runs `count` rounds, four at a time, each with a random generator of its own.
async fn rounds(count: u64, round: impl AsyncFn(Rng)) {
    let seed = std::env::var("JOBWRIGHT_STORM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    println!("{count} rounds, JOBWRIGHT_STORM_SEED={seed}");
    let each = stream::iter(0..count).map(|number| round(Rng::with_seed(seed + number)));
    each.buffer_unordered(4).collect::<()>().await;
}

/// Runs it, kills the shim when `moment` has come, lets `after` follow, and checks that the run ended soon and that the backend
/// is none the worse.
async fn run_killed(
    world: &World,
    moment: impl Future<Output = ()>,
    after: impl Future<Output = ()>,
) -> WorkflowReport {
    let workflow = workflow(world);
    let kill = async {
        moment.await;
        while kill_shims(world) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let killed = Instant::now();
        after.await;
        killed
    };
    let (report, killed) = tokio::join!(world.run(&workflow), kill);
    assert!(killed.elapsed() < PROMPT, "the run took {:?} to end", killed.elapsed());
    let next = world.beside();
    let calm = next.run(&next.workflow([vec![next.step("calm", &Script::new().print("well"))]])).await;
    assert!(calm.ending.succeeded(), "{calm:?}");
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_that_run_when_their_shim_is_killed_are_lost() {
    rounds(6, async |mut rng| {
        let world = World::open(&Site::Process).await;
        let delay = Duration::from_millis(rng.u64(..200));
        let moment = async {
            for name in ["service", "one", "two"] {
                world.seen.until_printed(name, "ready").await;
            }
            tokio::time::sleep(delay).await;
        };
        let report = run_killed(&world, moment, std::future::ready(())).await;
        assert_eq!(report.ending.outcome, Outcome::Lost, "{report:?}");
        for name in ["service", "one", "two"] {
            assert_eq!(ending(&report, name).outcome, Outcome::Lost, "{report:?}");
        }
        assert_eq!(ending(&report, "later").outcome, Outcome::Skipped);
    })
    .await;
}

/// A shim that was killed before the steps came to it has a successor, under which they run until somebody has enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shim_killed_at_any_moment_makes_nothing_pass() {
    rounds(10, async |mut rng| {
        let world = World::open(&Site::Process).await;
        let delay = Duration::from_micros(rng.u64(..30_000));
        let moment = async {
            world.seen.until("service", |event| *event == Event::Started).await;
            tokio::time::sleep(delay).await;
        };
        let after = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            world.scope.cancel(Cause::ByUser);
        };
        let report = run_killed(&world, moment, after).await;
        for step in &report.steps {
            assert!(!step.ending.succeeded(), "{report:?}");
        }
    })
    .await;
}

/// The successor has the same place and the same name, and knows nothing of the steps of the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_shim_left_is_ended_under_its_successor() {
    let world = World::open(&Site::Process).await;
    let workflow = workflow(&world);
    let (task, backend) = (TaskUuid::random(), &world.backend);
    let [service, one] = [0, 1].map(|stage: usize| &workflow.stages[stage].steps[0]);
    backend.setup_workflow(&workflow, &task).await.unwrap();
    backend.start_step(one, &task).await.unwrap();
    let mut log = backend.tail_step(one, &task, LogPosition::START).await.unwrap();
    assert_eq!(log.next().await.unwrap().unwrap().bytes, "ready\n");
    assert_eq!(kill_shims(&world), 1);
    assert_eq!(backend.wait_step(one, &task).await.unwrap().status, ExitStatus::Unknown);
    backend.start_step(service, &task).await.unwrap();
    assert_eq!(backend.wait_step(one, &task).await.unwrap().status, ExitStatus::Unknown);
    backend.destroy_workflow(&workflow, &task).await.unwrap();
    assert_eq!(world.leftovers().await, Vec::<String>::new());
}
