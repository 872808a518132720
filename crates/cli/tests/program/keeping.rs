//! `run --keep-failed`, `shell --failed` and `clean`: what is kept on purpose, entered, and removed.

use std::path::Path;

use rustix::process::Signal;

use crate::support::{Bench, IMAGE, docker, wait_for};

/// The backends that are here, each with the address of its engine.
fn backends() -> Vec<(Option<&'static str>, &'static str)> {
    let process = (None, "process");
    docker().map(|host| (Some(host), "docker")).into_iter().chain([process]).collect()
}

fn bench(host: Option<&str>, jobs: &str) -> Bench {
    let bench = match host {
        Some(host) => Bench::new().on(host),
        None => Bench::new().without_engine(),
    };
    bench.file(".jobwright.yaml", format!("stages: [one]\n{}", jobs.replace("IMAGE", IMAGE)));
    bench
}

fn run_of(bench: &Bench) -> String {
    let runs = bench.runs();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

/// Whether any file below `folder` has `text` in it.
fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| match entry.path() {
        path if path.is_dir() => holds(&path, text),
        path => String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(text),
    })
}

const FAILING: &str = "build:
  stage: one
  image: IMAGE
  variables: {COLOUR: blue}
  secrets: {TOKEN: {env: KEEP_TOKEN}}
  script: ['echo half >made', 'exit 3']
  after_script: ['echo after >after']
";

#[test]
fn what_a_failed_job_left_is_kept_entered_and_removed_on_request_only() {
    for (host, backend) in backends() {
        let bench = bench(host, FAILING);
        let mut command = bench.command(&["run", "--keep-failed", "--backend", backend]);
        command.env("KEEP_TOKEN", "s3cr3t-t0k3n");
        let ended = bench.end(command).expect(1);
        let run = run_of(&bench);
        let enter = format!("kept: build; enter it with `jobwright shell --failed {run} build`\n");
        let remove = format!("`jobwright clean {run}` removes what is kept\n");
        assert!(ended.stderr.ends_with(&(enter + &remove)), "{backend}: {}", ended.stderr);
        assert!(!holds(&bench.state().join("runs"), "s3cr3t-t0k3n"), "{backend}: a secret is on disk");

        let told = bench.run(&["clean"]).expect(0).stdout;
        let alone =
            format!("{run}: what job build left is kept on purpose; `jobwright clean {run}` removes it\n");
        assert_eq!(told, alone + "nothing to remove\n", "{backend}");

        let shell = |args: &[&str]| bench.run(&[&["shell", "--failed", &run], args].concat());
        let inside =
            shell(&["build", "--", "sh", "-c", "cat made; echo $COLOUR $TOKEN; ls; exit 9"]).expect(9);
        assert_eq!(inside.stdout, "half\nblue s3cr3t-t0k3n\nmade\n", "{backend}");
        shell(&["--", "sh", "-c", "echo whole >made"]).expect(0);
        assert_eq!(shell(&["--", "cat", "made"]).expect(0).stdout, "whole\n", "{backend}");

        let told = bench.run(&["clean", "--dry-run", &run]).expect(0).stdout;
        assert!(told.ends_with("1 leftover(s) would be removed\n"), "{told}");
        assert!(bench.run(&["clean", &run]).expect(0).stdout.ends_with("1 leftover(s) removed\n"));
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
        let gone = shell(&["build"]).expect(125);
        assert!(gone.stderr.contains(&format!("nothing of run {run} is kept")), "{}", gone.stderr);
    }
}

