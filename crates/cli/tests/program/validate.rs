//! `jobwright validate`: all findings, for people, for programs and for code hosts.

use serde_json::Value;

use crate::support::{Bench, Ended, pinned};

/// Two files that are wrong in several places; one has a finding that points to a second place.
fn wrong() -> Bench {
    let bench = Bench::with(
        "include: [ci/my jobs.yaml]\nstages: [a, b]\nx: {stage: c, scirpt: ['true'], script: ['true']}\n\
         x: {stage: a, script: ['true']}\n",
    );
    std::fs::create_dir(bench.project().join("ci")).unwrap();
    bench.file("ci/my jobs.yaml", "y: {stage: a, script: ['true'], timeout: soon}\nz: {stage: a}\n");
    bench
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}

// covers: local-ci 116
#[test]
fn people_see_every_finding_of_every_file() {
    let bench = wrong();
    let ended = bench.run(&["validate"]).expect(2);
    assert_eq!(ended.stdout, "");
    pinned(&bench).bind(|| insta::assert_snapshot!(ended.stderr));
}

// covers: local-ci 116
#[test]
fn programs_get_the_same_findings_as_one_object() {
    let bench = wrong();
    let ended = bench.run(&["validate", "--format", "json"]).expect(2);
    assert_eq!(ended.stderr, "");
    let answer = json(&ended);
    assert_eq!(answer["valid"], false);
    assert!(answer.get("jobs").is_none());
    let findings = answer["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["file"].as_str().unwrap().ends_with("ci/my jobs.yaml")));
    assert!(findings.iter().any(|finding| finding["severity"] == "warning"));
    assert!(findings.iter().all(|finding| finding["start"]["line"].is_u64()));
    bench.file("good.yaml", "stages: [a]\nx: {stage: a, script: ['true'], scirpt: 1}\n");
    let answer = json(&bench.run(&["validate", "-c", "good.yaml", "--format", "json"]).expect(0));
    assert_eq!((&answer["valid"], &answer["jobs"], &answer["stages"]), (&true.into(), &1.into(), &1.into()));
    assert_eq!(answer["findings"].as_array().unwrap().len(), 1, "the warning");
}

// covers: local-ci 116
#[test]
fn code_hosts_get_sarif_that_its_schema_accepts() {
    // The published schema has a stray `]` in the pattern of languages, which strict readers refuse.
    let schema = include_str!("data/sarif-2.1.0.schema.json").replace("{2}]?$", "{2}$");
    let schema = serde_json::from_str(&schema).unwrap();
    let schema = jsonschema::draft7::new(&schema).unwrap();
    let bench = wrong();
    let log = json(&bench.run(&["validate", "--format", "sarif"]).expect(2));
    let wrong: Vec<String> = schema.iter_errors(&log).map(|error| error.to_string()).collect();
    assert_eq!(wrong, [""; 0]);
    let mut settings = pinned(&bench);
    settings.add_filter(r#""version": "\d+\.\d+\.\d+""#, r#""version": "[version]""#);
    settings.bind(|| insta::assert_snapshot!(serde_json::to_string_pretty(&log).unwrap()));
    bench.file("good.yaml", "stages: [a]\nx: {stage: a, script: ['true']}\n");
    let log = json(&bench.run(&["validate", "-c", "good.yaml", "--format", "sarif"]).expect(0));
    assert!(schema.is_valid(&log), "{log}");
    assert_eq!(log["runs"][0]["results"], Value::Array(Vec::new()));
}

#[test]
fn sarif_names_files_from_where_it_was_asked_for_or_wholly() {
    let bench = wrong();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = bench.command(&["validate", "--format", "sarif"]);
    command.arg("-C").arg(bench.project()).current_dir(elsewhere.path());
    let log = json(&bench.end(command).expect(2));
    let results = log["runs"][0]["results"].as_array().unwrap();
    let uri = |result: &Value| {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap().to_owned()
    };
    let expected = format!("file://{}/ci/my%20jobs.yaml", bench.project().display());
    assert!(results.iter().any(|result| uri(result) == expected), "{log}");
}

#[test]
fn a_file_that_is_not_there_is_an_error_and_no_document() {
    let bench = Bench::new();
    for format in ["text", "json", "sarif"] {
        let ended = bench.run(&["validate", "-c", "none.yaml", "--format", format]).expect(4);
        assert_eq!(ended.stdout, "", "{format}");
        assert!(ended.stderr.contains("none.yaml"), "{}", ended.stderr);
    }
    bench.run(&["validate", "--format", "xml"]).expect(2);
}
