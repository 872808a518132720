//! The rules of a pipeline file one by one, by what they find and what they let through. How a finding looks is `reports.rs`'s.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use jobwright_pipeline::{
    JOB_KEYS, Key, PIPELINE_KEYS, Pipeline, PipelineJob, Report, SERVICE_KEYS, SecretSource, Severity,
    Support, Target,
};

/// One job `a` with the given lines in it, on top of what it must have.
fn with(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("stages: [build, test]\na:\n  stage: build\n  image: x\n  script: [ls]\n{lines}")
}

fn parse(file: &str) -> Pipeline {
    Pipeline::parse("p.yaml", file.as_bytes()).unwrap_or_else(|report| panic!("{report}"))
}

fn only_job(lines: &str) -> PipelineJob {
    parse(&with(lines)).jobs.remove(0)
}

fn refuse(file: &str) -> Report {
    Pipeline::parse("p.yaml", file.as_bytes()).expect_err(file)
}

/// What is wrong with `file`, one `line:column message` each.
fn findings(file: &str) -> Vec<String> {
    let report = refuse(file);
    let line = |finding: &jobwright_pipeline::Finding| {
        let position = report.position(finding);
        format!("{}:{} {}", position.line, position.column, finding.message)
    };
    report.findings().iter().map(line).collect()
}

// covers: local-ci 78
#[test]
fn jobs_keep_the_files_order_and_all_their_keys() {
    let pipeline = parse(include_str!("good/everything.yaml"));
    assert_eq!(pipeline.stages, ["build", "test", "deploy"]);
    let names: Vec<&str> = pipeline.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["compile", "unit", "publish"]);
    let unit = pipeline.job("unit").unwrap();
    assert_eq!(unit.stage, "test");
    assert_eq!(unit.image.as_deref(), Some("alpine:3.20"));
    assert_eq!(unit.workdir.as_deref(), Some("/app"));
    assert_eq!(unit.timeout, Some(Duration::from_secs(90)));
    assert_eq!(unit.needs, ["compile"]);
    assert_eq!(unit.script, ["make test", "for i in 1 2; do\n  echo \"$i\"\ndone\n", "true"]);
    assert_eq!(pipeline.job("compile").unwrap().script, ["make"]);
    assert_eq!(pipeline.job("publish").unwrap().script, ["make publish", "true", "1"]);
    assert_eq!(pipeline.job("publish").unwrap().image, None);
    assert_eq!(
        pipeline.job("publish").unwrap().secrets["KEY"].source,
        SecretSource::File("keys/deploy.pem".into())
    );
    assert_eq!(pipeline.secrets["TOKEN"].source, SecretSource::Env("CI_TOKEN".to_owned()));
}

// covers: local-ci 79, local-ci 90
#[test]
fn scalars_in_variables_keep_their_text() {
    let job =
        only_job("variables: {F: 1.50, T: true, I: 0x10, Q: '1.50', E: , N: ~, D: 2026-01-01, S: 'a b'}");
    let values: Vec<(&str, &str)> =
        job.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("D", "2026-01-01"),
        ("E", ""),
        ("F", "1.50"),
        ("I", "0x10"),
        ("N", ""),
        ("Q", "1.50"),
        ("S", "a b"),
        ("T", "true"),
    ];
    assert_eq!(values, expected);
    assert_eq!(parse("stages: [t]\nvariables: {N: 1}\na: {stage: t, script: ls}").variables["N"], "1");
}

// covers: local-ci 79
#[test]
fn a_stage_that_is_no_text_is_an_error_with_its_place() {
    assert_eq!(
        findings("stages: [1]\na: {stage: x, script: ls}\n"),
        ["1:10 a stage must be a name, found the number `1`"]
    );
    assert_eq!(
        findings("stages: x\na: {stage: x, script: ls}\n")[0],
        "1:9 `stages` must be a list of names, such as `[build, test]`, found the text `x`"
    );
}

// covers: local-ci 78
#[test]
fn every_violation_is_reported_in_the_order_of_its_place() {
    let file = "stages: [build]\na:\n  stage: biuld\n  script: []\n  timeout: soon\nb: {}\n";
    assert_eq!(
        findings(file),
        [
            "3:10 there is no stage `biuld`",
            "4:11 `script` must have at least one command, found an empty list",
            "5:12 `timeout` must be a duration such as `90s`, `10m`, `1h30m`, or whole seconds, found the text `soon`",
            "6:1 the job `b` has no `stage`",
            "6:1 the job `b` has no `script`",
        ]
    );
}

