//! What a trivial step costs through the whole backend, against a bare `sh -c` measured in the same run, and how fast much
//! output comes through.
//!
//! `cargo build --release -p jobwright-shim && cargo run --release -p jobwright-process --example step_cost [ROUNDS]`

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt};
use jobwright_backend::{Backend, LogPosition};
use jobwright_journal::StateDir;
use jobwright_model::{ExitStatus, Step, StepUuid, TaskUuid, Workflow};
use jobwright_process::{ProcessBackend, ProcessSettings};

type Failure = Box<dyn std::error::Error>;
const MIB: u64 = 1 << 20;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let rounds: u32 = std::env::args().nth(1).map_or(Ok(300), |text| text.parse())?;
    let root = tempfile::tempdir()?;
    let state = StateDir::open(&root.path().join("state"))?;

    let begin = Instant::now();
    let backend = ProcessBackend::new(&state, ProcessSettings::default());
    backend.load().await?;
    whole_task(&backend, "true").await?;
    println!("first task, shim started      {:>10.1?}", begin.elapsed());

    let (mut bare, mut tasks) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begin = Instant::now();
        assert!(Command::new("/bin/sh").args(["-c", "true"]).stdin(Stdio::null()).output()?.status.success());
        bare.push(begin.elapsed());
        let begin = Instant::now();
        whole_task(&backend, "true").await?;
        tasks.push(begin.elapsed());
    }
    let (bare, task) = (median(bare), median(tasks));
    println!("bare sh -c, output and wait   {bare:>10.1?}");
    println!("set-up, step, wait, destroy   {task:>10.1?}  (adds {:.1?})", task.saturating_sub(bare));

    for at_once in [1, 2, 8] {
        let begin = Instant::now();
        let many = futures_util::stream::iter((0..200).map(|_| whole_task(&backend, "true")));
        many.buffer_unordered(at_once).try_collect::<Vec<()>>().await?;
        println!("200 tasks, {at_once} at a time        {:>10.1?}", begin.elapsed());
    }
    let begin = Instant::now();
    for _ in 0..100 {
        let mut pair = Vec::new();
        for _ in 0..2 {
            let mut shell = Command::new("/bin/sh");
            pair.push(shell.args(["-c", "true"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
        }
        for child in pair {
            assert!(child.wait_with_output()?.status.success());
        }
    }
    println!("200 bare spawns, two at a time{:>10.1?}", begin.elapsed());
    throughput(&backend, root.path()).await
}

async fn whole_task(backend: &ProcessBackend, script: &str) -> Result<(), Failure> {
    let (task, workflow) = (TaskUuid::random(), Workflow::default());
    let mut step = Step::new("step", StepUuid::random());
    step.entrypoint = vec!["/bin/sh".into(), "-c".into(), script.into()];
    backend.setup_workflow(&workflow, &task).await?;
    backend.start_step(&step, &task).await?;
    let mut log = backend.tail_step(&step, &task, LogPosition::START).await?;
    while log.try_next().await?.is_some() {}
    assert_eq!(backend.wait_step(&step, &task).await?.status, ExitStatus::Code(0));
    backend.destroy_step(&step, &task).await?;
    Ok(backend.destroy_workflow(&workflow, &task).await?)
}

async fn throughput(backend: &ProcessBackend, root: &std::path::Path) -> Result<(), Failure> {
    let produce = format!("head -c {} /dev/zero", 1024 * MIB);
    let file = root.join("plain");
    let begin = Instant::now();
    let script = format!("{produce} > {}", file.display());
    assert!(Command::new("/bin/sh").args(["-c", &script]).status()?.success());
    let bare = begin.elapsed();
    std::fs::remove_file(&file)?;
    let begin = Instant::now();
    whole_task(backend, &produce).await?;
    let through = begin.elapsed();
    let speed = |time: Duration| 1024.0 / time.as_secs_f64();
    println!("1 GiB > file                  {bare:>10.1?}  ({:.0} MiB/s)", speed(bare));
    println!("1 GiB through the backend     {through:>10.1?}  ({:.0} MiB/s)", speed(through));
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
