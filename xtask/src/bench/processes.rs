//! Trivial jobs on the process backend against the bare spawning of their shells.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use super::project::{Jobwright, Project, equal_jobs};
use super::table::Row;
use super::turns;

const TRIVIAL: &[&str] = &["script: [\"true\"]"];
const PROCESS: [&str; 2] = ["--backend", "process"];
const MANY: usize = 200;

/// One trivial job: at most 10 ms over spawning its shell.
pub(crate) fn one_job(jobwright: &Jobwright, rounds: usize) -> Result<Vec<Row>> {
    let project = Project::new(jobwright, &equal_jobs(1, 1, TRIVIAL))?;
    let taken = turns::take(rounds * 3, spawn_shell, || project.run(&PROCESS))?;
    let limit = Duration::from_millis(10);
    Ok(vec![Row::time("one trivial job over its shell", taken.measured, taken.floor, 1.0, limit)])
}

/// 200 in one stage, at once: at most 1.5 times a bare spawn loop of the same concurrency, plus 20 ms.
pub(crate) fn parallel(jobwright: &Jobwright, rounds: usize) -> Result<Vec<Row>> {
    let project = Project::new(jobwright, &equal_jobs(1, MANY, TRIVIAL))?;
    let workers = thread::available_parallelism()?.get();
    let limit = workers.to_string();
    let arguments = ["--backend", "process", "--parallel", "--limit", &limit];
    let taken = turns::take(rounds, || spawn_loop(MANY, workers), || project.run(&arguments))?;
    let name = format!("{MANY} trivial jobs, {workers} at a time");
    Ok(vec![Row::time(&name, taken.measured, taken.floor, 1.5, Duration::from_millis(20))])
}

/// Four stages of 50: no slower than one of 200, plus 50 ms.
pub(crate) fn stages(jobwright: &Jobwright, rounds: usize) -> Result<Vec<Row>> {
    let one = Project::new(jobwright, &equal_jobs(1, MANY, TRIVIAL))?;
    let four = Project::new(jobwright, &equal_jobs(4, MANY / 4, TRIVIAL))?;
    let arguments = ["--backend", "process", "--parallel-stages"];
    let taken = turns::take(rounds, || one.run(&arguments), || four.run(&arguments))?;
    let limit = Duration::from_millis(50);
    Ok(vec![Row::time("4 stages of 50 over 1 stage of 200", taken.measured, taken.floor, 1.0, limit)])
}

fn spawn_shell() -> Result<()> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = shell.status()?;
    if status.success() { Ok(()) } else { bail!("sh ended with {status}") }
}

fn spawn_loop(count: usize, workers: usize) -> Result<()> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let work = || {
            while next.fetch_add(1, Ordering::Relaxed) < count {
                spawn_shell()?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("a spawning thread panicked"),
        })
    })
}
