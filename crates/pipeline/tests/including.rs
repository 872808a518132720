//! Several files as one pipeline (local-ci.md 1.5): what is found where, what wins, and what is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use jobwright_pipeline::{LoadError, Loader, Pipeline, Report};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn load(files: &[(&str, &str)]) -> Pipeline {
    let folder = folder(files);
    Pipeline::load(folder.path().join(files[0].0)).unwrap_or_else(|error| panic!("{error}"))
}

fn report_of(folder: &Path, name: &str) -> Report {
    match Pipeline::load(folder.join(name)) {
        Err(LoadError::Invalid(report)) => report,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("{name} is valid"),
    }
}

/// What is wrong, one `file:line:column: severity: message` each, without the folder's name.
fn findings(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let place = format!("{}/", folder.path().display());
    report_of(folder.path(), files[0].0).summary().replace(&place, "")
}

fn names(pipeline: &Pipeline) -> Vec<&str> {
    pipeline.jobs.iter().map(|job| job.name.as_str()).collect()
}

fn job(name: &str, command: &str) -> String {
    format!("{name}: {{stage: t, script: {command}}}\n")
}

fn main_with(include: &str) -> String {
    format!("stages: [t]\ninclude: {include}\n{}", job("main", "ls"))
}

// covers: local-ci 86
#[test]
fn an_included_file_brings_jobs_and_its_paths_count_from_itself() {
    let pipeline = load(&[
        ("p.yaml", &main_with("[ci/a.yaml]")),
        ("ci/a.yaml", &format!("include: [more/b.yaml]\n{}", job("a", "pwd"))),
        ("ci/more/b.yaml", &format!("include: ../c.yaml\n{}", job("b", "pwd"))),
        ("ci/c.yaml", &job("c", "pwd")),
    ]);
    assert_eq!(names(&pipeline), ["main", "a", "b", "c"]);
    let files: Vec<&str> =
        pipeline.sources().iter().map(|source| source.name().rsplit('/').next().unwrap()).collect();
    assert_eq!(files, ["p.yaml", "a.yaml", "b.yaml", "c.yaml"]);
}

// covers: local-ci 86
#[test]
fn an_absolute_path_stays_as_it_is() {
    let other = folder(&[("a.yaml", &job("a", "ls"))]);
    let path = other.path().join("./a.yaml");
    let pipeline = load(&[("p.yaml", &main_with(&format!("[{}]", path.display())))]);
    assert_eq!(names(&pipeline), ["main", "a"]);
}

// covers: local-ci 86, local-ci 87
#[test]
fn the_including_file_wins_then_the_later_include_and_jobs_come_in_that_order() {
    let pipeline = load(&[
        ("p.yaml", &main_with("[a.yaml, b.yaml]")),
        ("a.yaml", &[job("main", "a"), job("one", "a"), job("a", "a")].concat()),
        ("b.yaml", &[job("b", "b"), job("one", "b"), job("main", "b")].concat()),
    ]);
    assert_eq!(names(&pipeline), ["main", "b", "one", "a"]);
    let script = |name: &str| pipeline.job(name).unwrap().script[0].as_str();
    assert_eq!((script("main"), script("one")), ("ls", "b"));
}

// covers: local-ci 86
#[test]
fn a_job_that_loses_is_dropped_whole() {
    let pipeline = load(&[
        ("p.yaml", &main_with("a.yaml")),
        ("a.yaml", "main: {stage: t, script: a, timeout: 5, variables: {A: 1}}\n"),
    ]);
    let job = pipeline.job("main").unwrap();
    assert!(job.timeout.is_none() && job.variables.is_empty());
}

// covers: local-ci 86
#[test]
fn variables_and_secrets_are_merged_name_by_name() {
    let pipeline = load(&[
        (
            "p.yaml",
            "stages: [t]\ninclude: [a.yaml, b.yaml]\nvariables: {MAIN: main, S: main}\nj: {stage: t, script: ls}\n",
        ),
        ("a.yaml", "variables: {MAIN: a, BOTH: a, A: a}\nsecrets: {S: {env: X}, T: {env: X}}\n"),
        ("b.yaml", "variables: {BOTH: b, T: b}\n"),
    ]);
    let variables: Vec<_> = pipeline.variables.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(variables, [("A", "a"), ("BOTH", "b"), ("MAIN", "main"), ("S", "main"), ("T", "b")]);
    // Of a name that is a variable here and a secret there the nearer one holds.
    assert!(pipeline.secrets.is_empty());
}

