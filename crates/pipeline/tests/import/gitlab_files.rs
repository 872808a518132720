//! GitLab's includes, on real files.

use std::path::Path;

use jobwright_pipeline::{ImportError, import_gitlab};
use tempfile::TempDir;

use crate::{check_noted, job, notes, wrong};

fn project(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

fn main_file(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join(".gitlab-ci.yml")
}

#[test]
fn local_includes_are_merged_deeply_and_the_including_file_wins() {
    let folder = project(&[
        (".gitlab-ci.yml", "include: [/ci/a.yml, {local: ci/b.yml}]\nx: {image: main}\n"),
        ("ci/a.yml", "include: ci/c.yml\nx: {image: a, script: [a], variables: {A: a}}\n"),
        ("ci/b.yml", "x: {script: [b], variables: {B: b}}\n"),
        ("ci/c.yml", ".t: {script: [t]}\ny: {image: c, extends: .t}\n"),
    ]);
    let imported = import_gitlab(&main_file(&folder)).unwrap();
    let x = job(&imported, "x");
    assert_eq!(
        (x.image.as_deref(), x.script.join(","), x.variables.len()),
        (Some("main"), "b".to_owned(), 2)
    );
    assert_eq!(job(&imported, "y").script, ["t"]);
    assert_eq!(notes(&imported), [""; 0]);
}

#[test]
fn a_glob_includes_all_that_match() {
    let folder = project(&[
        (".gitlab-ci.yml", "include: 'ci/*.yml'\n"),
        ("ci/a.yml", "a: {image: i, script: [a]}\n"),
        ("ci/b.yml", "b: {image: i, script: [b]}\n"),
        ("ci/deep/c.yml", "c: {image: i, script: [c]}\n"),
    ]);
    let imported = import_gitlab(&main_file(&folder)).unwrap();
    assert!(
        imported.text.contains("\na:") && imported.text.contains("\nb:") && !imported.text.contains("\nc:")
    );
}

#[test]
fn paths_count_from_the_repository() {
    let folder = project(&[
        (".git/HEAD", ""),
        ("ci/main.yml", "include: ci/a.yml\n"),
        ("ci/a.yml", "a: {image: i, script: [a]}\n"),
    ]);
    import_gitlab(&folder.path().join("ci/main.yml")).unwrap();
}

#[test]
fn what_is_not_a_local_file_is_listed() {
    let folder = project(&[(
        ".gitlab-ci.yml",
        "include:\n  - https://example.org/x.yml\n  - template: Jobs/Build.gitlab-ci.yml\n  - {project: a/b, file: c.yml}\na: {image: i, script: [a]}\n",
    )]);
    let imported = import_gitlab(&main_file(&folder)).unwrap();
    check_noted(&imported, "the remote include is not carried over");
    check_noted(&imported, "the include of a `template` is not carried over");
    check_noted(&imported, "the include of a `project` is not carried over");
}

#[test]
fn an_include_that_is_missing_circular_or_outside_is_wrong() {
    for (include, expected) in [
        ("ci/none.yml", "1:10 the include `ci/none.yml` cannot be read"),
        (".gitlab-ci.yml", "1:10 `.gitlab-ci.yml` includes itself"),
        ("../x.yml", "1:10 the include `../x.yml` leads out of the project"),
        ("'*.none'", "1:10 no file matches the include `*.none`"),
    ] {
        let folder = project(&[(".gitlab-ci.yml", &format!("include: {include}\na: {{script: [x]}}\n"))]);
        let found = wrong(import_gitlab(&main_file(&folder)));
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn a_link_out_of_the_project_is_not_followed() {
    let outside = project(&[("x.yml", "a: {script: [x]}\n")]);
    let folder = project(&[(".gitlab-ci.yml", "include: x.yml\n")]);
    std::os::unix::fs::symlink(outside.path().join("x.yml"), folder.path().join("x.yml")).unwrap();
    assert!(wrong(import_gitlab(&main_file(&folder))).contains("leads out of the project"));
}

#[test]
fn an_error_in_an_included_file_is_told_at_its_place() {
    let folder = project(&[(".gitlab-ci.yml", "include: a.yml\n"), ("a.yml", "a:\n  script: {b: c}\n")]);
    let Err(ImportError::Invalid(report)) = import_gitlab(&main_file(&folder)) else { panic!() };
    assert_eq!(report.summary().split(": error").next(), Some("a.yml:2:11"));
}

#[test]
fn a_file_that_is_not_there_is_unreadable() {
    assert!(matches!(import_gitlab(Path::new("/none/x.yml")), Err(ImportError::Unreadable { .. })));
}
