//! What the shim adds to a spawn, against a bare spawn measured in the same run, and the memory that it has for 100 steps.
//!
//! `cargo run --release -p jobwright-shim --example spawn_cost [ROUNDS]`; build the binary in release first. The bare loop
//! spawns the same program by posix_spawn with two pipes, reads both to their end and waits, which is the least that
//! anybody who wants output and exit status does.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jobwright_shim::{Client, Order, StartOrder, StepId};

const STEPS: usize = 100;
const PROGRAM: [&str; 3] = ["/bin/sh", "-c", "echo hello"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: u32 = std::env::args().nth(1).map_or(Ok(500), |text| text.parse())?;
    let root = tempfile::tempdir()?;
    let mut shim = Client::ensure(&root.path().join("shim"))?;
    // Interleaved, so that whatever else the machine does meets both alike.
    let (mut bare, mut through, mut started) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let begin = Instant::now();
        let output = Command::new(PROGRAM[0]).args(&PROGRAM[1..]).stdin(Stdio::null()).output()?;
        assert!(output.status.success());
        bare.push(begin.elapsed());

        let begin = Instant::now();
        let dir = root.path().join(round.to_string());
        fs::create_dir(&dir)?;
        let step = StepId::new(round.to_string());
        shim.start(StartOrder::new(step.clone(), &dir, PROGRAM))?;
        started.push(begin.elapsed());
        shim.wait(&step)?;
        shim.call(Order::Stop { step, grace_ms: 0, forget: true })?;
        through.push(begin.elapsed());
        fs::remove_dir_all(&dir)?;
    }
    let (bare, through, started) = (median(bare), median(through), median(started));
    println!("rounds                      {rounds}");
    println!("bare spawn, output and wait {bare:>10.1?}");
    println!(
        "through the shim, all       {through:>10.1?}  ({:.2} times)",
        through.as_secs_f64() / bare.as_secs_f64()
    );
    println!("of that until it runs       {started:>10.1?}");
    println!("the shim adds               {:>10.1?}", through.saturating_sub(bare));
    memory(&mut shim, root.path())?;
    shim.call(Order::Shutdown { grace_ms: 0 })?;
    Ok(())
}

/// Says what memory of its own the shim has with no step and with 100 that run and have written something.
fn memory(shim: &mut Client, root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let before = own_memory(shim.shim_pid())?;
    let program = ["/bin/sh", "-c", "head -c 100000 /dev/zero; exec sleep 60"];
    for at in 0..STEPS {
        let dir = root.join(format!("running-{at}"));
        fs::create_dir(&dir)?;
        shim.start(StartOrder::new(StepId::new(format!("running-{at}")), &dir, program))?;
    }
    std::thread::sleep(Duration::from_secs(1));
    let during = own_memory(shim.shim_pid())?;
    println!(
        "memory of its own           {before} KiB, with {STEPS} steps {during} KiB (promised: 4096 KiB)"
    );
    for at in 0..STEPS {
        let step = StepId::new(format!("running-{at}"));
        shim.call(Order::Stop { step, grace_ms: 0, forget: true })?;
    }
    Ok(())
}

/// The memory in KiB that a process shares with no other: what its end would give back.
fn own_memory(pid: u32) -> Result<u64, Box<dyn std::error::Error>> {
    let mut sum = 0;
    for line in fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?.lines() {
        if let Some(size) =
            line.strip_prefix("Private_Clean:").or_else(|| line.strip_prefix("Private_Dirty:"))
        {
            sum += size.trim().trim_end_matches("kB").trim().parse::<u64>()?;
        }
    }
    Ok(sum)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
