//! What the book and the README show of files is true: pipelines are valid, imports give what stands behind them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use jobwright_pipeline::{Loader, Pipeline, import_gitlab_bytes, import_woodpecker_bytes};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The blocks of a page with what stands behind their three back quotes.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(kind) if !inside => blocks.push((kind.to_owned(), String::new())),
            Some(_) => {}
            None if inside => {
                let (_, text) = blocks.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
        inside ^= line.starts_with("```");
    }
    blocks
}

fn block(page: &str, kind: &str) -> String {
    let found = blocks(page).into_iter().find(|(known, _)| known == kind);
    found.unwrap_or_else(|| panic!("no block of {kind}")).1
}

fn parse(name: &str, text: &str) -> Pipeline {
    Loader::new()
        .base(root().join("docs/book"))
        .parse(name, text.as_bytes())
        .unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn every_pipeline_that_is_shown_is_valid() {
    let pages = std::fs::read_dir(root().join("docs/book")).unwrap();
    let mut names: Vec<_> = pages.map(|entry| entry.unwrap().path()).collect();
    names.push(root().join("README.md"));
    let mut seen = 0;
    // The reference shows examples that include others, and are loaded where they lie.
    for path in names.into_iter().filter(|path| !path.ends_with("pipeline-reference.md")) {
        let page = std::fs::read_to_string(&path).unwrap();
        for (kind, text) in blocks(&page) {
            if ["yaml", "yaml result", "yaml local-ci"].contains(&kind.as_str()) && text.contains("stages:") {
                let warnings = parse("p.yaml", &text).warnings();
                assert!(warnings.is_empty(), "{}: {}", path.display(), warnings.summary());
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn what_the_book_shows_of_an_import_comes_of_it() {
    let gitlab = page("docs/book/from-gitlab.md");
    let imported = import_gitlab_bytes(".gitlab-ci.yml", block(&gitlab, "yaml gitlab").as_bytes()).unwrap();
    assert_eq!(imported.text, block(&gitlab, "yaml result"));
    let woodpecker = page("docs/book/from-woodpecker.md");
    let file = (".woodpecker.yaml".to_owned(), block(&woodpecker, "yaml woodpecker").into_bytes());
    assert_eq!(import_woodpecker_bytes(&[file]).unwrap().text, block(&woodpecker, "yaml result"));
}

/// What the page says of a file before and after it is renamed.
// covers: local-ci 85
#[test]
fn a_file_of_local_cis_means_what_it_meant_until_it_is_renamed() {
    let text = block(&page("docs/book/from-local-ci.md"), "yaml local-ci");
    let retries = |name: &str| parse(name, &text).job("test_SUITE.unit").unwrap().retry.max;
    assert_eq!(
        (retries(".local-ci.yaml"), retries("deploy.local-ci.yml"), retries(".jobwright.yaml")),
        (1, 1, 0)
    );
}

/// The keys of local-ci.md 1.2 and 1.3.
#[test]
fn the_page_about_local_ci_names_every_key_of_its() {
    let page = page("docs/book/from-local-ci.md");
    for key in [
        "stages",
        "variables",
        "include",
        "bootstrap",
        "cleanup",
        "remote_provider",
        "stage",
        "image",
        "script",
        "workdir",
        "network",
        "cache",
        "job_bootstrap",
        "job_cleanup",
        "parallel",
        "matrix",
        "extends",
        "timeout",
        "retry",
        "services",
        "artifacts",
        "needs",
    ] {
        let row = |line: &str| {
            line.strip_prefix("| ").is_some_and(|line| {
                line.split(" | ").next().is_some_and(|cell| cell.contains(&format!("`{key}`")))
            })
        };
        assert!(page.lines().any(row), "{key} has no row");
    }
}