// covers: local-ci 78
#[test]
fn a_file_without_stages_or_jobs_says_so() {
    assert_eq!(findings(""), ["1:1 the file is empty"]);
    assert_eq!(findings("---\n...\n"), ["1:1 the file is empty"]);
    assert_eq!(findings("stages: [a]\n"), ["1:1 the file has no jobs"]);
    assert_eq!(findings("a: {stage: b, script: ls}\n"), ["1:1 the file has no `stages`"]);
}

#[test]
fn an_unknown_stage_suggests_the_nearest_one() {
    let report = refuse("stages: [build, test]\na: {stage: tests, script: ls}\n");
    assert_eq!(report.findings()[0].help.as_deref(), Some("did you mean `test`?"));
    let report = refuse("stages: [build, test]\na: {stage: release, script: ls}\n");
    assert_eq!(report.findings()[0].help.as_deref(), Some("the stages are: build, test"));
}

#[test]
fn duplicate_keys_are_errors_with_both_places() {
    let report = refuse(
        "stages: [t]\na: {stage: t, script: ls}\nb: {stage: t, script: ls}\na: {stage: t, script: pwd}\n",
    );
    let [finding] = report.findings() else { panic!("{report}") };
    assert_eq!(finding.message, "the key `a` is here twice");
    assert_eq!(report.position(finding).line, 4);
    let (first, _) = finding.related.as_ref().unwrap();
    assert_eq!(report.source().position(first.start).line, 2);
}

#[test]
fn two_merges_in_one_mapping_are_a_duplicate_key() {
    let file =
        "stages: [t]\n.a: &a {stage: t}\n.b: &b {script: ls}\nc: {<<: *a, <<: *b, stage: t, script: ls}\n";
    assert_eq!(findings(file), ["4:13 the key `<<` is here twice"]);
}

#[test]
fn a_duplicate_stage_is_an_error() {
    assert_eq!(
        findings("stages: [t, t]\na: {stage: t, script: ls}\n"),
        ["1:13 the stage `t` is listed twice"]
    );
}

// covers: local-ci 80
#[test]
fn an_unknown_key_warns_with_the_nearest_one_and_the_file_runs() {
    let pipeline = parse(&with("timout: 10m\nfrobnicate: 1"));
    let warnings = pipeline.warnings();
    let shown: Vec<_> = warnings.findings().iter().map(|f| (f.severity, f.message.as_str())).collect();
    assert_eq!(
        shown,
        [
            (Severity::Warning, "unknown key `timout` is ignored"),
            (Severity::Warning, "unknown key `frobnicate` is ignored")
        ]
    );
    assert_eq!(warnings.findings()[0].help.as_deref(), Some("did you mean `timeout`?"));
    assert!(!warnings.has_errors());
}