// covers: local-ci 86
#[test]
fn stages_are_the_main_files_else_those_of_the_last_include_that_has_some() {
    let included =
        [("a.yaml", "stages: [t, a]\n"), ("b.yaml", "stages: [t, b]\n"), ("c.yaml", "variables: {A: 1}\n")];
    let main = format!("include: [a.yaml, b.yaml, c.yaml]\n{}", job("main", "ls"));
    let stages = |main: &str| {
        let files: Vec<_> = std::iter::once(("p.yaml", main)).chain(included).collect();
        load(&files).stages
    };
    assert_eq!(stages(&main), ["t", "b"]);
    assert_eq!(stages(&format!("stages: [x, t]\n{main}")), ["x", "t"]);
}

// covers: local-ci 86
#[test]
fn files_may_meet_again_in_a_file_that_both_include() {
    let pipeline = load(&[
        ("p.yaml", &main_with("[a.yaml, b.yaml]")),
        ("a.yaml", &format!("include: [d.yaml]\n{}", job("a", "ls"))),
        ("b.yaml", &format!("include: [./d.yaml]\n{}", job("b", "ls"))),
        ("d.yaml", &job("d", "ls")),
    ]);
    assert_eq!(names(&pipeline), ["main", "b", "d", "a"]);
    assert_eq!(pipeline.sources().iter().count(), 4);
}

#[test]
fn a_tower_of_files_that_meet_again_costs_no_more_than_its_files() {
    let mut files = vec![("p.yaml".to_owned(), main_with("[l0.yaml, r0.yaml]"))];
    for level in 0..12 {
        let next = format!("include: [l{0}.yaml, r{0}.yaml]\n", level + 1);
        let next = if level == 11 { String::new() } else { next };
        for side in ["l", "r"] {
            files.push((
                format!("{side}{level}.yaml"),
                format!("{next}{}", job(&format!("{side}{level}"), "ls")),
            ));
        }
    }
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(load(&files).jobs.len(), 25);
}

// covers: local-ci 86
#[test]
fn a_circle_of_includes_is_named_whole() {
    let found = findings(&[
        ("p.yaml", &main_with("[a.yaml]")),
        ("a.yaml", "include: [b.yaml]\n"),
        ("b.yaml", "stages: [x]\ninclude: [a.yaml]\n"),
    ]);
    let expected = "b.yaml:2:11: error: `include` goes round in a circle: `a.yaml` → `b.yaml` → `a.yaml` (take one of these includes out)";
    assert_eq!(found, expected);
    let found = findings(&[("p.yaml", &main_with("[p.yaml]"))]);
    assert!(found.contains("`p.yaml` → `p.yaml`"), "{found}");
}

#[cfg(unix)]
#[test]
fn a_circle_through_a_link_is_one_too() {
    let folder = folder(&[("p.yaml", &main_with("[link.yaml]"))]);
    std::os::unix::fs::symlink("p.yaml", folder.path().join("link.yaml")).unwrap();
    let report = report_of(folder.path(), "p.yaml");
    assert!(report.summary().contains("circle"), "{}", report.summary());
}

// covers: local-ci 86
#[test]
fn a_file_that_cannot_be_read_is_named_where_it_is_included_and_blamed_for_nothing_else() {
    let main =
        "include: [none.yaml, dir]\nmain:\n  stage: t\n  script: ls\n  needs: other\n  extends: .template\n";
    let folder = folder(&[("p.yaml", main), ("dir/x", "")]);
    let found = report_of(folder.path(), "p.yaml").summary();
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines.len(), 2, "{found}");
    assert!(lines[0].contains("p.yaml:1:11: error: the included file") && lines[0].contains("No such file"));
    assert!(lines[1].contains("p.yaml:1:22") && lines[1].contains("not a regular file"), "{found}");
}

