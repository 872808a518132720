//! Files of GitLab's and Woodpecker's in our language: what carries over, what is listed, what is wrong. Every result that is shown here
//! has passed our own checker.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod gitlab;
mod gitlab_files;
mod gitlab_needs;
mod hostile;
mod samples;
mod woodpecker;

use jobwright_pipeline::{
    ImportError, Imported, Loader, Pipeline, PipelineJob, import_gitlab_bytes, import_woodpecker_bytes,
};

fn gitlab(file: &str) -> Imported {
    import_gitlab_bytes(".gitlab-ci.yml", file.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn woodpecker(file: &str) -> Imported {
    import_woodpecker_bytes(&[(".woodpecker.yaml".to_owned(), file.as_bytes().to_vec())])
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The result as our own checker reads it.
fn pipeline(imported: &Imported) -> Pipeline {
    Loader::new().every_key().parse(".jobwright.yaml", imported.text.as_bytes()).unwrap()
}

/// The job of that name in the result.
#[track_caller]
fn job(imported: &Imported, name: &str) -> PipelineJob {
    pipeline(imported).job(name).unwrap_or_else(|| panic!("no `{name}` in\n{}", imported.text)).clone()
}

/// The condition of a job, as it is written.
#[track_caller]
fn condition(imported: &Imported, name: &str) -> String {
    job(imported, name).condition.map(|condition| condition.text().to_owned()).unwrap_or_default()
}

/// The notes without severity and help.
fn notes(imported: &Imported) -> Vec<String> {
    let place = |finding| {
        let position = imported.notes.position(finding);
        format!("{}:{} {}", position.line, position.column, finding.message)
    };
    imported.notes.findings().iter().map(place).collect()
}

/// Whether a note has these words, and stands in the result as a comment too.
#[track_caller]
fn check_noted(imported: &Imported, words: &str) {
    assert!(notes(imported).iter().any(|note| note.contains(words)), "{:#?}", notes(imported));
    assert!(
        imported.text.lines().any(|line| line.starts_with("# ") && line.contains(words)),
        "{}",
        imported.text
    );
}

/// The first thing that is wrong, with its line and column.
#[track_caller]
fn wrong(result: Result<Imported, ImportError>) -> String {
    match result {
        Err(ImportError::Invalid(report)) => {
            let finding = &report.findings()[0];
            let position = report.position(finding);
            format!("{}:{} {}", position.line, position.column, finding.message)
        }
        Err(error) => panic!("{error}"),
        Ok(imported) => panic!("{}", imported.text),
    }
}

fn wrong_gitlab(file: &str) -> String {
    wrong(import_gitlab_bytes(".gitlab-ci.yml", file.as_bytes()))
}

fn wrong_woodpecker(file: &str) -> String {
    wrong(import_woodpecker_bytes(&[(".woodpecker.yaml".to_owned(), file.as_bytes().to_vec())]))
}