/// The keys of a table that nothing honours yet.
fn later(table: &'static [Key]) -> impl Iterator<Item = &'static str> {
    table.iter().filter(|key| key.support == Support::Later).map(|key| key.name)
}

#[test]
fn what_a_later_version_honours_is_refused_rather_than_ignored() {
    for key in later(JOB_KEYS) {
        assert_eq!(findings(&with(&format!("{key}: x"))), [format!("6:3 `{key}` is not supported yet")]);
        // What a template brings in is as unsupported as what the job says itself, and named where it is written.
        let file =
            format!("stages: [t]\n.base: &base {{stage: t, {key}: 2}}\na: {{<<: *base, script: ls}}\n");
        assert_eq!(findings(&file), [format!("2:25 `{key}` is not supported yet")]);
    }
    for key in later(PIPELINE_KEYS) {
        let file = format!("{}{key}: x\n", with(""));
        assert_eq!(findings(&file), [format!("6:1 `{key}` is not supported yet")]);
    }
    for key in later(SERVICE_KEYS) {
        let file = with(&format!("services: [{{image: x, {key}: {{command: y}}}}]"));
        assert_eq!(findings(&file), [format!("6:25 `{key}` is not supported yet")]);
    }
}

#[test]
fn an_unknown_key_that_is_near_to_none_gets_the_list_of_all() {
    let warnings = parse(&with("before_script: [ls]")).warnings();
    let help = warnings.findings()[0].help.as_deref().unwrap();
    assert!(help.starts_with("known here: stage, image, script, "), "{help}");
}

#[test]
fn templates_never_run_and_their_keys_arrive_by_merges() {
    let file = "stages: [t]\n.base: &base {stage: t, image: base, variables: {A: 1}}\na: {<<: *base, script: ls, image: own}\n";
    let pipeline = parse(file);
    let [job] = pipeline.jobs.as_slice() else { panic!() };
    assert_eq!((job.image.as_deref(), job.variables["A"].as_str()), (Some("own"), "1"));
}

#[test]
fn of_merged_mappings_the_earlier_wins_and_the_job_itself_most() {
    let pipeline = parse(include_str!("good/anchors.yaml"));
    let of = |name| {
        let job = pipeline.job(name).unwrap();
        (job.image.as_deref(), job.timeout.unwrap().as_secs())
    };
    assert_eq!(of("a"), (Some("inner"), 5));
    assert_eq!(of("b"), (Some("inner"), 7));
}

// covers: local-ci 81
#[test]
fn a_timeout_is_a_duration_or_whole_seconds_and_zero_is_none() {
    for (text, seconds) in [("90s", 90), ("1h30m", 5400), ("90", 90), ("'45'", 45)] {
        assert_eq!(
            only_job(&format!("timeout: {text}")).timeout,
            Some(Duration::from_secs(seconds)),
            "{text}"
        );
    }
    assert_eq!(only_job("timeout: 0").timeout, None);
    for text in ["soon", "-5s", "[1s]", "1.5", "", "true"] {
        assert_eq!(findings(&with(&format!("timeout: {text}"))).len(), 1, "{text}");
    }
}

#[test]
fn a_script_is_a_list_or_one_command() {
    let file = |script: &str| format!("stages: [t]\na: {{stage: t, script: {script}}}\n");
    assert_eq!(parse(&file("make all")).jobs[0].script, ["make all"]);
    assert_eq!(parse(&file("[true, exit 3]")).jobs[0].script, ["true", "exit 3"]);
    let report = refuse(&file("[{echo a: b}]"));
    assert!(report.findings()[0].help.as_deref().unwrap().contains("quote"), "{report}");
    for script in ["[]", "", "''", "[[ls]]", "[~]", "['  ']"] {
        assert_eq!(findings(&file(script)).len(), 1, "{script}");
    }
}

// covers: local-ci 82
#[test]
fn services_have_an_image_and_an_alias_of_their_own() {
    let job = only_job(
        "services: ['postgres:16', {image: r.example:5000/a/redis@sha256:0, alias: cache, variables: {M: 1}}]",
    );
    let shown: Vec<_> =
        job.services.iter().map(|s| (s.image.as_str(), s.alias.as_str(), s.variables.len())).collect();
    assert_eq!(shown, [("postgres:16", "postgres", 0), ("r.example:5000/a/redis@sha256:0", "cache", 1)]);
    assert_eq!(
        findings(&with("services: [a/x, b/x:2]")),
        ["6:19 two services of this job have the alias `x`"]
    );
    assert_eq!(findings(&with("services: [{alias: x}]")), ["6:14 this service has no `image`"]);
    assert_eq!(
        findings(&with("services: [{image: x, alias: a b}]")),
        ["6:32 `a b` cannot be the alias of a service"]
    );
}

// covers: local-ci 84
#[test]
fn needs_name_other_jobs_of_the_same_or_an_earlier_stage() {
    let file = |needs: &str| {
        format!(
            "stages: [s, t]\na: {{stage: s, script: ls}}\nb: {{stage: t, script: ls, needs: {needs}}}\nc: {{stage: t, script: ls}}\n"
        )
    };
    assert_eq!(parse(&file("a")).jobs[1].needs, ["a"]);
    assert_eq!(parse(&file("[a, c]")).jobs[1].needs, ["a", "c"]);
    assert_eq!(findings(&file("d")), ["3:34 `b` needs `d`, but there is no such job"]);
    assert_eq!(findings(&file("[c, b]")), ["3:38 `b` needs itself"]);
    let file = "stages: [s, t]\na: {stage: s, script: ls, needs: b}\nb: {stage: t, script: ls}\n";
    assert_eq!(findings(file), ["2:34 `a` (stage `s`) needs `b` from the later stage `t`"]);
}

// covers: local-ci 84
#[test]
fn a_cycle_of_needs_is_named_whole_beginning_with_its_first_job() {
    let file = "stages: [t]\n\
        a: {stage: t, script: ls, needs: d}\n\
        b: {stage: t, script: ls, needs: [g, d]}\n\
        c: {stage: t, script: ls, needs: b}\n\
        d: {stage: t, script: ls, needs: c}\n\
        e: {stage: t, script: ls, needs: [f]}\n\
        f: {stage: t, script: ls, needs: [e, b]}\n\
        g: {stage: t, script: ls}\n";
    assert_eq!(
        findings(file),
        [
            "3:38 `needs` goes round in a circle: `b` → `d` → `c` → `b`",
            "6:35 `needs` goes round in a circle: `e` → `f` → `e`"
        ]
    );
}

#[test]
fn a_long_chain_of_needs_is_walked_without_recursion() {
    let jobs: String =
        (1..10_000).map(|i| format!("j{i}: {{stage: t, script: ls, needs: j{}}}\n", i - 1)).collect();
    let file = format!("stages: [t]\nj0: {{stage: t, script: ls}}\n{jobs}");
    assert_eq!(parse(&file).jobs.len(), 10_000);
    let file = file.replace("j0: {stage: t, script: ls}", "j0: {stage: t, script: ls, needs: j9999}");
    let found = findings(&file);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("`j0` → `j9999` → ") && found[0].contains("9988 more"), "{}", found[0]);
}

