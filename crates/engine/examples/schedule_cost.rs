//! What a run costs for each job beside the jobs themselves: reading the file, selecting, going through the graph. A pipeline of 1,000
//! jobs with 2,000 needs, one of ten times as much, and how many times as long each part takes; in proportion is 10.
//!
//! ```sh
//! cargo run --release -p jobwright-engine --example schedule_cost
//! ```
#![allow(clippy::unwrap_used, reason = "an example that cannot go on may panic")]

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_engine::{JobExecutor, JobOutcome, JobOutput, PreparedJob, Runner, Spec, prepare};
use jobwright_events::Bus;
use jobwright_model::RunId;
use jobwright_runtime::{Scope, Slot};

/// Every job passes at once.
struct Passes;

#[async_trait]
impl JobExecutor for Passes {
    async fn execute(&self, _: &PreparedJob, _: &JobOutput, _: &Scope, _: Slot) -> JobOutcome {
        JobOutcome::passed()
    }
}

/// The processor time of each part.
struct Cost {
    preparing: Duration,
    running: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    for (shape, pipeline) in SHAPES {
        let small = median(pipeline, 1_000, rounds).await;
        let large = median(pipeline, 10_000, rounds).await;
        tell(shape, "preparing", small.preparing, large.preparing);
        tell(shape, "running", small.running, large.running);
    }
}

type Shape = fn(usize) -> String;

const SHAPES: [(&str, Shape); 4] =
    [("web", web), ("fan", fan), ("chain", chain), ("one stage", |jobs| file(jobs, |_| Vec::new()))];

/// Every job needs two that stand before it, near and far.
fn web(jobs: usize) -> String {
    file(jobs, |job| if job < 2 { Vec::new() } else { vec![job - 1, job / 2] })
}

/// All need the first two: the whole width becomes ready at once.
fn fan(jobs: usize) -> String {
    file(jobs, |job| if job < 2 { Vec::new() } else { vec![0, 1] })
}

/// One after the other.
fn chain(jobs: usize) -> String {
    file(jobs, |job| job.checked_sub(1).into_iter().collect())
}

fn file(jobs: usize, needs: impl Fn(usize) -> Vec<usize>) -> String {
    let mut text = String::from("stages: [all]\n");
    for job in 0..jobs {
        let mut needed: Vec<String> = needs(job).into_iter().map(|need| format!("job-{need}")).collect();
        needed.dedup();
        let _ = writeln!(text, "job-{job}:\n  stage: all\n  script: ['true']");
        if !needed.is_empty() {
            let _ = writeln!(text, "  needs: [{}]", needed.join(", "));
        }
    }
    text
}

async fn median(pipeline: Shape, jobs: usize, rounds: usize) -> Cost {
    let text = pipeline(jobs);
    let (mut preparing, mut running) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        let cost = once(&text).await;
        preparing.push(cost.preparing);
        running.push(cost.running);
    }
    preparing.sort();
    running.sort();
    Cost { preparing: preparing[preparing.len() / 2], running: running[running.len() / 2] }
}

async fn once(text: &str) -> Cost {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".jobwright.yaml"), text).unwrap();
    let spec = Spec { project: dir.path().to_owned(), ..Spec::default() };
    let scope = Scope::new();
    let begun = processor_time();
    let plan = prepare(&spec, &dir.path().join("clone"), &scope).await.unwrap().plan;
    let preparing = processor_time() - begun;
    let runner = Runner::new(Arc::new(Bus::new(RunId::generate())), scope, 2);
    let begun = processor_time();
    runner.start(&plan);
    let report = runner.run(&plan, Arc::new(Passes)).await;
    assert!(report.ending.succeeded(), "{:?}", report.error);
    Cost { preparing, running: processor_time() - begun }
}

/// Of this process so far: what others do meanwhile counts for nothing.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn tell(shape: &str, part: &str, small: Duration, large: Duration) {
    let ratio = large.as_secs_f64() / small.as_secs_f64();
    println!("{shape:>10} {part:>10}: 1,000 jobs {small:>9.1?}, 10,000 jobs {large:>9.1?}, {ratio:.1} times");
}
