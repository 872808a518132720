//! What a run looks like where standard output is no terminal.

use crate::support::{Bench, pinned};

const SEVERAL: &str = "
stages: [build, test]
hello:
  stage: build
  script: [echo hello, printf 'no line feed', echo to stderr >&2]
boom:
  stage: test
  script: [echo about to fail, exit 3, echo never]
after:
  stage: test
  script: [echo never]
";

const GRAPH: &str = "
stages: [a, b]
first: {stage: a, script: ['false']}
second: {stage: a, needs: [first], script: ['true']}
third: {stage: b, needs: [second], script: ['true']}
";

fn shown(pipeline: &str, args: &[&str], code: i32) -> (Bench, String) {
    let bench = Bench::with(pipeline);
    // The engine of this machine, if it has one, is not to be seen in a snapshot.
    let bench = bench.without_engine();
    let ended = bench.run(args).expect(code);
    (bench, ended.said())
}

// covers: local-ci 112
#[test]
fn a_sequential_run_shows_each_job_as_it_prints() {
    let (bench, said) = shown(&SEVERAL.replace(", echo to stderr >&2", ""), &["run"], 1);
    pinned(&bench).bind(|| insta::assert_snapshot!(said));
}

#[test]
fn jobs_side_by_side_have_their_lines_marked() {
    let (bench, said) =
        shown(&SEVERAL.replace(", echo to stderr >&2", ""), &["run", "--parallel", "--limit", "1"], 1);
    pinned(&bench).bind(|| insta::assert_snapshot!(said));
}

#[test]
fn a_graph_tells_what_it_skips_and_why() {
    let (bench, said) = shown(GRAPH, &["run"], 1);
    pinned(&bench).bind(|| insta::assert_snapshot!(said));
}

#[test]
fn the_only_job_of_a_run_is_not_marked_whatever_the_mode() {
    let (bench, said) = shown(GRAPH, &["run", "-j", "first", "--parallel"], 1);
    pinned(&bench).bind(|| insta::assert_snapshot!(said));
}

#[test]
fn a_run_that_cannot_be_prepared_says_one_error() {
    let (bench, said) = shown("stages: [a]\nx: {stage: b, script: ['true']}\n", &["run"], 2);
    pinned(&bench).bind(|| insta::assert_snapshot!(said));
}

#[test]
fn a_job_is_named_once_in_the_line_of_its_end() {
    let (_bench, said) = shown(SEVERAL, &["run", "-j", "boom"], 1);
    let line = said.lines().find(|line| line.starts_with("✗ boom")).unwrap();
    assert_eq!(line.matches("boom").count(), 1, "{line}");
}

// covers: local-ci 113
#[test]
fn without_a_terminal_nothing_is_repainted_or_coloured() {
    for args in [&["run"][..], &["run", "--parallel"], &["run", "--color", "never"], &["run", "-j", "nobody"]]
    {
        let ended = Bench::with(SEVERAL).run(args);
        let said = ended.said();
        assert!(!said.contains(['\x1b', '\r', '\x08']), "{args:?}: {said:?}");
    }
}

#[test]
fn colours_can_be_asked_for_and_no_color_is_heeded_unless_they_are() {
    let bench = Bench::with(SEVERAL);
    let coloured = |no_color: bool, args: &[&str]| {
        let mut command = bench.command(args);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        bench.end(command).stdout.contains("\x1b[32m")
    };
    assert!(coloured(false, &["run", "--color", "always"]));
    assert!(!coloured(true, &["run"]));
    assert!(!coloured(true, &["run", "--color", "auto"]));
    assert!(coloured(true, &["--color", "always", "run"]));
}

// covers: local-ci 112 (bytes)
#[test]
fn what_a_job_prints_comes_out_byte_by_byte() {
    let bench = Bench::with("stages: [a]\nx: {stage: a, script: [cat bytes]}\n");
    let bytes: Vec<u8> = (0..=255).chain(b"\xe2\x82".iter().copied()).collect();
    bench.file("bytes", &bytes);
    let output = bench.command(&["run"]).output().unwrap();
    assert!(output.stdout.windows(bytes.len()).any(|window| window == bytes), "{output:?}");
}

/// The streams keep their order: which of them a line came by is told in the events.
#[test]
fn standard_error_of_a_job_is_shown_where_it_belongs() {
    let ended = Bench::with(SEVERAL).run(&["run", "-j", "hello"]).expect(0);
    assert!(ended.stdout.contains("to stderr"), "{}", ended.stdout);
    assert!(!ended.stderr.contains("to stderr"), "{}", ended.stderr);
}

#[test]
fn a_failure_that_is_allowed_is_shown_as_such() {
    let pipeline = "stages: [t]\nlint: {stage: t, allow_failure: true, script: exit 3}\nnext: {stage: t, script: 'true'}\n";
    let (_, said) = shown(pipeline, &["run"], 0);
    assert!(said.contains("! lint  ") && said.contains("may fail: exited with non-zero status 3"), "{said}");
    assert!(said.contains("1 passed, 1 failed as allowed"), "{said}");
    assert!(!said.contains("✗"), "{said}");
}