#[test]
fn only_what_failed_for_good_is_kept() {
    let jobs = "good: {stage: one, image: IMAGE, script: ['true']}
again: {stage: one, image: IMAGE, retry: 2, script: ['exit 3']}
may: {stage: one, image: IMAGE, allow_failure: true, script: ['exit 4']}
";
    for (host, backend) in backends() {
        let bench = bench(host, jobs);
        let ended = bench.run(&["run", "--keep-failed", "--parallel", "--backend", backend]).expect(1);
        let kept: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("kept: ")).collect();
        assert!(
            kept.len() == 2 && kept[0].starts_with("kept: again;") && kept[1].starts_with("kept: may;"),
            "{kept:?}"
        );
        let run = run_of(&bench);
        let which = bench.run(&["shell", "--failed", &run, "--", "true"]).expect(125);
        assert!(
            which.stderr.contains("several jobs of the run are kept; name one: again, may"),
            "{}",
            which.stderr
        );
        let near = bench.run(&["shell", "--failed", &run, "agian", "--", "true"]).expect(125);
        assert!(near.stderr.contains("\"agian\" was not kept; did you mean \"again\"?"), "{}", near.stderr);
        assert!(bench.run(&["clean", "--kept"]).expect(0).stdout.ends_with("2 leftover(s) removed\n"));
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn a_job_that_took_too_long_is_kept_as_it_was() {
    for (host, backend) in backends() {
        let bench = bench(
            host,
            "slow: {stage: one, image: IMAGE, timeout: 3s, script: ['echo half >made; sleep 1000777']}\n",
        );
        bench.run(&["run", "--keep-failed", "--backend", backend]).expect(5);
        let run = run_of(&bench);
        let look = "cat made; ps -o args 2>/dev/null | grep -c '^sleep 1000777'";
        let inside = bench.run(&["shell", "--failed", &run, "--", "sh", "-c", look]);
        assert_eq!(inside.stdout, "half\n0\n", "{backend}: {}", inside.stderr);
        bench.run(&["clean", &run]).expect(0);
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn a_run_that_is_cancelled_keeps_nothing() {
    let bench = bench(None, "slow: {stage: one, image: IMAGE, script: ['echo running; sleep 1000000']}\n");
    let running = bench.start(bench.command(&["run", "--keep-failed", "--backend", "process"]));
    assert!(wait_for(|| running.stdout_now().contains("running\n")));
    running.signal(Signal::INT);
    let ended = running.end().expect(130);
    assert!(!ended.stderr.contains("kept"), "{}", ended.stderr);
    assert_eq!(bench.leftovers(), [""; 0]);
    assert_eq!(bench.run(&["clean"]).expect(0).stdout, "nothing to remove\n");
}

#[test]
fn somebody_inside_keeps_others_out_and_a_killed_one_leaves_it_as_it_is() {
    for (host, backend) in backends() {
        let bench = bench(host, "build: {stage: one, image: IMAGE, script: ['echo half >made', 'exit 3']}\n");
        bench.run(&["run", "--keep-failed", "--backend", backend]).expect(1);
        let run = run_of(&bench);
        let inside = ["shell", "--failed", &run, "--", "sh", "-c", "echo in; sleep 1000000"];
        let mut running = bench.start(bench.command(&inside));
        assert!(wait_for(|| running.stdout_now() == "in\n"), "{backend}: {}", running.stderr_now());
        let other = bench.run(&["shell", "--failed", &run, "--", "true"]).expect(125);
        assert!(other.stderr.contains("is in use by another jobwright"), "{}", other.stderr);
        let cleaned = bench.run(&["clean", &run]).expect(0);
        assert!(cleaned.stdout.contains("is left alone"), "{}", cleaned.stdout);
        running.child.kill().unwrap();
        running.end();
        let again = bench.run(&["shell", "--failed", &run, "--", "cat", "made"]).expect(0);
        assert_eq!(again.stdout, "half\n", "{backend}");
        bench.run(&["clean", &run]).expect(0);
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn what_is_no_kept_run_is_one_clear_error() {
    let bench = bench(None, "good: {stage: one, image: IMAGE, script: ['true']}\n");
    bench.run(&["run", "--keep-failed", "--backend", "process"]).expect(0);
    let run = run_of(&bench);
    for (args, code, expected) in [
        (&["shell", "--failed", &run][..], 125, "no job failed, it ran without --keep-failed"),
        (&["shell", "--failed", "20200101T000000Z-000000"], 125, "there is no run 20200101T000000Z-000000"),
        (&["shell", "--failed", "yesterday"], 125, "\"yesterday\" is no run"),
        (&["shell", "--failed", &run, "-c", "x.yaml"], 2, "cannot be used with"),
        (&["clean", "20200101T000000Z-000000"], 4, "there is no run"),
        (&["clean", "yesterday"], 2, "\"yesterday\" is no run"),
    ] {
        let ended = bench.run(args).expect(code);
        assert!(ended.stderr.contains(expected), "{args:?}: {}", ended.stderr);
    }
    assert_eq!(bench.leftovers(), [""; 0]);
}
