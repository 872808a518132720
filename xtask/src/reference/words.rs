//! Holds what an example says of its key against the check of files: wrong values are refused in the words that it gives, and a default
//! means what the file without the key means. Not for running it.

use anyhow::{Context, Result, bail};
use jobwright_pipeline::{Key, Pipeline, Table};
use regex::Regex;

use crate::reference::example::Example;
use crate::reference::places;

/// Checks all that the example says.
pub(super) fn check(table: &Table, key: &Key, example: &Example) -> Result<()> {
    let place = places::of(table)?;
    for refused in &example.refused {
        let said = findings(&place.file_with(Some(&refused.value)));
        if !said.contains(&refused.message) {
            bail!(
                "`{}` is said to be refused with {:?}, but what is said is {said:?}",
                refused.value,
                refused.message
            );
        }
    }
    let Some(default) = literal(&example.default) else { return Ok(()) };
    let with = meaning(&place.file_with(Some(&format!("{}: {default}", key.name))))?;
    // Where the key is one that must be there, there is no file without it.
    if with != meaning(&place.file_with(None))? {
        bail!(
            "`{}: {default}` is said to be the default, but means something else than no `{}`",
            key.name,
            key.name
        );
    }
    Ok(())
}

/// Whether `value` keeps a file from running; otherwise it is only warned of.
pub(super) fn keeps_from_running(table: &Table, value: &str) -> Result<bool> {
    let file = places::of(table)?.file_with(Some(value));
    Ok(Pipeline::parse("p.yaml", file.as_bytes()).is_err())
}

/// The value that stands in back quotes and is all that is said.
fn literal(default: &str) -> Option<&str> {
    default.strip_prefix('`')?.strip_suffix('`').filter(|value| !value.contains('`'))
}

/// Everything that is found in `file`.
fn findings(file: &str) -> String {
    match Pipeline::parse("p.yaml", file.as_bytes()) {
        Ok(pipeline) => pipeline.warnings().summary(),
        Err(report) => report.summary(),
    }
}

/// What `file` means, without the places where it says it.
fn meaning(file: &str) -> Result<String> {
    let pipeline =
        Pipeline::parse("p.yaml", file.as_bytes()).with_context(|| format!("failed to check\n{file}"))?;
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        pipeline.stages,
        pipeline.variables,
        pipeline.secrets,
        pipeline.jobs,
        pipeline.bootstrap,
        pipeline.cleanup,
        pipeline.remote_provider
    );
    Ok(Regex::new(r"Span \{[^}]*\}")?.replace_all(&shown, "").into_owned())
}
