//! Which jobs a run takes, and the stream of a run that takes none (local-ci.md 2.4).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod support;

use jobwright_engine::{PrepareError, Spec, find_config};
use support::{Play, Scripted};

const TEXT: &str = "
stages: [build, test]
c: {stage: test, script: [x]}
a: {stage: build, script: [x]}
b: {stage: build, script: [x]}
";

async fn order(spec: Spec) -> Vec<String> {
    let play = Play { spec, ..Play::of(TEXT) };
    play.run(Scripted::new([])).await.wire()[0].order.clone()
}

// covers: local-ci 58, 59, 60
#[tokio::test]
async fn named_jobs_and_stages_are_taken_in_the_files_order_and_jobs_win() {
    let jobs = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(order(Spec { job_names: jobs(&["a", "c"]), ..Spec::default() }).await, ["c", "a"]);
    assert_eq!(order(Spec { stages: jobs(&["build", "test"]), ..Spec::default() }).await, ["c", "a", "b"]);
    let both = Spec { job_names: jobs(&["b"]), stages: jobs(&["test"]), ..Spec::default() };
    assert_eq!(order(both).await, ["b"]);
}

// covers: local-ci 92
#[test]
fn the_usual_file_is_taken_without_asking_else_the_only_one_there_is() {
    let project = tempfile::tempdir().unwrap();
    let found = |file: &str| {
        std::fs::write(project.path().join(file), "").unwrap();
        match find_config(project.path()) {
            Ok(path) => path.file_name().unwrap().to_string_lossy().into_owned(),
            Err(error) => error.to_string(),
        }
    };
    assert!(matches!(find_config(project.path()), Err(PrepareError::NoConfig(_))));
    assert_eq!(found("deploy-local-ci.yml"), "deploy-local-ci.yml");
    let several = found("build.local-ci.yaml");
    assert!(several.contains("build.local-ci.yaml") && several.contains("deploy-local-ci.yml"), "{several}");
    assert_eq!(found(".local-ci.yaml"), ".local-ci.yaml");
    assert_eq!(found(".jobwright.yaml"), ".jobwright.yaml");
}

// covers: local-ci 30, 60, 61, 62
#[tokio::test]
async fn what_cannot_be_selected_is_a_finished_failed_run_that_names_what_there_is() {
    let unknown_job = Spec { job_names: vec!["x".into()], ..Spec::default() };
    let unknown_stage = Spec { stages: vec!["deploy".into()], ..Spec::default() };
    for (spec, text, named) in [
        (unknown_job, TEXT, "c, a, b"),
        (unknown_stage, TEXT, "build, test"),
        (
            Spec { stages: vec!["empty".into()], ..Spec::default() },
            "stages: [empty, build]\na: {stage: build, script: [x]}",
            "Job list is empty, nothing to run",
        ),
    ] {
        let played = Play { spec, ..Play::of(text) }.refused().await;
        let wire = played.wire();
        assert_eq!(
            wire.iter().map(|event| event.r#type.as_str()).collect::<Vec<_>>(),
            ["run_started", "run_finished"]
        );
        assert!(wire[1].err.contains(named), "{}", wire[1].err);
        assert_eq!(wire[1].outcome, "failed");
    }
}

// covers: local-ci 30
#[tokio::test]
async fn a_file_that_is_wrong_is_a_finished_failed_run_that_says_where() {
    let played = Play::of("stages: [build]\na: {stage: bild, script: [x]}\n").refused().await;
    let told = played.wire()[1].err.clone();
    assert!(told.contains(".jobwright.yaml") && told.contains("build"), "{told}");
}

const GRAPH: &str = "
stages: [build, test]
base: {stage: build, script: [x]}
m: {stage: build, script: [x], needs: base, matrix: [{V: [1, 2]}]}
other: {stage: build, script: [x]}
last: {stage: test, script: [x], needs: m}
";

async fn order_of(names: &[&str], with_needs: bool) -> Vec<String> {
    let job_names = names.iter().map(|name| (*name).to_owned()).collect();
    let play = Play { spec: Spec { job_names, with_needs, ..Spec::default() }, ..Play::of(GRAPH) };
    play.run(Scripted::new([])).await.wire()[0].order.clone()
}

#[tokio::test]
async fn the_name_of_a_matrix_selects_its_variants_and_a_variants_own_name_only_itself() {
    assert_eq!(order_of(&["m"], false).await, ["m_V.1", "m_V.2"]);
    assert_eq!(order_of(&["m_V.2"], false).await, ["m_V.2"]);
}

#[tokio::test]
async fn a_job_is_taken_with_all_that_it_needs_or_alone() {
    assert_eq!(order_of(&["last"], false).await, ["last"]);
    assert_eq!(order_of(&["last"], true).await, ["base", "m_V.1", "m_V.2", "last"]);
    assert_eq!(order_of(&["other"], true).await, ["other"]);
}
