//! How findings look to people: one snapshot for every file in `tests/bad`. What the rules are is `rules.rs`'s.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use jobwright_pipeline::{Loader, Look, Pipeline};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

// covers: local-ci 78, local-ci 79, local-ci 80
#[test]
fn every_bad_file_is_refused_with_place_line_and_help() {
    for path in files("bad") {
        let name = name(&path);
        let bytes = std::fs::read(&path).unwrap();
        let report = Loader::new().every_key().parse(&format!("{name}.yaml"), &bytes).unwrap_err();
        assert!(report.has_errors(), "{name}");
        insta::assert_snapshot!(name.as_str(), report.to_string());
    }
}

#[test]
fn every_good_file_is_taken_without_a_word() {
    for path in files("good") {
        let pipeline = Pipeline::load(&path).unwrap();
        assert!(pipeline.warnings().is_empty(), "{}", pipeline.warnings());
        assert!(!pipeline.jobs.is_empty());
    }
}

#[test]
fn every_file_of_the_whole_language_is_taken_without_a_word() {
    for path in files("language") {
        let pipeline = Loader::new().every_key().load(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(pipeline.warnings().is_empty(), "{}", pipeline.warnings());
    }
}

#[test]
fn a_terminal_gets_lines_and_colours_a_pipe_neither() {
    let report = Pipeline::parse("p.yaml", b"stages: []\n").unwrap_err();
    let coloured = report.render(Look::Terminal { colour: true, width: 80 });
    let drawn = report.render(Look::Terminal { colour: false, width: 80 });
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    assert!(!drawn.contains('\u{1b}') && !drawn.is_ascii(), "{drawn}");
    let plain = report.to_string();
    assert!(plain.is_ascii() && !plain.contains('\u{1b}'), "{plain}");
    insta::assert_snapshot!("drawn-for-a-terminal", drawn);
}

#[test]
fn the_machine_form_has_places_and_the_summary_has_one_line_per_finding() {
    let file = b"stages: [build]\na:\n  stage: biuld\n  image: x\n  script: [ls]\n  image: y\n";
    let report = Pipeline::parse("p.yaml", file).unwrap_err();
    insta::assert_json_snapshot!("machine-form", report);
    insta::assert_snapshot!("summary", report.summary());
}

#[test]
fn a_secret_written_into_the_file_is_in_no_form_of_the_report() {
    let file = include_bytes!("bad/secrets.yaml");
    assert!(std::str::from_utf8(file).unwrap().contains("hunter2"));
    let report = Pipeline::parse("p.yaml", file).unwrap_err();
    let json = serde_json::to_string(&report).unwrap();
    for shown in [report.to_string(), report.summary(), json] {
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
