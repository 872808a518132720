//! Templates and `extends` (local-ci.md 1.4): what a job inherits, what it takes back, and in whose file which rule holds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use jobwright_pipeline::{Pipeline, PipelineJob};

fn parse_as(name: &str, file: &str) -> Pipeline {
    Pipeline::parse(name, format!("stages: [t, u]\n{file}").as_bytes())
        .unwrap_or_else(|report| panic!("{report}"))
}

/// The job `j` of a file of ours.
fn job(file: &str) -> PipelineJob {
    parse_as("p.yaml", file).job("j").unwrap().clone()
}

/// The same of one of local-ci's.
fn local_ci_job(file: &str) -> PipelineJob {
    parse_as(".local-ci.yaml", file).job("j").unwrap().clone()
}

fn findings(file: &str) -> String {
    Pipeline::parse("p.yaml", format!("stages: [t, u]\n{file}").as_bytes()).expect_err(file).summary()
}

const BASE: &str = ".b: {stage: t, image: base, script: [one, two], timeout: 5, workdir: /b, \
    variables: {A: base, B: base}, secrets: {S: {env: BASE}}, services: [redis], needs: [n]}\n\
    n: {stage: t, image: x, script: ls}\n";

// covers: local-ci 85
#[test]
fn a_job_inherits_what_it_does_not_say_and_its_own_keys_win() {
    let inherited = job(&format!("{BASE}j: {{extends: .b}}\n"));
    assert_eq!((inherited.stage.as_str(), inherited.image.as_deref()), ("t", Some("base")));
    assert_eq!(inherited.script, ["one", "two"]);
    assert_eq!((inherited.timeout, inherited.workdir.as_deref()), (Some(Duration::from_secs(5)), Some("/b")));
    assert_eq!((inherited.services.len(), inherited.needs.len()), (1, 1));
    let own = job(&format!("{BASE}j: {{extends: .b, stage: u, script: three, image: own, timeout: 7}}\n"));
    assert_eq!((own.stage.as_str(), own.image.as_deref()), ("u", Some("own")));
    assert_eq!(
        (own.script.as_slice(), own.timeout),
        (&["three".to_owned()][..], Some(Duration::from_secs(7)))
    );
}

// covers: local-ci 85
#[test]
fn variables_are_merged_name_by_name_and_the_templates_stay_as_they_were() {
    let pipeline = parse_as(
        "p.yaml",
        &format!("{BASE}j: {{extends: .b, variables: {{B: j, C: j}}}}\nk: {{extends: .b}}\n"),
    );
    let variables = |name: &str| {
        let job = pipeline.job(name).unwrap();
        job.variables.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(variables("j"), ["A=base", "B=j", "C=j"]);
    assert_eq!(variables("k"), ["A=base", "B=base"]);
}

#[test]
fn of_a_variable_and_a_secret_of_one_name_the_jobs_own_holds() {
    let j =
        job(&format!("{BASE}j: {{extends: .b, variables: {{S: plain}}, secrets: {{A: {{env: OWN}}}}}}\n"));
    assert_eq!(j.variables.keys().collect::<Vec<_>>(), ["B", "S"]);
    assert_eq!(j.secrets.keys().collect::<Vec<_>>(), ["A"]);
}

// covers: local-ci 85
#[test]
fn parents_apply_from_left_to_right_and_recursively() {
    let file = ".a: {stage: t, image: a, workdir: /a, variables: {V: a, W: a}}\n\
        .b: {extends: .a, image: b, variables: {V: b}}\n\
        .c: {image: c, script: c}\n";
    let j = job(&format!("{file}j: {{extends: [.b, .c]}}\n"));
    assert_eq!((j.image.as_deref(), j.workdir.as_deref()), (Some("c"), Some("/a")));
    assert_eq!((j.variables["V"].as_str(), j.variables["W"].as_str()), ("b", "a"));
    assert_eq!(job(&format!("{file}j: {{extends: [.c, .b]}}\n")).image.as_deref(), Some("b"));
}

// covers: local-ci 85
#[test]
fn a_real_job_can_be_extended_and_templates_never_run() {
    let pipeline =
        parse_as("p.yaml", "a: {stage: t, image: a, script: ls}\n.t: {image: t}\nj: {extends: [a, .t]}\n");
    let names: Vec<&str> = pipeline.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["a", "j"]);
    assert_eq!(pipeline.jobs[1].image.as_deref(), Some("t"));
    assert_eq!(pipeline.jobs[0].image.as_deref(), Some("a"));
}

// covers: local-ci 85
#[test]
fn an_unknown_template_is_an_error_with_the_nearest_name_and_nothing_more_is_asked_of_the_job() {
    assert_eq!(
        findings(".base: {stage: t, script: ls}\nj: {extends: .bsae}\n"),
        "p.yaml:3:14: error: `j` extends `.bsae`, but there is no such template (did you mean `.base`?)"
    );
}

