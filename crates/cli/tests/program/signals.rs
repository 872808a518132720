//! Ctrl-C and its relatives: the first ends the run and cleans up, the second leaves at once.

use std::net::TcpListener;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::support::{Bench, IMAGE, Running, docker, wait_for_file};

/// A bench with a job whose grandchild ignores SIGTERM, and the file that tells that it runs.
fn stubborn(host: Option<&'static str>) -> (Bench, PathBuf) {
    let bench = host.map_or_else(|| Bench::new().without_engine(), |host| Bench::new().on(host));
    let ready = bench.root().join("ready");
    let image = host.map(|_| format!("  image: {IMAGE}\n")).unwrap_or_default();
    let touch = host.map_or_else(|| format!("touch {}", ready.display()), |_| "echo ready".to_owned());
    bench.file(
        ".jobwright.yaml",
        format!(
            "stages: [a, b]\nstubborn:\n  stage: a\n{image}  script:\n    - |\n      sh -c 'trap \"\" TERM INT; {touch}; while :; do sleep 0.1; done' &\n      trap '' TERM INT\n      while :; do sleep 0.1; done\nlater: {{stage: b, image: '{IMAGE}', script: ['true']}}\n",
        ),
    );
    (bench, ready)
}

/// Starts the stubborn job and waits until its grandchild runs.
fn start(bench: &Bench, ready: &std::path::Path, args: &[&str], grace: &str) -> Running {
    let mut command = bench.command(args);
    command.env("JOBWRIGHT_PROCESS_STOP_TIMEOUT", grace).env("JOBWRIGHT_DOCKER_STOP_TIMEOUT", grace);
    let running = bench.start(command);
    if args.contains(&"docker") {
        assert!(crate::support::wait_for(|| running.stdout_now().contains("ready\n")), "the step runs");
    } else {
        wait_for_file(ready);
    }
    running
}

/// On which backends, with the flag that asks for each.
fn backends() -> Vec<(Option<&'static str>, &'static str)> {
    let mut all = vec![(None, "process")];
    all.extend(docker().map(|host| (Some(host), "docker")));
    all
}

fn pipeline_of(bench: &Bench, backend: &str) {
    if backend == "process" {
        let path = bench.project().join(".jobwright.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text.replace(&format!("image: '{IMAGE}', "), "")).unwrap();
    }
}

// covers: local-ci 73, local-ci 76, woodpecker 52
#[test]
fn the_first_ctrl_c_ends_the_whole_tree_cleans_up_and_is_130() {
    for (host, backend) in backends() {
        let (bench, ready) = stubborn(host);
        pipeline_of(&bench, backend);
        let running = start(&bench, &ready, &["run", "--backend", backend], "1");
        running.signal(Signal::INT);
        let ended = running.end().expect(130);
        assert!(ended.stderr.contains("ending the run and cleaning up"), "{}", ended.stderr);
        assert!(
            ended.stdout.contains("■ stubborn  ") && ended.stdout.contains("by the user"),
            "{}",
            ended.stdout
        );
        assert!(ended.stdout.contains("■ later  cancelled"), "{}", ended.stdout);
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
        assert_eq!(bench.run(&["clean"]).expect(0).stdout, "nothing to remove\n");
    }
}

#[test]
fn the_second_ctrl_c_leaves_at_once_and_clean_removes_what_is_left() {
    for (host, backend) in backends() {
        let (bench, ready) = stubborn(host);
        pipeline_of(&bench, backend);
        let running = start(&bench, &ready, &["run", "--backend", backend], "300");
        running.signal(Signal::INT);
        assert!(crate::support::wait_for(|| running.stderr_now().contains("once more leaves at once")));
        running.signal(Signal::INT);
        // With a grace of five minutes, only one that does not wait for it ends in time.
        let ended = running.end().expect(130);
        assert!(ended.stderr.contains("`jobwright clean` removes what is left"), "{}", ended.stderr);
        assert!(!bench.leftovers_now().is_empty(), "{backend}: it did not wait");
        let cleaned = bench.run(&["clean"]).expect(0);
        assert!(cleaned.stdout.contains("1 leftover(s) removed"), "{}", cleaned.stdout);
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn being_told_to_stop_is_8() {
    for signal in [Signal::TERM, Signal::HUP] {
        let (bench, ready) = stubborn(None);
        pipeline_of(&bench, "process");
        let running = start(&bench, &ready, &["run", "--json"], "1");
        running.signal(signal);
        let ended = running.end().expect(8);
        let last = ended.stdout.lines().last().unwrap();
        assert!(
            last.contains("\"outcome\":\"cancelled\"") && last.contains("\"cause\":\"by_shutdown\""),
            "{last}"
        );
        assert_eq!(bench.leftovers(), [""; 0]);
    }
}

#[test]
fn ctrl_c_before_anything_runs_is_130_too() {
    let bench = Bench::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/nothing", silent.local_addr().unwrap());
    let running = bench.start(bench.command(&["run", "--json", "--remote", &url]));
    let _connection = silent.accept().unwrap();
    running.signal(Signal::INT);
    let ended = running.end().expect(130);
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert!(
        lines[0].contains("run_started") && lines[1].contains("\"outcome\":\"cancelled\""),
        "{}",
        ended.stdout
    );
    assert_eq!((lines.len(), bench.leftovers()), (2, vec![]));
}
