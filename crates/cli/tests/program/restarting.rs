//! The owner of a run is killed, and while nobody owns it the Docker engine itself is restarted: with its option to keep containers alive
//! meanwhile the run goes on as if nothing had been; without it the containers are gone, and that is what is told.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Bench, Ended, IMAGE, OwnEngine, docker, wait_for};

const LINES: usize = 250;

/// Longer than an engine takes to restart; it says how it was ended, if it was.
const SCRIPT: &str = "trap 'echo told to end; exit 9' TERM; i=0; while [ $i -lt 250 ]; do i=$((i+1)); echo line $i; sleep 0.03; done";

/// An engine with the image of steps; none, with a line that says why, where there can be none.
fn engine(live_restore: bool) -> Option<OwnEngine> {
    let usual = docker()?;
    let started = OwnEngine::start(live_restore).and_then(|engine| {
        hand_over_image(usual, &engine.host())?;
        Ok(engine)
    });
    started.map_err(|why| eprintln!("SKIPPED: the restart of an engine: {why}")).ok()
}

fn hand_over_image(from: &str, to: &str) -> Result<(), String> {
    let told = |error: std::io::Error| format!("docker: {error}");
    let mut save = Command::new("docker")
        .args(["--host", from, "save", IMAGE])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(told)?;
    let archive = save.stdout.take().expect("it is piped");
    let load = Command::new("docker")
        .args(["--host", to, "load", "--quiet"])
        .stdin(archive)
        .output()
        .map_err(told)?;
    match save.wait().map_err(told)?.success() && load.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&load.stderr).into_owned()),
    }
}

/// What the one who takes over says, and the run's events; the owner is killed after some lines, then the engine restarted.
fn taken_over(live_restore: bool) -> Option<(Bench, Ended, Vec<Value>)> {
    let mut engine = engine(live_restore)?;
    let pipeline = format!(
        "stages: [a]\nchatty: {{stage: a, image: '{IMAGE}', network: {{host_mode: true}}, script: [\"{SCRIPT}\"]}}\n"
    );
    let bench = Bench::with(&pipeline).on(&engine.host());
    let mut running = bench.start(bench.command(&["run", "--backend", "docker"]));
    assert!(wait_for(|| running.stdout_now().contains("line 5\n")), "{}", running.stderr_now());
    running.child.kill().unwrap();
    running.end();
    engine.down(Signal::TERM);
    engine.up().unwrap();
    let run = bench.runs().pop().expect("the run");
    let ended = bench.run(&["run", "--resume", &run]);
    let log = std::fs::read_to_string(bench.state().join("runs").join(&run).join("events.ndjson")).unwrap();
    let events = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(bench.leftovers(), [""; 0]);
    Some((bench, ended, events))
}

fn printed(events: &[Value]) -> String {
    let of_job = events.iter().filter(|event| event["type"] == "log_line" && event["job"] == "chatty");
    of_job.map(|event| event["data"].as_str().unwrap()).collect()
}

fn finished(events: &[Value]) -> &Value {
    let mut ends = events.iter().filter(|event| event["type"] == "job_finished");
    let end = ends.next().expect("the job has ended");
    assert!(ends.next().is_none(), "it ended twice: {events:?}");
    end
}

// covers: woodpecker 82-83, 85
#[test]
fn a_run_goes_on_over_the_restart_of_an_engine_that_keeps_containers_alive() {
    let Some((_bench, ended, events)) = taken_over(true) else { return };
    ended.expect(0);
    assert_eq!(finished(&events)["realExitCode"].as_i64().unwrap_or(0), 0);
    let lines: Vec<String> = (1..=LINES).map(|line| format!("line {line}")).collect();
    let printed = printed(&events);
    let told: Vec<&str> = printed.lines().filter(|line| line.starts_with("line ")).collect();
    assert_eq!(told, lines, "every line once and in order");
}

#[test]
fn a_container_that_ended_with_its_engine_is_told_to_have_ended_so() {
    let Some((_bench, ended, events)) = taken_over(false) else { return };
    ended.expect(1);
    let end = finished(&events);
    assert_eq!((end["outcome"].as_str(), end["realExitCode"].as_i64()), (Some("failed"), Some(9)), "{end}");
    let printed = printed(&events);
    let told: Vec<&str> = printed.lines().filter(|line| line.starts_with("line ")).collect();
    let lines: Vec<String> = (1..=told.len()).map(|line| format!("line {line}")).collect();
    assert_eq!(told, lines, "every line that it wrote, once and in order");
    assert!(told.len() < LINES && printed.contains("told to end\n"), "{printed}");
}