// covers: local-ci 85
#[test]
fn a_circle_of_templates_is_named_whole() {
    assert_eq!(
        findings(".a: {extends: .b}\n.b: {extends: .c}\n.c: {extends: .a}\nj: {extends: .a}\n"),
        "p.yaml:2:15: error: `extends` goes round in a circle: `.a` → `.b` → `.c` → `.a` (take one of these names out)"
    );
    let found = findings("j: {stage: t, script: ls, extends: j}\n");
    assert!(found.contains("circle: `j` → `j`"), "{found}");
}

#[test]
fn extends_holds_names() {
    for extends in ["1", "[~]", "{a: b}", "[[.b]]", "''"] {
        let found = findings(&format!("{BASE}j: {{extends: {extends}}}\n"));
        assert!(found.contains("`extends`"), "{extends}: {found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
    assert!(job("j: {stage: t, script: ls, extends: []}\n").image.is_none());
    assert!(job("j: {stage: t, script: ls, extends: }\n").image.is_none());
}

#[test]
fn in_our_files_null_takes_back_and_zero_counts_as_it_stands() {
    let j = job(&format!(
        "{BASE}j: {{extends: .b, timeout: ~, workdir: ~, services: [], needs: [], variables: ~}}\n"
    ));
    assert!(j.timeout.is_none() && j.workdir.is_none() && j.services.is_empty() && j.needs.is_empty());
    assert!(j.variables.is_empty() && j.secrets.len() == 1);
    assert!(job(&format!("{BASE}j: {{extends: .b, timeout: 0}}\n")).timeout.is_none());
    // Nothing is inherited here, so nothing can be meant.
    assert!(findings("j: {stage: t, script: ls, timeout: }\n").contains("`timeout` must be"));
    // What is taken back may be needed.
    assert!(
        findings(&format!("{BASE}j: {{extends: .b, script: ~}}\n")).contains("the job `j` has no `script`")
    );
}

// covers: local-ci 85
#[test]
fn in_local_cis_files_what_is_empty_or_zero_is_inherited() {
    let j = local_ci_job(&format!(
        "{BASE}j: {{extends: .b, timeout: 0, workdir: '', image: , services: [], needs: [], script: [], variables: ~}}\n"
    ));
    assert_eq!((j.timeout, j.workdir.as_deref()), (Some(Duration::from_secs(5)), Some("/b")));
    assert_eq!((j.image.as_deref(), j.script.len()), (Some("base"), 2));
    assert_eq!((j.services.len(), j.needs.len(), j.variables.len()), (1, 1, 2));
    assert_eq!(local_ci_job(&format!("{BASE}j: {{extends: .b, timeout: 0s}}\n")).timeout, j.timeout);
    // Without a template an empty key is no key there.
    assert!(local_ci_job("j: {stage: t, script: ls, timeout: , image: }\n").timeout.is_none());
}

#[test]
fn each_job_follows_the_rules_of_the_file_that_it_is_written_in() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("base.local-ci.yaml", &format!("{BASE}old: {{extends: .b, timeout: 0}}\n"));
    write(".jobwright.yaml", "stages: [t]\ninclude: base.local-ci.yaml\nnew: {extends: .b, timeout: 0}\n");
    let pipeline = Pipeline::load(folder.path().join(".jobwright.yaml")).unwrap();
    assert!(pipeline.job("new").unwrap().timeout.is_none());
    assert!(pipeline.job("old").unwrap().timeout.is_some());
}

#[test]
fn what_is_wrong_in_a_template_is_said_once_where_it_is_written() {
    let jobs: String = (0..50).map(|i| format!("j{i}: {{extends: .b}}\n")).collect();
    let found = findings(&format!(".b: {{stage: t, script: ls, timeout: soon, typo: 1}}\n{jobs}"));
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines.len(), 2, "{found}");
    assert!(lines[0].starts_with("p.yaml:2:37: error: `timeout` must be"), "{found}");
}

#[test]
fn a_text_in_place_of_a_templates_variables_is_reported_though_the_job_has_its_own() {
    let found =
        findings(".b: {stage: t, script: ls, secrets: hunter2}\nj: {extends: .b, secrets: {A: {env: X}}}\n");
    assert!(
        found.contains("`secrets` must be a mapping, found a text") && !found.contains("hunter2"),
        "{found}"
    );
}

#[test]
fn a_long_chain_of_templates_is_resolved_without_recursion() {
    let chain: String = (1..10_000).map(|i| format!(".t{i}: {{extends: .t{}}}\n", i - 1)).collect();
    let j = job(&format!("j: {{extends: .t9999}}\n.t0: {{stage: t, script: ls}}\n{chain}"));
    assert_eq!(j.script, ["ls"]);
}

#[test]
fn templates_that_multiply_are_stopped() {
    let variables: String = (0..1000).map(|i| format!("V{i}: x, ")).collect();
    let chain: String = (1..5_000).map(|i| format!(".t{i}: {{extends: .t{}}}\n", i - 1)).collect();
    let found = findings(&format!(
        ".t0: {{stage: t, script: ls, variables: {{{variables}}}}}\n{chain}j: {{extends: .t4999}}\n"
    ));
    assert!(found.contains("inherit too many keys"), "{found}");
    assert_eq!(found.lines().count(), 1, "{found}");
}
