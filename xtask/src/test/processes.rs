//! Processes that a test run starts: commands that it waits for, and services that it ends again. Not for
//! deciding what to run.
//!
//! Each has a process group of its own, so that Ctrl-C reaches this program alone and everything else is
//! ended in order.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How long a process may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(15);
/// How long output is awaited after its process has ended: something that it left behind may hold the pipe.
const DRAIN: Duration = Duration::from_secs(5);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The process group of the command that is waited for; 0 when there is none.
static FOREGROUND: AtomicI32 = AtomicI32::new(0);

/// From now on Ctrl-C, SIGTERM and SIGHUP end the command that runs, and [`run`] refuses to start another.
pub(crate) fn catch_signals() -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::spawn(move || {
        for _ in signals.forever() {
            INTERRUPTED.store(true, Ordering::SeqCst);
            eprintln!("\ninterrupted: ending what was started");
            signal_group(FOREGROUND.load(Ordering::SeqCst), Signal::TERM);
        }
    });
    Ok(())
}

/// Whether the run was asked to end.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Runs a command to its end and hands each line of its output (both streams, in order) to `on_line`.
///
/// # Errors
/// When it cannot be started, when it takes longer than `limit`, and when the run was interrupted.
pub(crate) fn run(
    command: &mut Command,
    limit: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus> {
    if is_interrupted() {
        bail!("interrupted");
    }
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let mut child =
        command.spawn().with_context(|| format!("failed to start {:?}", command.get_program()))?;
    // The command keeps the pipe's writing ends open until it is given other ones.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let group = i32::try_from(child.id())?;
    FOREGROUND.store(group, Ordering::SeqCst);
    if is_interrupted() {
        // The signal came before the group was known to its handler.
        signal_group(group, Signal::TERM);
    }
    let lines = lines_of(reader);
    let deadline = Instant::now() + limit;
    let outcome = follow(&mut child, &lines, deadline, &mut on_line);
    FOREGROUND.store(0, Ordering::SeqCst);
    if outcome.is_err() {
        end(&mut child);
    }
    outcome
}

fn follow(
    child: &mut Child,
    lines: &mpsc::Receiver<String>,
    deadline: Instant,
    on_line: &mut impl FnMut(&str),
) -> Result<ExitStatus> {
    let mut give_up = deadline;
    let status = loop {
        if is_interrupted() {
            give_up = give_up.min(Instant::now() + GRACE);
        }
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => on_line(&line),
            Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => {
                if let Some(status) = child.try_wait()? {
                    break status;
                }
            }
        }
        if Instant::now() > give_up {
            bail!("took longer than allowed");
        }
    };
    let drained = Instant::now() + DRAIN;
    loop {
        match lines.recv_timeout(drained.saturating_duration_since(Instant::now())) {
            Ok(line) => on_line(&line),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                on_line(
                    "warning: the command has ended, but something that it started still holds its output",
                );
                break;
            }
        }
    }
    if is_interrupted() { bail!("interrupted") } else { Ok(status) }
}

fn lines_of(pipe: PipeReader) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A command's output when it succeeds; its last words as the error when it does not.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let mut text = String::new();
    let status = run(command, limit, |line| {
        text.push_str(line);
        text.push('\n');
    })?;
    if !status.success() {
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("{} ended with {status}: {}", command.get_program().display(), last.join("\n"));
    }
    Ok(text)
}

/// A service that runs in the background and is ended when this is dropped.
pub(crate) struct Service {
    name: String,
    child: Child,
}

impl Service {
    /// Starts it with its output in a log file.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("failed to create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = command.spawn().with_context(|| format!("failed to start {name}"))?;
        println!("started {name} as process {}", child.id());
        Ok(Self { name: name.to_owned(), child })
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// When it ends before, or does not answer in time.
    pub(crate) fn wait_until(&mut self, limit: Duration, answers: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !answers() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before it answered", self.name);
            }
            if is_interrupted() {
                bail!("interrupted");
            }
            if Instant::now() > deadline {
                bail!("{} did not answer within {} s", self.name, limit.as_secs());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        println!("ending {} (process {})", self.name, self.child.id());
        end(&mut self.child);
    }
}

/// SIGTERM to the group, the grace, SIGKILL.
fn end(child: &mut Child) {
    let Ok(group) = i32::try_from(child.id()) else { return };
    signal_group(group, Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    // The leader is reaped or about to be; what is left of its group goes now.
    signal_group(group, Signal::KILL);
    let _ = child.wait();
}

fn signal_group(group: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(group).filter(|_| group > 1) {
        // A group that is already gone is what was wanted.
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn lives(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    }

    #[test]
    fn lines_of_both_streams_come_in_order_and_the_status_is_the_command_s() {
        let mut lines = Vec::new();
        let script = "echo one; echo two >&2; printf three; exit 7";
        let status = run(&mut shell(script), GRACE, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["one", "two", "three"]);
        assert_eq!(status.code(), Some(7));
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended_with_its_children() {
        let mut child = String::new();
        let mut endless = shell("sleep 600 & echo $!; wait");
        let error =
            run(&mut endless, Duration::from_millis(300), |line| line.clone_into(&mut child)).unwrap_err();
        assert_eq!(error.to_string(), "took longer than allowed");
        assert!(!child.is_empty() && !lives(&child), "process {child} is left");
    }

    #[test]
    fn what_a_failed_command_said_last_is_its_error() {
        let error = output(&mut shell("seq 9; exit 1"), GRACE).unwrap_err().to_string();
        assert!(error.ends_with("5\n6\n7\n8\n9"), "{error}");
    }

    #[test]
    fn a_service_is_ended_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut service = Service::start("a sleeper", &mut shell("echo up; exec sleep 600"), &log).unwrap();
        let is_up = || std::fs::read_to_string(&log).is_ok_and(|text| text == "up\n");
        service.wait_until(GRACE, is_up).unwrap();
        let pid = service.child.id().to_string();
        assert!(lives(&pid));
        drop(service);
        assert!(!lives(&pid));
    }

    #[test]
    fn a_service_that_ends_before_it_answers_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut service =
            Service::start("a quitter", &mut shell("exit 3"), &folder.path().join("log")).unwrap();
        let error = service.wait_until(GRACE, || false).unwrap_err().to_string();
        assert!(error.contains("a quitter ended with exit status: 3"), "{error}");
    }
}
