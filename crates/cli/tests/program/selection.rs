//! `jobwright run`: which jobs, and with which variables.

use crate::support::Bench;

const JOBS: &str = "
stages: [one, two, three]
b: {stage: two, script: ['true']}
a: {stage: one, script: ['true']}
c: {stage: three, script: ['true']}
d: {stage: two, script: ['true']}
";

/// The jobs in the order in which they began.
fn begun(args: &[&str]) -> Vec<String> {
    let ended = Bench::with(JOBS).run(&[&["run"], args].concat()).expect(0);
    let marked = ended.stdout.lines().filter_map(|line| line.strip_prefix("▶ "));
    marked.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

// covers: local-ci 60
#[test]
fn named_jobs_run_in_the_files_order_however_they_are_named() {
    for args in [&["-j", "d,a,b"][..], &["-j", "a", "-j", "d", "--job", "b"], &["-j", "b,a", "--job=d,a"]] {
        assert_eq!(begun(args), ["b", "a", "d"], "{args:?}");
    }
}

#[test]
fn named_stages_are_run_and_named_jobs_win_over_them() {
    assert_eq!(begun(&["-s", "three,two"]), ["b", "c", "d"]);
    assert_eq!(begun(&["-s", "three", "--stage", "one"]), ["a", "c"]);
    assert_eq!(begun(&["-s", "three", "-j", "a"]), ["a"]);
}

// covers: local-ci 61
#[test]
fn what_is_not_there_is_an_error_that_lists_what_is() {
    let bench = Bench::with(JOBS);
    let ended = bench.run(&["run", "-j", "a,x"]).expect(4);
    assert!(ended.stderr.contains("there is no job \"x\"") && ended.stderr.contains("b, a, c, d"));
    let ended = bench.run(&["run", "-s", "four"]).expect(4);
    assert!(
        ended.stderr.contains("\"four\"") && ended.stderr.contains("one, two, three"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
}

// covers: local-ci 91
#[test]
fn variables_of_the_command_line_win_over_those_of_the_file() {
    let bench = Bench::with(
        "stages: [a]\nvariables: {A: top, B: top}\nx: {stage: a, variables: {B: job}, script: ['echo \"<$A|$B|$C|$D|$E>\"']}\n",
    );
    let mut command = bench.command(&["run", "-e", "B=b=1,2", "--env", "C=", "-e", "D", "-e", "E=a b"]);
    command.env("D", "from here");
    let ended = bench.end(command).expect(0);
    assert!(ended.stdout.contains("\n<top|b=1,2||from here|a b>\n"), "{}", ended.stdout);
}

#[test]
fn a_variable_that_cannot_be_one_is_refused_without_its_value() {
    let bench = Bench::with(JOBS);
    for entry in ["=hunter2", "", "NOT_SET_ANYWHERE"] {
        let ended = bench.run(&["run", "-e", entry]).expect(2);
        assert!(ended.stderr.contains("--env"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
    assert!(bench.runs().is_empty());
}
