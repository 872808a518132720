//! `--json`: the run's events on standard output, for programs.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{Bench, Ended, wait};
use serde_json::Value;

const PIPELINE: &str = "
stages: [a, b]
good: {stage: a, script: [echo hello]}
bad: {stage: a, script: [printf 'x\\377y', exit 3]}
late: {stage: b, script: ['true']}
";

/// The events; every line is one.
#[track_caller]
fn events(ended: &Ended) -> Vec<Value> {
    let lines = ended.stdout.lines();
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Checks what holds for the stream of every run.
#[track_caller]
fn check(events: &[Value], args: &[&str]) {
    let numbers: Vec<_> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "{args:?}");
    let types: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    let of_run = |name| types.iter().filter(|kind| **kind == name).count();
    assert_eq!((types.first(), types.last()), (Some(&"run_started"), Some(&"run_finished")), "{args:?}");
    assert_eq!((of_run("run_started"), of_run("run_finished")), (1, 1), "{args:?}");
    let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event["runId"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{args:?}: {ids:?}");
    let times: Vec<_> = events.iter().map(|event| event["time"].as_str().unwrap_or_default()).collect();
    assert!(times.iter().all(|time| time.ends_with('Z')), "{times:?}");
}

// covers: local-ci 6, local-ci 25, local-ci 29
#[test]
fn every_line_is_an_event_and_they_are_numbered_without_a_gap() {
    let bench = Bench::with(PIPELINE);
    for (args, code) in [
        (&["run", "--json"][..], 1),
        (&["run", "--json", "--parallel"], 1),
        (&["run", "--json", "--parallel-stages"], 1),
        (&["run", "--json", "-j", "good"], 0),
    ] {
        let ended = bench.run(args).expect(code);
        let events = events(&ended);
        check(&events, args);
        assert_eq!(events.last().unwrap()["outcome"], if code == 0 { "succeeded" } else { "failed" });
    }
}

#[test]
fn what_is_written_is_what_lies_in_the_event_log() {
    let bench = Bench::with(PIPELINE);
    let ended = bench.run(&["run", "--json"]).expect(1);
    let [run] = &bench.runs()[..] else { panic!("one run") };
    let log = std::fs::read_to_string(bench.state().join("runs").join(run).join("events.ndjson")).unwrap();
    assert_eq!(ended.stdout, log);
}

// covers: local-ci 30
#[test]
fn a_run_that_cannot_be_prepared_has_its_first_and_its_last_event() {
    let bench = Bench::with(PIPELINE).without_engine();
    bench.file("broken.yaml", "stages: [a]\nx: {stage: b}\n");
    bench.file("image.yaml", "stages: [a]\nx: {stage: a, image: 'busybox:1', script: ['true']}\n");
    let secret = "stages: [a]\nx: {stage: a, secrets: {T: {env: NOT_SET_ANYWHERE}}, script: ['true']}\n";
    bench.file("secret.yaml", secret);
    for (args, code) in [
        (&["run", "--json", "-c", "nothing.yaml"][..], 4),
        (&["run", "--json", "-c", "broken.yaml"], 2),
        (&["run", "--json", "-c", "image.yaml"], 3),
        (&["run", "--json", "-c", "secret.yaml"], 2),
        (&["run", "--json", "-C", "nowhere"], 4),
        (&["run", "--json", "-C", "/"], 4),
        (&["run", "--json", "-j", "nobody"], 4),
        (&["run", "--json", "-s", "nowhere"], 4),
        (&["run", "--json", "-b", "nowhere"], 3),
        (&["run", "--json", "-b", "docker"], 3),
        (&["run", "--json", "--remote", "file:///nonexistent"], 3),
        (&["run", "--json", "--remote=--upload-pack=hunter2"], 2),
    ] {
        let ended = bench.run(args);
        assert_eq!(ended.code(), code, "{args:?}: {ended:?}");
        let events = events(&ended);
        check(&events, args);
        let last = events.last().unwrap();
        assert!(last["err"].as_str().is_some_and(|error| !error.is_empty()), "{args:?}: {last}");
        assert_ne!(last["outcome"], "succeeded", "{args:?}");
        assert!(!ended.stderr.is_empty(), "{args:?}: a person is told, too");
    }
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn the_real_exit_code_and_bytes_that_are_no_text_are_there() {
    let ended = Bench::with(PIPELINE).run(&["run", "--json", "-j", "bad"]).expect(1);
    let events = events(&ended);
    let job = events.iter().find(|event| event["type"] == "job_finished").unwrap();
    assert_eq!((&job["exitCode"], &job["realExitCode"]), (&Value::from(1), &Value::from(3)));
    assert!(events.iter().any(|event| event.get("dataB64").is_some()), "{events:#?}");
}

#[test]
fn nobody_reading_any_more_does_not_end_the_run() {
    for args in [&["run", "--json"][..], &["run"]] {
        let bench = Bench::new();
        let mark = bench.root().join("mark");
        let gate = bench.root().join("gate");
        let script = format!(
            "stages: [a]\nx: {{stage: a, script: ['until test -e {}; do sleep 0.02; done', 'seq 20000', 'touch {}']}}\n",
            gate.display(),
            mark.display()
        );
        bench.file(".jobwright.yaml", script);
        let mut child = bench.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        drop(child.stderr.take());
        std::fs::write(gate, "").unwrap();
        assert_eq!(wait(&mut child).code(), Some(0), "{args:?}");
        assert!(mark.exists(), "{args:?}");
        assert_eq!(bench.leftovers(), [""; 0]);
    }
}