#[test]
fn a_secret_says_where_its_value_comes_from_and_is_no_variable_too() {
    let job = only_job("secrets: {A: {env: X}, B: {file: b.txt}}");
    assert_eq!(job.secrets["A"].source, SecretSource::Env("X".to_owned()));
    assert_eq!(job.secrets["B"].source, SecretSource::File("b.txt".into()));
    for secrets in
        ["{A: value}", "{A: {}}", "{A: {env: X, file: y}}", "{A: {env: [x]}}", "{A: {vault: x}}", "[A]", "x"]
    {
        assert_eq!(findings(&with(&format!("secrets: {secrets}"))).len(), 1, "{secrets}");
    }
    assert_eq!(
        findings(&with("variables: {A: 1}\nsecrets: {A: {env: X}}")),
        ["7:13 `A` is a variable and a secret at the same time"]
    );
}

#[test]
fn a_name_that_no_environment_can_hold_is_an_error() {
    assert_eq!(findings(&with("variables: {'': x}")), ["6:15 the name of a variable is empty"]);
    assert_eq!(findings(&with("variables: {A=B: x}")).len(), 1);
    assert_eq!(findings(&with("secrets: {A=B: {env: x}}")).len(), 1);
    assert!(parse(&with("variables: {a-b: x}")).warnings().findings()[0].message.contains("`a-b`"));
}

#[test]
fn a_nul_character_is_refused_wherever_an_escape_hides_it() {
    for line in
        ["variables: {A: \"x\\0\"}", "variables: {\"A\\0\": x}", "workdir: \"/a\\0\"", "image: \"a\\0\""]
    {
        let found = findings(&with(line).replace("  image: x\n", ""));
        assert!(found.len() == 1 && found[0].contains("NUL"), "{found:?}");
    }
}

#[test]
fn a_workdir_is_an_absolute_path_and_the_root_becomes_the_default() {
    assert_eq!(only_job("workdir: /app//src/./").workdir.as_deref(), Some("/app/src"));
    for path in ["app", "../app", "/a/../b", "''", "[x]"] {
        assert_eq!(findings(&with(&format!("workdir: {path}"))).len(), 1, "{path}");
    }
    let pipeline = parse(&with("workdir: /"));
    assert_eq!(pipeline.jobs[0].workdir, None);
    assert_eq!(pipeline.warnings().findings().len(), 1);
}

#[test]
fn an_image_is_asked_for_only_where_steps_run_in_images() {
    let pipeline = parse(
        "stages: [t]\na: {stage: t, script: ls}\nb: {stage: t, script: ls, image: x}\nc: {stage: t, script: ls}\n",
    );
    let docker = Target { backend: "docker", images: true, limits: true };
    let process = Target { backend: "process", images: false, limits: false };
    pipeline.check_for(process).unwrap();
    let report = pipeline.check_for(docker).unwrap_err();
    let lines: Vec<usize> = report.findings().iter().map(|finding| report.position(finding).line).collect();
    assert_eq!(lines, [2, 4]);
    pipeline.check_jobs_for(pipeline.job("b"), docker).unwrap();
}

#[test]
fn services_are_refused_where_steps_do_not_run_in_images() {
    let pipeline = parse(&with("services: [postgres]"));
    pipeline.check_for(Target { backend: "docker", images: true, limits: true }).unwrap();
    let report = pipeline.check_for(Target { backend: "process", images: false, limits: false }).unwrap_err();
    assert!(report.summary().starts_with("p.yaml:6:14: error:"), "{}", report.summary());
}

#[test]
fn a_report_stops_at_two_hundred_findings_and_counts_the_rest() {
    let jobs: String = (0..1000).map(|i| format!("j{i}: 1\n")).collect();
    let report = refuse(&format!("stages: [t]\n{jobs}"));
    assert_eq!(report.findings().len(), 201);
    assert_eq!(report.findings()[200].message, "800 more findings are not shown");
}
