//! Which files of a directory are taken for pipeline files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use jobwright_pipeline::{discover, is_pipeline_file_name};

// covers: local-ci 92
#[test]
fn a_pipeline_file_is_known_by_its_name() {
    for name in [
        ".jobwright.yaml",
        ".jobwright.yml",
        ".local-ci.yaml",
        ".local-ci.yml",
        "local-ci.yaml",
        "build.local-ci.yaml",
        "deploy-local-ci.yml",
        "smoke_local-ci.yaml",
        "SMOKE_Local-CI.YAML",
    ] {
        assert!(is_pipeline_file_name(name), "{name}");
    }
    for name in
        ["nonlocal-ci.yaml", "local-ci.json", ".local-ci.yaml.bak", "jobwright.toml", ".yaml", "", "local-ci"]
    {
        assert!(!is_pipeline_file_name(name), "{name}");
    }
}

// covers: local-ci 92
#[test]
fn the_projects_own_file_comes_first_then_local_cis_then_the_rest_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "b.local-ci.yaml",
        "A.local-ci.yml",
        ".local-ci.yml",
        ".jobwright.yaml",
        "other.yaml",
        ".local-ci.yaml",
    ] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    std::fs::create_dir(folder.path().join("local-ci.yaml")).unwrap();
    let found = discover(folder.path()).unwrap();
    let names: Vec<&str> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names,
        [".jobwright.yaml", ".local-ci.yaml", ".local-ci.yml", "A.local-ci.yml", "b.local-ci.yaml"]
    );
}

// covers: local-ci 92
#[test]
fn a_directory_that_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(discover(&folder.path().join("none")).is_err());
}
