//! What is drawn of one pipeline in each form, and of a large one how fast.

use std::fmt::Write;
use std::time::{Duration, Instant};

use jobwright_pipeline::Loader;

use super::{Graph, dot, svg, text};

const PIPELINE: &str = r#"
stages: [build, test, "ship \"it\" <now> & \\N"]
compile: {stage: build, script: ['true']}
assets: {stage: build, needs: compile, script: ['true']}
watch: {stage: build, parallel: true, script: ['true']}
unit:
  stage: test
  needs: [compile]
  matrix: [{OS: [linux, mac], N: [1, 2]}]
  script: ['true']
e2e: {stage: test, needs: [unit, assets], script: ['true'], if: branch == "main"}
lint: {stage: test, script: ['true']}
'say "hi" \ <b> & é': {stage: "ship \"it\" <now> & \\N", needs: [unit], script: ['true']}
"#;

fn graph(pipeline: &str) -> Graph {
    Graph::of(&Loader::new().every_key().parse("p.yaml", pipeline.as_bytes()).unwrap())
}

#[test]
fn jobs_stand_by_stage_with_what_they_need_and_a_matrix_as_one() {
    insta::assert_snapshot!(text::draw(&graph(PIPELINE)));
}

#[test]
fn dot_keeps_every_name_as_it_is() {
    insta::assert_snapshot!(dot::draw(&graph(PIPELINE)));
}

#[test]
fn a_picture_has_a_column_for_each_stage_and_one_more_for_needs_within_it() {
    insta::assert_snapshot!(svg::draw(&graph(PIPELINE)));
}

#[test]
fn a_job_that_needs_a_matrix_has_one_line_from_it() {
    let graph = graph(PIPELINE);
    let e2e = graph.nodes.iter().find(|node| node.name == "e2e").unwrap();
    let needs: Vec<&str> = e2e.needs.iter().map(|need| graph.nodes[*need].name.as_str()).collect();
    assert_eq!(needs, ["assets", "unit"]);
}

#[test]
fn many_variants_and_needs_are_counted() {
    let mut pipeline = "stages: [a, b]\n".to_owned();
    (0..12).for_each(|n| writeln!(pipeline, "j{n}: {{stage: a, script: ['true']}}").unwrap());
    let all: Vec<String> = (0..12).map(|n| format!("j{n}")).collect();
    writeln!(pipeline, "end: {{stage: b, needs: [{}], script: ['true']}}", all.join(", ")).unwrap();
    let drawn = text::draw(&graph(&pipeline));
    assert!(drawn.contains("└─ end  ← j0, j1, j2, j3, j4, j5, j6, j7, … and 4 more\n"), "{drawn}");
}

#[test]
fn a_thousand_jobs_are_drawn_at_once_whatever_their_form() {
    let mut pipeline = "stages: [a, b]\nj0: {stage: a, script: ['true']}\n".to_owned();
    for n in 1..500 {
        // A chain as long as the stage, and a stage that needs all over it.
        writeln!(pipeline, "j{n}: {{stage: a, needs: j{}, script: ['true']}}", n - 1).unwrap();
        let needs: Vec<String> = (0..20).map(|k| format!("j{}", (n * 7 + k * 13) % 500)).collect();
        writeln!(pipeline, "k{n}: {{stage: b, needs: [{}], script: ['true']}}", needs.join(", ")).unwrap();
    }
    let graph = graph(&pipeline);
    let begun = Instant::now();
    let drawn = [text::draw(&graph), dot::draw(&graph), svg::draw(&graph)];
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(drawn[1].matches(" -> ").count(), 499 + 499 * 20);
    assert_eq!(drawn[2].matches("<path ").count(), 499 + 499 * 20);
}

#[test]
fn a_pipeline_without_needs_says_nothing_of_them() {
    let drawn = text::draw(&graph("stages: [a, b]\nx: {stage: a, script: ['true']}\n"));
    assert_eq!(drawn, "1 job(s) in 2 stage(s)\n\na\n└─ x\n\nb\n  (no job)\n");
    assert!(svg::draw(&graph("stages: [a]\nx: {stage: a, script: ['true']}\n")).contains("</svg>"));
}
