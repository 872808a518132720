//! Whole files of the size that people have, and all of what comes of them.

use jobwright_pipeline::{import_gitlab, import_woodpecker};

// covers: local-ci 93
#[test]
fn a_whole_gitlab_file() {
    insta::assert_snapshot!(import_gitlab("tests/import/sample.gitlab-ci.yml".as_ref()).unwrap().text);
}

#[test]
fn a_whole_woodpecker_workflow() {
    insta::assert_snapshot!(import_woodpecker("tests/import/sample.woodpecker.yaml".as_ref()).unwrap().text);
}
