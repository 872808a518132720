//! `jobwright graph`: the pipeline's jobs for a terminal, for Graphviz, and as a picture.

use std::fmt::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Bench, pinned};

const JOBS: &str = "
stages: [build, test, ship]
compile: {stage: build, script: ['true']}
assets: {stage: build, needs: compile, script: ['true']}
unit: {stage: test, needs: compile, script: ['true']}
lint: {stage: test, script: ['true']}
'say \"hi\" \\': {stage: ship, needs: [unit, assets], script: ['true']}
";

#[test]
fn a_terminal_shows_the_jobs_by_stage_with_their_needs() {
    let bench = Bench::with(JOBS);
    let ended = bench.run(&["graph"]).expect(0);
    pinned(&bench).bind(|| insta::assert_snapshot!(ended.stdout));
    assert_eq!(ended.stderr, "");
    assert!(!bench.state().exists(), "drawing leaves no state");
}

#[test]
fn graphviz_reads_the_dot_form() {
    let bench = Bench::with(JOBS);
    let drawn = bench.run(&["graph", "--format", "dot"]).expect(0).stdout;
    assert!(drawn.contains(r#""unit" -> "say \"hi\" \\";"#), "{drawn}");
    let file = bench.file("graph.dot", &drawn);
    match Command::new("dot").args(["-Tplain"]).arg(&file).output() {
        Ok(read) => assert!(read.status.success(), "{read:?}"),
        Err(error) => eprintln!("SKIPPED: the graph was not read by Graphviz: {error}"),
    }
}

#[test]
fn the_picture_is_the_same_each_time() {
    let bench = Bench::with(JOBS);
    let drawn = bench.run(&["graph", "--format", "svg"]).expect(0).stdout;
    assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"), "{drawn}");
    assert_eq!(drawn.matches("<rect x=").count(), 5);
    assert_eq!(bench.run(&["graph", "--format", "svg"]).expect(0).stdout, drawn);
}

#[test]
fn a_thousand_jobs_are_drawn_in_every_form() {
    let mut jobs = "stages: [a, b]\n".to_owned();
    for n in 0..500 {
        writeln!(jobs, "a{n}: {{stage: a, script: ['true']}}").unwrap();
        writeln!(jobs, "b{n}: {{stage: b, needs: [a{n}, a{}], script: ['true']}}", (n + 1) % 500).unwrap();
    }
    let bench = Bench::with(&jobs);
    for format in ["text", "dot", "svg"] {
        let begun = Instant::now();
        let drawn = bench.run(&["graph", "--format", format]).expect(0).stdout;
        assert!(drawn.contains("b499"), "{format}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{format}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_file_that_is_wrong_is_not_drawn() {
    let bench = Bench::with("stages: [a]\nx: {stage: b}\n");
    let ended = bench.run(&["graph"]).expect(2);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains(".jobwright.yaml:2"), "{}", ended.stderr);
    bench.run(&["graph", "-C", "/nonexistent"]).expect(4);
}