// covers: local-ci 86
#[test]
fn an_included_file_that_is_no_yaml_is_an_error_in_that_file() {
    let found = findings(&[("p.yaml", &main_with("[a.yaml]")), ("a.yaml", "a: [\n")]);
    assert!(found.starts_with("a.yaml:1:4: error: not valid YAML"), "{found}");
    let found = findings(&[("p.yaml", &main_with("[a.yaml]")), ("a.yaml", "x\0")]);
    assert!(found.starts_with("a.yaml:1:2: error: the file has a NUL byte"), "{found}");
    let found = findings(&[("p.yaml", &main_with("[a.yaml]")), ("a.yaml", "- x\n")]);
    assert!(found.starts_with("a.yaml:1:1: error: a pipeline file must be a mapping"), "{found}");
}

#[test]
fn an_empty_included_file_says_nothing() {
    assert_eq!(names(&load(&[("p.yaml", &main_with("[a.yaml]")), ("a.yaml", "# nothing\n")])), ["main"]);
}

#[test]
fn a_finding_in_an_included_file_shows_that_file() {
    let folder = folder(&[("p.yaml", &main_with("[a.yaml]")), ("a.yaml", "a:\n  stage: tt\n  script: ls\n")]);
    let report = report_of(folder.path(), "p.yaml");
    let place = format!("{}/", folder.path().display());
    insta::assert_snapshot!("finding-in-an-included-file", report.to_string().replace(&place, ""));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["findings"][0]["file"], format!("{place}a.yaml"));
    assert_eq!(json["file"], format!("{place}p.yaml"));
}

#[test]
fn a_second_place_in_another_file_is_named_with_that_file() {
    let found = findings(&[("p.yaml", &main_with("[a.yaml]")), ("a.yaml", "\u{feff}\0")]);
    assert!(found.contains("a.yaml:1:1"), "{found}");
    let folder = folder(&[("p.yaml", &main_with("[a.yaml]")), ("a.yaml", "\0")]);
    let shown = report_of(folder.path(), "p.yaml").to_string();
    assert!(shown.contains("it is included here: ") && shown.contains("p.yaml:2:11"), "{shown}");
}

#[test]
fn an_include_names_files_and_nothing_else() {
    for include in ["[1, ~]", "{a: b}", "[[a]]", "['']", "[https://example.org/a.yaml]", "[{local: a.yaml}]"]
    {
        let found = findings(&[("p.yaml", &main_with(include)), ("1", "")]);
        assert!(found.contains("`include` must name files"), "{include}: {found}");
    }
    load(&[("p.yaml", &main_with("[]"))]);
    load(&[("p.yaml", &main_with("~"))]);
}

#[test]
fn bytes_that_lie_nowhere_cannot_include_but_those_with_a_base_can() {
    let main = main_with("[a.yaml]");
    let report = Pipeline::parse("p.yaml", main.as_bytes()).unwrap_err();
    assert_eq!(
        report.summary(),
        "p.yaml:2:11: error: a file that lies nowhere cannot include others (load it by its path)"
    );
    let folder = folder(&[("a.yaml", &job("a", "ls"))]);
    let pipeline = Loader::new().base(folder.path()).parse("p.yaml", main.as_bytes()).unwrap();
    assert_eq!(names(&pipeline), ["main", "a"]);
}

#[test]
fn the_number_depth_and_size_of_files_are_bounded() {
    let count = |range: std::ops::Range<usize>, next: &dyn Fn(usize) -> String| -> Vec<(String, String)> {
        range.map(|i| (format!("f{i}.yaml"), next(i))).collect()
    };
    let run = |main: String, others: Vec<(String, String)>| {
        let files: Vec<_> = std::iter::once(("p.yaml", main.as_str()))
            .chain(others.iter().map(|(name, text)| (name.as_str(), text.as_str())))
            .collect();
        findings(&files)
    };
    let all: Vec<String> = (0..150).map(|i| format!("f{i}.yaml")).collect();
    let found = run(main_with(&format!("[{}]", all.join(", "))), count(0..150, &|_| String::new()));
    assert!(found.contains("more than 100 files"), "{found}");

    let chain = |i: usize| format!("include: f{}.yaml\n", i + 1);
    let found = run(main_with("f0.yaml"), count(0..40, &chain));
    assert!(found.contains("f14.yaml:1:10: error: more than 16 files include each other"), "{found}");

    let again = vec!["f0.yaml"; 2000].join(", ");
    let found = run(main_with(&format!("[{again}]")), count(0..1, &|_| String::new()));
    assert!(found.contains("more than 1000 times"), "{found}");

    let large = |_| format!("# {}\n", "x".repeat(3 << 20));
    let found = run(main_with("[f0.yaml, f1.yaml, f2.yaml]"), count(0..3, &large));
    assert!(found.contains("larger than 8 MiB in all"), "{found}");
}

