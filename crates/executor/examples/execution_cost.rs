//! What an execution adds to its process or container: from the request until it runs, against a bare spawn, or the bare calls of an engine, in
//! turns; and the memory of a process through which 1 GiB of output goes to somebody who reads it slowly.
//!
//! `cargo run --release -p jobwright-executor --example execution_cost`, with the shim of the same build beside it. Docker is measured where
//! it answers at its usual socket and has `jobwright-test/base:latest`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
};
use futures_util::StreamExt;
use jobwright_backend::Backend;
use jobwright_docker::{Docker, DockerSettings};
use jobwright_executor::{Executions, Executor, ExecutorOptions};
use jobwright_journal::StateDir;
use jobwright_model::{ExecutionId, ExecutionRequest, ExecutionStatus, JobId, LogStreamRequest, SpecConfig};
use jobwright_process::{ProcessBackend, ProcessSettings};

const ROUNDS: usize = 200;
const OUTPUT: u64 = 1 << 30;
const IN_DOCKER: usize = 20;
const IMAGE: &str = "jobwright-test/base:latest";

fn request(id: &str, argv: &[&str]) -> Result<ExecutionRequest, Box<dyn Error>> {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let spec = SpecConfig::new("process").with_param("entrypoint", argv);
    Ok(ExecutionRequest::new(JobId::new("cost")?, ExecutionId::new(id)?, spec))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let release =
        program.parent().and_then(Path::parent).ok_or("the example lies in target/release/examples")?;
    // Beside the build, because a temporary directory may be memory.
    let folder = release.join("execution-cost");
    let _ = std::fs::remove_dir_all(&folder);
    let state = StateDir::open(&folder.join("state"))?;
    let settings =
        ProcessSettings { shim: Some(release.join("jobwright-shim")), ..ProcessSettings::default() };
    let backend: Arc<dyn Backend> = Arc::new(ProcessBackend::new(&state, settings));
    let executor = Executions::open(state, [backend], ExecutorOptions::default())?;
    overhead(&executor).await?;
    in_docker(&folder).await?;
    slow_reader(&executor).await?;
    executor.cleanup().await?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn overhead(executor: &Executions) -> Result<(), Box<dyn Error>> {
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        let mut child = std::process::Command::new("/bin/sleep").arg("0").spawn()?;
        let spawned = begun.elapsed();
        child.wait()?;
        let id = format!("e{round}");
        let begun = Instant::now();
        executor.start(request(&id, &["/bin/sleep", "0.05"])?).await?;
        let id = ExecutionId::new(id)?;
        executor.wait_for_status(&id, ExecutionStatus::Running, None).await?;
        let ran = begun.elapsed();
        executor.wait_for_status(&id, ExecutionStatus::Success, None).await?;
        // The first starts the shim.
        if round > 0 {
            bare.push(spawned);
            ours.push(ran);
        }
    }
    let (bare, ours) = (median(bare), median(ours));
    println!("a bare spawn                       {:8.2?}", bare);
    println!(
        "from the request until it runs     {:8.2?}  (+ {:.2?}; promised: 5 ms)",
        ours,
        ours.saturating_sub(bare)
    );
    Ok(())
}

async fn in_docker(folder: &Path) -> Result<(), Box<dyn Error>> {
    let engine =
        bollard::Docker::connect_with_unix("/var/run/docker.sock", 120, bollard::API_DEFAULT_VERSION)?;
    let engine = engine.negotiate_version().await?;
    if engine.inspect_image(IMAGE).await.is_err() {
        println!("docker: not measured, it has no {IMAGE} here");
        return Ok(());
    }
    let state = StateDir::open(&folder.join("state-docker"))?;
    let host = Some("unix:///var/run/docker.sock".to_owned());
    let settings = DockerSettings { host, stop_timeout: 1, ..DockerSettings::default() };
    let docker: Arc<dyn Backend> = Arc::new(Docker::new(Some(settings), state.owner().clone()));
    let executor = Executions::open(state, [docker], ExecutorOptions::default())?;
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 0..=IN_DOCKER {
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            cmd: Some(["sleep", "0.2"].map(str::to_owned).to_vec()),
            ..ContainerCreateBody::default()
        };
        let begun = Instant::now();
        let made = engine.create_container(None::<CreateContainerOptions>, body).await?;
        engine.start_container(&made.id, None::<StartContainerOptions>).await?;
        let started = begun.elapsed();
        let remove = RemoveContainerOptionsBuilder::new().force(true).build();
        engine.remove_container(&made.id, Some(remove)).await?;

        let id = ExecutionId::new(format!("d{round}"))?;
        let spec = SpecConfig::new("docker").with_param("image", IMAGE);
        let spec = spec.with_param("cmd", ["sleep", "0.2"].map(str::to_owned).to_vec());
        let begun = Instant::now();
        executor.start(ExecutionRequest::new(JobId::new("cost")?, id.clone(), spec)).await?;
        executor.wait_for_status(&id, ExecutionStatus::Running, None).await?;
        let ran = begun.elapsed();
        executor.wait_for_status(&id, ExecutionStatus::Success, None).await?;
        // The first finds out about the engine.
        if round > 0 {
            bare.push(started);
            ours.push(ran);
        }
    }
    executor.cleanup().await?;
    let (bare, ours) = (median(bare), median(ours));
    println!("a container, made and started bare {:8.2?}", bare);
    println!(
        "from the request until it runs     {:8.2?}  (+ {:.2?}; promised: 10 ms)",
        ours,
        ours.saturating_sub(bare)
    );
    Ok(())
}

async fn slow_reader(executor: &Executions) -> Result<(), Box<dyn Error>> {
    let script = format!("yes {} | head -c {OUTPUT}", "y".repeat(79));
    executor.start(request("large", &["/bin/sh", "-c", &script])?).await?;
    let id = ExecutionId::new("large")?;
    let logs =
        LogStreamRequest { job_id: JobId::new("cost")?, execution_id: id.clone(), tail: false, follow: true };
    let mut stream = executor.get_log_stream(logs).await?;
    let (begun, mut bytes, mut chunks) = (Instant::now(), 0, 0_u64);
    while let Some(chunk) = stream.next().await {
        bytes += chunk?.bytes.len() as u64;
        chunks += 1;
        // Far slower than it is written, until it has been written.
        if chunks.is_multiple_of(64) && executor.get_status(&id).await? == ExecutionStatus::Running {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    println!(
        "{bytes} bytes to a slow reader in {:.1?}; peak memory {peak} (promised: below 32 MiB)",
        begun.elapsed()
    );
    Ok(())
}
