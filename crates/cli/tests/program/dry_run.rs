//! `jobwright run --dry-run`: what would run, and nothing of it happens.

use serde_json::{Value, json};

use crate::support::{Bench, Ended, docker, pinned};

const JOBS: &str = "
stages: [build, test]
variables: {ALL: hunter2}
secrets: {TOKEN: {env: NOT_SET_ANYWHERE}}
compile: {stage: build, script: ['touch made']}
unit: {stage: test, needs: compile, variables: {OWN: hunter2}, script: ['true']}
lint: {stage: test, script: ['true']}
";

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}

#[test]
fn people_read_what_would_run_where_and_when() {
    let bench = Bench::with(JOBS).without_engine();
    let ended = bench.run(&["run", "--dry-run", "--limit", "3", "--env", "GIVEN=hunter2"]).expect(0);
    pinned(&bench).bind(|| insta::assert_snapshot!(ended.stdout));
    assert_eq!(ended.stderr, "");
    assert!(!ended.stdout.contains("hunter2"), "no value is shown");
}

#[test]
fn nothing_runs_and_nothing_is_written() {
    let bench = Bench::with(JOBS).without_engine();
    bench.run(&["run", "--dry-run"]).expect(0);
    assert!(!bench.state().exists(), "no state");
    assert!(!bench.project().join("made").exists());
    assert_eq!(std::fs::read_dir(bench.project()).unwrap().count(), 1, "the file alone");
    assert_eq!(std::fs::read_dir(bench.root().join("tmp")).unwrap().count(), 0, "no temporary file");
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn programs_get_the_same_as_one_object() {
    let bench = Bench::with(JOBS).without_engine();
    let told = json(&bench.run(&["run", "--dry-run", "--json", "--limit", "3"]).expect(0));
    assert_eq!((&told["order"], &told["limit"]), (&json!("needs"), &json!(3)));
    let unit = &told["jobs"][1];
    assert_eq!(unit["name"], "unit");
    assert_eq!(unit["backend"], "process");
    assert_eq!(unit["waitsFor"], json!({"jobs": ["compile"]}));
    assert_eq!(unit["variables"], json!(["ALL", "OWN"]));
    assert_eq!(unit["secrets"], json!(["TOKEN"]));
    assert_eq!(told["jobs"][2]["waitsFor"], "earlier stages");
    assert_eq!(told["jobs"][0]["waitsFor"], "nothing");
}

#[test]
fn a_job_whose_condition_does_not_hold_is_told_with_the_reason_and_needs_no_backend() {
    let bench = Bench::with(
        "stages: [a]\nx: {stage: a, if: vars.GO == '1', image: 'alpine:3', script: ['true']}\n\
         y: {stage: a, matrix: [{N: ['1', '2']}], script: ['true']}\nz: {stage: a, parallel: true, script: ['true']}\n",
    );
    let bench = bench.without_engine();
    let told = json(&bench.run(&["run", "--dry-run", "--json"]).expect(0));
    let jobs = told["jobs"].as_array().unwrap();
    assert_eq!(jobs[0]["skipped"], "`vars.GO == '1'` does not hold");
    assert_eq!(jobs[0]["backend"], Value::Null);
    assert_eq!((&jobs[1]["variantOf"], &jobs[2]["waitsFor"]), (&json!("y"), &json!("previous")));
    assert_eq!((&jobs[3]["detached"], &jobs[3]["waitsFor"]), (&json!(true), &json!("nothing")));
    let text = bench.run(&["run", "--dry-run"]).expect(0).stdout;
    assert!(text.contains("  would be skipped: `vars.GO == '1'` does not hold\n"), "{text}");
    bench.run(&["run", "--dry-run", "--env", "GO=1"]).expect(3);
}

// covers: local-ci 60
#[test]
fn jobs_are_selected_as_in_a_run() {
    let bench = Bench::with(JOBS).without_engine();
    let told = json(&bench.run(&["run", "--dry-run", "--json", "-j", "lint,unit"]).expect(0));
    let names: Vec<_> = told["jobs"].as_array().unwrap().iter().map(|job| job["name"].clone()).collect();
    assert_eq!(names, ["unit", "lint"]);
    assert_eq!(told["jobs"][0]["notSelected"], json!(["compile"]));
    assert_eq!(told["jobs"][0]["waitsFor"], "nothing");
    bench.run(&["run", "--dry-run", "-j", "nobody"]).expect(4);
    bench.run(&["run", "--dry-run", "-s", "nowhere"]).expect(4);
}

#[test]
fn the_mode_tells_the_order() {
    let bench =
        Bench::with("stages: [a, b]\nx: {stage: a, script: ['true']}\ny: {stage: b, script: ['true']}\n");
    let bench = bench.without_engine();
    for (flags, order, second) in [
        (&[][..], "sequential", "previous"),
        (&["--parallel"], "parallel", "nothing"),
        (&["--parallel-stages"], "parallel-stages", "earlier stages"),
    ] {
        let told = json(&bench.run(&[&["run", "--dry-run", "--json"], flags].concat()).expect(0));
        assert_eq!(
            (&told["order"], &told["jobs"][1]["waitsFor"]),
            (&json!(order), &json!(second)),
            "{flags:?}"
        );
    }
}

#[test]
fn what_would_keep_a_run_from_beginning_is_the_same_error() {
    let bench = Bench::with(
        "stages: [a]\nx: {stage: a, image: 'alpine:3', services: [postgres], script: ['true']}\n",
    );
    let bench = bench.without_engine();
    let ended = bench.run(&["run", "--dry-run"]).expect(3);
    assert!(ended.stderr.contains("/nonexistent/docker.sock"), "{}", ended.stderr);
    let ended = bench.run(&["run", "--dry-run", "--backend", "process"]).expect(2);
    assert!(ended.stderr.contains("postgres"), "{}", ended.stderr);
    bench.file(".jobwright.yaml", "stages: [a]\nx: {stage: b}\n");
    bench.run(&["run", "--dry-run"]).expect(2);
    assert!(!bench.state().exists());
}

#[test]
fn a_job_with_an_image_would_run_on_an_engine_and_nothing_is_made_there() {
    let Some(host) = docker() else { return };
    let bench = Bench::with(
        "stages: [a]\nx: {stage: a, image: 'no/such:1', services: [postgres:16], script: ['true']}\n",
    );
    let bench = bench.on(host);
    let told = json(&bench.run(&["run", "--dry-run", "--json"]).expect(0));
    let job = &told["jobs"][0];
    assert_eq!((&job["backend"], &job["image"]), (&json!("docker"), &json!("no/such:1")));
    assert_eq!(job["services"], json!([{"alias": "postgres", "image": "postgres:16"}]));
    assert!(!bench.state().exists());
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_remote_file_is_looked_at_and_no_clone_stays() {
    let source = Bench::with(JOBS);
    let git = "git init -q && git add -A && git -c user.name=a -c user.email=a@b commit -qm one";
    let made =
        std::process::Command::new("sh").args(["-c", git]).current_dir(source.project()).status().unwrap();
    assert!(made.success());
    let bench = Bench::new().without_engine();
    let remote = source.project().display().to_string();
    let told = json(&bench.run(&["run", "--dry-run", "--json", "--remote", &remote]).expect(0));
    assert_eq!(told["jobs"].as_array().unwrap().len(), 3);
    assert_eq!(told["commit"].as_str().unwrap().len(), 40);
    assert_eq!(std::fs::read_dir(bench.root().join("tmp")).unwrap().count(), 0, "no clone");
}

const WHOLE: &str = "
stages: [a]
whole:
  stage: a
  retry: {max: 2, on: [infrastructure, out_of_memory], exit_codes: [75]}
  allow_failure: {exit_codes: [3, 4]}
  concurrency: {group: deploy, limit: 1}
  matrix: {values: {N: [x, y]}, max_parallel: 1}
  cache: {key: 'deps-${LOCK}', paths: [node_modules], policy: pull}
  artifacts: {paths: [dist/**], when: always}
  job_bootstrap: {run: [make ready, make more]}
  job_cleanup: {run: [make clean]}
  script: ['true']
once: {stage: a, retry: 1, allow_failure: true, script: ['true']}
";

#[test]
fn what_a_job_may_and_keeps_and_does_on_the_host_is_told() {
    let bench = Bench::with(WHOLE).without_engine();
    let text = bench.run(&["run", "--dry-run", "--limit", "3"]).expect(0).stdout;
    pinned(&bench).bind(|| insta::assert_snapshot!(text));
    let told = json(&bench.run(&["run", "--dry-run", "--json"]).expect(0));
    let whole = &told["jobs"][0];
    assert_eq!(
        whole["retry"],
        json!({"max": 2, "on": ["infrastructure", "out_of_memory"], "exitCodes": [75]})
    );
    assert_eq!(whole["allowFailure"], json!({"exitCodes": [3, 4]}));
    assert_eq!(
        (&whole["maxParallel"], &whole["concurrency"]),
        (&json!(1), &json!({"group": "deploy", "limit": 1}))
    );
    let cache = json!({"key": "deps-${LOCK}", "paths": ["node_modules"], "policy": "pull"});
    assert_eq!(whole["caches"], json!([cache]));
    assert_eq!(whole["artifacts"], json!({"paths": ["dist/**"], "when": "always"}));
    assert_eq!(
        (&whole["bootstrap"], &whole["cleanup"]),
        (&json!(["make ready", "make more"]), &json!(["make clean"]))
    );
    let once = &told["jobs"][2];
    assert_eq!((&once["retry"]["max"], &once["allowFailure"]), (&json!(1), &json!(true)));
    assert_eq!((&once["caches"], &once["artifacts"]), (&json!([]), &Value::Null));
}

#[test]
fn commands_on_the_host_need_the_process_backend_wherever_the_script_runs() {
    let Some(host) = docker() else { return };
    let bench = Bench::with(
        "stages: [a]\nx: {stage: a, image: 'jobwright-test/base:latest', job_bootstrap: {run: [ls]}, script: ['true']}\n",
    );
    let bench = bench.on(host);
    bench.run(&["run", "--dry-run"]).expect(0);
    let mut command = bench.command(&["run", "--dry-run"]);
    command.env("JOBWRIGHT_SHIM", "/nonexistent/shim");
    let ended = bench.end(command).expect(3);
    assert!(ended.stderr.contains("/nonexistent/shim"), "{}", ended.stderr);
}
