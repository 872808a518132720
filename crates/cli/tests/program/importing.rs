//! `jobwright import`: what it writes runs, what it cannot carry over is said, and nothing is written over.

use crate::support::Bench;

const GITLAB: &str = "
stages: [build, test]
default: {before_script: [echo before]}
compile:
  stage: build
  script: [echo compiled]
  environment: production
check:
  stage: test
  needs: [compile]
  script: [echo checked]
";

const WOODPECKER: &str = "
steps:
  - name: compile
    image: bash
    commands: [echo compiled]
  - name: check
    image: bash
    commands: [echo checked]
    failure: ignore
";

// covers: local-ci 93
#[test]
fn what_is_written_from_a_gitlab_file_runs_here() {
    let bench = Bench::new();
    bench.file(".gitlab-ci.yml", GITLAB);
    let imported = bench.run(&["import", "gitlab", "-o", ".jobwright.yaml"]).expect(0);
    assert!(imported.stderr.contains("environment"), "{}", imported.stderr);
    let text = std::fs::read_to_string(bench.project().join(".jobwright.yaml")).unwrap();
    assert!(
        text.lines().take_while(|line| line.starts_with('#')).any(|line| line.contains("environment")),
        "{text}"
    );
    let ran = bench.run(&["run", "--backend", "process"]).expect(0);
    assert!(ran.stdout.contains("compiled") && ran.stdout.contains("checked"), "{}", ran.stdout);
}

// covers: woodpecker 93
#[test]
fn what_is_written_from_a_woodpecker_file_runs_here() {
    let bench = Bench::new();
    bench.file(".woodpecker.yaml", WOODPECKER);
    let imported = bench.run(&["import", "woodpecker", ".woodpecker.yaml"]).expect(0);
    bench.file(".jobwright.yaml", imported.stdout);
    let ran = bench.run(&["run", "--backend", "process"]).expect(0);
    assert!(ran.stdout.contains("compiled") && ran.stdout.contains("checked"), "{}", ran.stdout);
}

#[test]
fn a_file_that_is_there_is_replaced_only_by_force() {
    let bench = Bench::new();
    bench.file(".gitlab-ci.yml", GITLAB);
    bench.file("mine.yaml", "mine");
    let refused = bench.run(&["import", "gitlab", "-o", "mine.yaml"]).expect(2);
    assert!(refused.stderr.contains("`--force` replaces it"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(bench.project().join("mine.yaml")).unwrap(), "mine");
    bench.run(&["import", "gitlab", "-o", "mine.yaml", "--force"]).expect(0);
    assert!(std::fs::read_to_string(bench.project().join("mine.yaml")).unwrap().contains("compile"));
}

#[test]
fn what_is_not_there_or_wrong_is_one_error() {
    let bench = Bench::new();
    let missing = bench.run(&["import", "gitlab", "nowhere.yml"]).expect(4);
    assert!(missing.stderr.contains("nowhere.yml"), "{}", missing.stderr);
    bench.file("wrong.yml", "a: [1\n");
    let wrong = bench.run(&["import", "woodpecker", "wrong.yml"]).expect(2);
    assert!(wrong.stderr.contains("wrong.yml") && wrong.stdout.is_empty(), "{}", wrong.stderr);
}