#[cfg(unix)]
#[test]
fn an_included_pipe_or_device_is_not_waited_for() {
    for path in ["/dev/zero", "/dev/stdin"] {
        let found = findings(&[("p.yaml", &main_with(path))]);
        assert!(found.contains("cannot be read"), "{found}");
    }
}

fn with_stages(stages: &str, include: &str) -> String {
    format!("stages: {stages}\ninclude: {include}\nj: {{stage: test, script: ls}}\n")
}

/// The stages of a main file with these `stages`, over `b.yaml` with `[lint, test]` and `c.yml` with `[test, ship]`.
fn stages(stages: &str) -> Vec<String> {
    load(&[
        ("p.yaml", &with_stages(stages, "[x/b.yaml, c.yml, e.yaml]")),
        ("x/b.yaml", "stages: [lint, test]\n"),
        ("c.yml", "stages: [test, ship]\n"),
        ("e.yaml", "variables: {A: 1}\n"),
    ])
    .stages
}

// covers: local-ci 88
#[test]
fn a_placeholder_stands_for_the_stages_of_the_include_of_that_name() {
    assert_eq!(stages("[build, test]"), ["build", "test"]);
    assert_eq!(stages("[build, .b, deploy]"), ["build", "lint", "test", "deploy"]);
    assert_eq!(stages("[.b.yaml]"), ["lint", "test"]);
    assert_eq!(stages("[.c]"), ["test", "ship"]);
}

// covers: local-ci 88
#[test]
fn of_several_placeholders_a_repeated_stage_stands_where_it_comes_first() {
    assert_eq!(stages("[.b, .c]"), ["lint", "test", "ship"]);
    assert_eq!(stages("[ship, .c, .b]"), ["ship", "test", "lint"]);
    assert_eq!(stages("[.b, deploy, test]"), ["lint", "test", "deploy"]);
}

// covers: local-ci 88
#[test]
fn a_file_without_stages_brings_none() {
    assert_eq!(stages("[test, .e]"), ["test"]);
}

// covers: local-ci 88
#[test]
fn a_placeholder_without_a_file_is_an_error_with_the_files_there_are() {
    let found = findings(&[("p.yaml", &with_stages("[test, .z]", "b.yaml")), ("b.yaml", "stages: [lint]\n")]);
    assert_eq!(
        found,
        "p.yaml:1:16: error: the stage placeholder `.z` names no included file (the included files are `.b`)"
    );
    let report =
        Pipeline::parse("p.yaml", b"stages: [test, .z]\nj: {stage: test, script: ls}\n").unwrap_err();
    assert!(report.summary().contains("names no included file"), "{}", report.summary());
}

// covers: local-ci 88
#[test]
fn a_placeholder_for_two_files_says_how_to_tell_them_apart() {
    let b = "stages: [test]\n";
    let found =
        findings(&[("p.yaml", &with_stages("[test, .b]", "[b.yaml, b.yml]")), ("b.yaml", b), ("b.yml", b)]);
    assert!(
        found.contains("could be any of 2 files (write the whole name: `.b.yaml` or `.b.yml`)"),
        "{found}"
    );
    let two = [("x/b.yaml", b), ("y/b.yaml", b)];
    let main = with_stages("[test, .b.yaml]", "[x/b.yaml, y/b.yaml]");
    let found = findings(&[("p.yaml", main.as_str()), two[0], two[1]]);
    assert!(found.contains("could be any of 2 files (rename one of these files)"), "{found}");
    let pipeline = load(&[
        ("p.yaml", &with_stages("[.b.yml]", "[b.yaml, b.yml]")),
        ("b.yaml", "stages: [no]\n"),
        ("b.yml", b),
    ]);
    assert_eq!(pipeline.stages, ["test"]);
}

// covers: local-ci 88
#[test]
fn an_included_file_may_not_have_placeholders() {
    let found = findings(&[("p.yaml", &with_stages("[test]", "b.yaml")), ("b.yaml", "stages: [a, .c]\n")]);
    assert!(
        found.starts_with(
            "b.yaml:1:13: error: stage placeholders are only supported in the main file, found in `"
        ),
        "{found}"
    );
}
