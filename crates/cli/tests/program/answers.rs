//! The commands that only answer: help, completions, backends, validate. An answer that nobody reads to its end is no panic.

use std::process::{Command, Stdio};

use crate::support::{Bench, Ended, docker, pinned, wait};

#[test]
fn help_says_what_there_is() {
    let bench = Bench::new();
    for args in [
        &["--help"][..],
        &["run", "--help"],
        &["shell", "--help"],
        &["validate", "--help"],
        &["graph", "--help"],
        &["workflow", "run", "--help"],
        &["backends", "--help"],
        &["clean", "--help"],
        &["config", "--help"],
        &["config", "show", "--help"],
        &["exec", "--help"],
        &["executions", "exec", "--help"],
        &["executions", "rm", "--help"],
        &["completions", "--help"],
    ] {
        let Ended { stdout, .. } = bench.run(args).expect(0);
        assert!(stdout.contains("Usage: jobwright"), "{args:?}");
        assert!(stdout.lines().all(|line| line.chars().count() <= 100), "{args:?}: {stdout}");
    }
    let mut summary = bench.command(&["-h"]);
    summary.env_remove("JOBWRIGHT_STATE_DIR");
    let summary = bench.end(summary).expect(0).stdout;
    pinned(&bench).bind(|| insta::assert_snapshot!(summary));
    assert!(bench.run(&["--version"]).expect(0).stdout.starts_with("jobwright "));
    bench.run(&[]).expect(2);
    bench.run(&["fly"]).expect(2);
}

#[test]
fn completions_are_scripts_that_their_shells_take() {
    let bench = Bench::new();
    for (shell, check) in [("bash", &["-n"][..]), ("zsh", &["-n"]), ("fish", &["--no-execute"])] {
        let script = bench.run(&["completions", shell]).expect(0).stdout;
        let path = bench.file(shell, &script);
        match Command::new(shell).args(check).arg(&path).output() {
            Ok(checked) => assert!(checked.status.success(), "{shell}: {checked:?}"),
            Err(error) => eprintln!("SKIPPED: the {shell} completions were not read by {shell}: {error}"),
        }
    }
    bench.run(&["completions", "basic"]).expect(2);
    assert!(!bench.state().exists(), "no state is needed for it");
}

#[test]
fn backends_are_listed_with_what_they_can_or_why_they_cannot() {
    let bench = Bench::new().without_engine();
    let ended = bench.run(&["backends"]).expect(0);
    let mut settings = pinned(&bench);
    settings.add_filter(r"\[platform\]; .+", "[platform]; [capabilities]");
    settings.bind(|| insta::assert_snapshot!(ended.said()));
    let json: serde_json::Value =
        serde_json::from_str(&bench.run(&["backends", "--json"]).expect(0).stdout).unwrap();
    let rows: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), row["available"].as_bool().unwrap()))
        .collect();
    assert_eq!(rows, [("docker", false), ("process", true)]);
    assert!(json[0]["about"].as_str().unwrap().contains("/nonexistent/docker.sock"));
    if let Some(host) = docker() {
        let here = Bench::new().on(host).run(&["backends"]).expect(0).stdout;
        assert!(here.starts_with("docker     available      Docker "), "{here}");
    }
}

// covers: local-ci 116
#[test]
fn validate_tells_whether_a_file_is_right_by_its_exit_code() {
    let bench = Bench::with("stages: [a, b]\nx: {stage: a, script: ['true']}\n");
    let ended = bench.run(&["validate"]).expect(0);
    assert_eq!(
        ended.stdout,
        format!("{}/.jobwright.yaml is valid: 1 job(s) in 2 stage(s)\n", bench.project().display())
    );
    assert_eq!(ended.stderr, "");
    bench.file("warn.yaml", "stages: [a]\nx: {stage: a, scirpt: ['true'], script: ['true']}\n");
    let ended = bench.run(&["validate", "-c", "warn.yaml"]).expect(0);
    assert!(ended.stderr.contains("`scirpt`") && ended.stderr.contains("`script`"), "{}", ended.stderr);
    let ended = bench.run(&["validate", "-C", "/nonexistent"]).expect(4);
    assert!(ended.stderr.contains("/nonexistent"), "{}", ended.stderr);
    std::fs::remove_file(bench.project().join(".jobwright.yaml")).unwrap();
    std::fs::remove_file(bench.project().join("warn.yaml")).unwrap();
    let ended = bench.run(&["validate"]).expect(4);
    assert!(ended.stderr.contains(&*bench.project().to_string_lossy()), "{}", ended.stderr);
    bench.file("a.local-ci.yaml", "");
    bench.file("b.local-ci.yaml", "");
    let ended = bench.run(&["validate"]).expect(2);
    assert!(ended.stderr.contains("a.local-ci.yaml") && ended.stderr.contains("b.local-ci.yaml"));
    assert!(!bench.state().exists(), "checking a file leaves no state");
}

#[test]
fn an_answer_that_nobody_reads_is_no_panic() {
    let bench = Bench::with("stages: [a]\nx: {stage: b}\n");
    for args in [&["completions", "zsh"][..], &["backends"], &["clean"], &["validate"], &["run"], &["--help"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = bench
            .command(args)
            .stdout(Stdio::from(writer.try_clone().unwrap()))
            .stderr(Stdio::from(writer))
            .spawn()
            .unwrap();
        let code = wait(&mut child).code();
        assert!(matches!(code, Some(0..=4)), "{args:?}: {code:?}");
    }
}
