//! `cargo xtask reference`: `docs/book/pipeline-reference.md`, made from the tables of keys that the checker and the schema are made from,
//! and from an example for each key (`examples/keys/<table>/<key>.yaml`). Not for running the examples: `runs` does, for the suite
//! `examples`.

mod example;
mod gitlab;
mod page;
mod places;
mod runs;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use jobwright_pipeline::{Key, Loader, TABLES, Table};

use crate::repository;
use example::Example;

pub(crate) use runs::run_examples;

const PAGE: &str = "docs/book/pipeline-reference.md";
const FOLDER: &str = "examples/keys";

/// Options of `cargo xtask reference`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fail when the kept page is stale, and write nothing.
    #[arg(long)]
    check: bool,
}

/// A key with its example. A key that nothing honours yet need not have one.
struct Entry {
    table: &'static Table,
    key: &'static Key,
    example: Option<Example>,
}

/// Writes the page, or checks the one that is kept.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check {
        check()?;
        println!("{PAGE} is current");
        return Ok(());
    }
    let page = page::render(&checked()?);
    Ok(std::fs::write(repository::root().join(PAGE), page)?)
}

/// Every key has its example, what the examples say of defaults and errors is so, and the page is made from all of it.
pub(crate) fn check() -> Result<()> {
    let page = page::render(&checked()?);
    if repository::read(&repository::root().join(PAGE)).unwrap_or_default() != page {
        bail!("{PAGE} is stale; run `cargo xtask reference`");
    }
    Ok(())
}

/// The file below `examples/keys/` that shows a key.
fn file_of(table: &Table, key: &Key) -> PathBuf {
    Path::new(table.name).join(format!("{}.yaml", key.name))
}

/// Whether `path`, counted from the root, is an example of a key or a part of one.
pub(crate) fn is_of_a_key(path: &Path) -> bool {
    let shows = |path: &Path| {
        TABLES
            .iter()
            .any(|table| table.keys.iter().any(|key| path == Path::new(FOLDER).join(file_of(table, key))))
    };
    path.starts_with(Path::new(FOLDER).join("parts")) || shows(path)
}

/// All keys in the order of their tables, read and checked.
fn checked() -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut wrong = Vec::new();
    for table in TABLES {
        places::of(table)?;
        for key in table.keys {
            match entry(table, key) {
                Ok(entry) => entries.push(entry),
                Err(error) => wrong.push(format!("`{}` of the table `{}`: {error:#}", key.name, table.name)),
            }
        }
    }
    if wrong.is_empty() { Ok(entries) } else { bail!("{}", wrong.join("\n")) }
}

fn entry(table: &'static Table, key: &'static Key) -> Result<Entry> {
    let file = Path::new(FOLDER).join(file_of(table, key));
    let path = repository::root().join(&file);
    if !path.is_file() {
        if !table.honours(key) {
            return Ok(Entry { table, key, example: None });
        }
        bail!("this key has no example: write {} ({FOLDER}/README.md says how)", file.display());
    }
    let example = Example::read(&repository::read(&path)?)?;
    if table.honours(key) {
        load(&path, key)?;
        words::check(table, key, &example)?;
    }
    Ok(Entry { table, key, example: Some(example) })
}

/// The example is a pipeline file without anything to find fault with, and has the key.
fn load(path: &Path, key: &Key) -> Result<()> {
    let pipeline = Loader::new().load(path)?;
    if !pipeline.warnings().is_empty() {
        bail!("{}", pipeline.warnings().summary());
    }
    let uses = regex::Regex::new(&format!(r"(?m)(^|[\s{{,]){}:", regex::escape(key.name)))?;
    if !uses.is_match(&example::without_comments(&repository::read(path)?)) {
        bail!("{} does not use it", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No key is without an example, and no example says of a key what is not so.
    #[test]
    fn every_key_has_an_example_and_the_reference_is_made_from_them() {
        check().unwrap();
    }
}
