//! A gibibyte of output with secrets in it, against the shell's own redirection to a file; and what memory it
//! takes.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::project::{Jobwright, Project, write_lines};
use super::table::Row;

const SECRETS: usize = 10;
/// Size of the file that is written out again and again.
const PIECE: usize = 1 << 20;
const TIMES: usize = 1024;
const MEMORY: u64 = 64 << 20;
/// A gibibyte takes seconds; more turns would not make the median better, only later.
const MOST_ROUNDS: usize = 3;

/// At least a third of the speed of `> file`, and less than 64 MiB.
pub(crate) fn gibibyte(jobwright: &Jobwright, rounds: usize) -> Result<Vec<Row>> {
    let secrets: Vec<(String, String)> =
        (0..SECRETS).map(|n| (format!("SECRET_{n}"), format!("s3cret-value-number-{n}"))).collect();
    let project = Project::new(jobwright, &pipeline(&secrets))?;
    let line = format!("some line of a build's output, and now and then {} is in it", secrets[3].1);
    write_lines(&project.folder().join("piece.txt"), &line, PIECE)?;

    let (mut floors, mut ours, mut peak) = (Vec::new(), Vec::new(), 0);
    for _ in 0..rounds.min(MOST_ROUNDS) {
        let begin = Instant::now();
        redirect(&project)?;
        floors.push(begin.elapsed());

        let begin = Instant::now();
        let child = project.start(&["--backend", "process"], &secrets)?;
        peak = peak.max(run_watched(&project, child)?);
        ours.push(begin.elapsed());
        check_and_remove_logs(&project, &secrets)?;
    }
    floors.sort();
    ours.sort();
    let (floor, measured) = (floors[floors.len() / 2], ours[ours.len() / 2]);
    Ok(vec![
        Row::time("1 GiB of output over `> file`", measured, floor, 3.0, Duration::ZERO),
        Row::memory("peak memory of that", peak, MEMORY),
    ])
}

fn pipeline(secrets: &[(String, String)]) -> String {
    let mut file = format!(
        "stages: [s]\nchatty:\n  stage: s\n  script:\n    - for i in $(seq {TIMES}); do cat piece.txt; done\n  secrets:\n"
    );
    for (name, _) in secrets {
        file.push_str(&format!("    {name}: {{env: {name}}}\n"));
    }
    file
}

fn redirect(project: &Project<'_>) -> Result<()> {
    let out = project.folder().join("out");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("for i in $(seq {TIMES}); do cat piece.txt; done > out")]);
    let status = shell.current_dir(project.folder()).stdin(Stdio::null()).status()?;
    fs::remove_file(out)?;
    if status.success() { Ok(()) } else { bail!("the redirection ended with {status}") }
}

/// Waits for the end and answers with the process's peak memory in bytes. The kernel keeps the peak, so only
/// what happens after the last look, 5 ms before the end at most, can be missed.
fn run_watched(project: &Project<'_>, mut child: Child) -> Result<u64> {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        // Gone between the two looks: the last number stands.
        if let Ok(text) = fs::read_to_string(&status) {
            peak = peak.max(high_water_mark(&text).unwrap_or(0));
        }
        thread::sleep(Duration::from_millis(5));
    }
    project.finish(child)?;
    if peak == 0 { bail!("no memory was read from {status}") } else { Ok(peak) }
}

/// `VmHWM` of `/proc/PID/status`, in bytes.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// A fast log that dropped or showed something would not count.
fn check_and_remove_logs(project: &Project<'_>, secrets: &[(String, String)]) -> Result<()> {
    let logs = project.state_files("events.ndjson");
    let log = logs.first().context("the run has left no event log")?;
    let size = fs::metadata(log)?.len();
    if size < (PIECE * TIMES) as u64 / 2 {
        bail!("the event log has {size} bytes of 1 GiB");
    }
    let shown = Command::new("grep").args(["-c", "-F", &secrets[3].1]).arg(log).output()?;
    let count = String::from_utf8_lossy(&shown.stdout).trim().to_owned();
    if count != "0" {
        bail!("a secret is in {count} lines of the event log");
    }
    fs::remove_dir_all(project.state()).context("failed to remove the state directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_memory_is_read_in_bytes() {
        assert_eq!(high_water_mark("VmPeak:\t  900 kB\nVmHWM:\t   12 kB\nVmRSS:\t 3 kB\n"), Some(12 * 1024));
        assert_eq!(high_water_mark("Name: x\n"), None);
    }
}
