//! `cargo xtask interfaces`: does `docs/interfaces.md` name everything that the interface documents name, and
//! is what it says of this code true? Not for whether the code behaves as a row says; tests show that.

mod documents;
mod page;
mod paths;

use anyhow::{Result, bail};

use crate::repository;
use documents::Document;
use page::{Row, Subject};
use paths::Paths;

const PAGE: &str = "docs/interfaces.md";

/// Options of `cargo xtask interfaces`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fail when a row is missing or wrong. Without it, rows to fill in are printed for what is missing.
    #[arg(long)]
    check: bool,
}

/// Checks the page, or prints what it lacks.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check {
        return check();
    }
    let sections = page::parse(&repository::read(&repository::root().join(PAGE)).unwrap_or_default());
    for document in documents()? {
        println!("## {}", document.name);
        let rows = sections.get(&document.name).map(Vec::as_slice).unwrap_or_default();
        for name in lacking(&document, rows) {
            println!("| `{name}` | |");
        }
    }
    Ok(())
}

/// What `--check` does.
pub(crate) fn check() -> Result<()> {
    let sections = page::parse(&repository::read(&repository::root().join(PAGE))?);
    let mut problems = Vec::new();
    let mut checked = 0;
    for document in documents()? {
        let rows = sections.get(&document.name).map(Vec::as_slice).unwrap_or_default();
        let lacking = lacking(&document, rows);
        problems.extend(
            lacking.iter().map(|name| format!("{PAGE}: {} names {name}; no row does", document.name)),
        );
        problems.extend(rows.iter().filter_map(|row| strange(&document, row)));
        checked += document.names.len();
    }
    let paths = Paths::read()?;
    for row in sections.values().flatten() {
        problems.extend(row.faults(&paths).into_iter().map(|fault| format!("{PAGE}:{}: {fault}", row.line)));
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    let rows = sections.values().map(Vec::len).sum::<usize>();
    println!("{rows} rows stand for {checked} names of the interface documents");
    Ok(())
}

fn documents() -> Result<Vec<Document>> {
    let Some(shared) = repository::shared() else {
        println!("no ../shared here (nor JOBWRIGHT_SHARED): only the rows' paths into this code are checked");
        return Ok(Vec::new());
    };
    let read = |name: &str| {
        let path = shared.join("reference/interfaces").join(name);
        Ok(documents::read(name, &repository::read(&path)?))
    };
    documents::NAMES.into_iter().map(read).collect()
}

fn lacking(document: &Document, rows: &[Row]) -> Vec<String> {
    let named = |name: &String| {
        rows.iter().any(|row| matches!(&row.subject, Subject::Names(names) if names.contains(name)))
    };
    document.names.iter().filter(|name| !named(name)).cloned().collect()
}

/// A row about something that its document does not say.
fn strange(document: &Document, row: &Row) -> Option<String> {
    let absent = match &row.subject {
        Subject::Names(names) => names.iter().find(|name| !document.mentions(name))?,
        Subject::Quote(quote) => Some(quote).filter(|quote| !document.says(quote))?,
    };
    Some(format!("{PAGE}:{}: {} does not say \"{absent}\"", row.line, document.name))
}
