//! `cargo xtask checklist`: which items of the reference checklists have a test, and which have none.
//! Not for judging whether a test is a good one.

mod claims;
mod page;
mod reference;

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::repository;
use claims::Claim;
use reference::Checklist;

/// Where the result is kept.
const PAGE: &str = "docs/coverage.md";

/// Options of `cargo xtask checklist`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Keep the result in docs/coverage.md.
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Fail when docs/coverage.md is stale or a test names an item that does not exist.
    #[arg(long)]
    check: bool,
}

/// Prints what is covered, by which test, and what is not.
pub(crate) fn run(options: &Options) -> Result<()> {
    let path = repository::root().join(PAGE);
    let kept = path.is_file().then(|| repository::read(&path)).transpose()?;
    let checklists = checklists(kept.as_deref())?;
    let (claims, mut problems) = claims::scan()?;
    problems.extend(unknown_numbers(&claims, &checklists));

    let rendered = page::render(&checklists, &claims);
    if options.write {
        std::fs::write(&path, &rendered)?;
    }
    if options.check {
        if kept.as_deref() != Some(rendered.as_str()) {
            problems.push(format!("{PAGE} is stale; run `cargo xtask checklist --write`"));
        }
    } else {
        print!("{}", page::report(&checklists, &claims));
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    println!("{}", page::totals(&checklists, &claims));
    Ok(())
}

/// The checklists of the references; without those, the items that the kept page lists.
fn checklists(kept: Option<&str>) -> Result<Vec<Checklist>> {
    let Some(shared) = repository::shared() else {
        println!("no ../shared here (nor JOBWRIGHT_SHARED): the checklists' items are taken from {PAGE}");
        return Ok(kept.map(page::parse).unwrap_or_default());
    };
    let mut found = Vec::new();
    for name in reference::NAMES {
        let text = repository::read(&shared.join("reference").join(format!("{name}.md")))?;
        match reference::parse(name, &text) {
            Some(checklist) => found.push(checklist),
            None => bail!("no numbered checklist in the reference {name}.md"),
        }
    }
    Ok(found)
}

/// What `--check` does.
pub(crate) fn check() -> Result<()> {
    run(&Options { write: false, check: true })
}

fn unknown_numbers(claims: &[Claim], checklists: &[Checklist]) -> Vec<String> {
    let known: BTreeMap<&str, &Checklist> = checklists.iter().map(|c| (c.name.as_str(), c)).collect();
    let exists = |claim: &Claim| known.get(claim.list.as_str()).is_some_and(|list| list.has(claim.number));
    claims
        .iter()
        .filter(|claim| !exists(claim))
        .map(|claim| format!("{}: there is no item {} in {}", claim.place, claim.number, claim.list))
        .collect()
}
