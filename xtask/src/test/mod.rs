//! `cargo xtask test`: every check of this repository, on a machine that may lack things. Not for what a
//! single check means; each has its own module or its own tests.

mod cargo_output;
mod fuzz;
mod leftovers;
pub(crate) mod processes;
mod provision;
pub(crate) mod suites;
pub(crate) mod summary;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::repository;
use provision::Provisioned;
use summary::{Row, Summary, Tally};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Install what the tests need with apt-get, and start engines and registries for their time (as root, on Debian).
    #[arg(long)]
    provision: bool,
    /// Fuzz the parsers too, for a bounded time.
    #[arg(long)]
    fuzz: bool,
    /// Only these suites; `--only help` lists them.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// What a suite may use.
pub(crate) struct Setting {
    /// Folder for logs, below cargo's target folder.
    pub(crate) logs: PathBuf,
    /// Variables that tell the tests where engines and registries are.
    pub(crate) environment: Vec<(String, String)>,
    /// Whether fuzzing was asked for.
    pub(crate) fuzz: bool,
    /// What was in the engines before the tests began.
    pub(crate) left_before: BTreeSet<String>,
}

/// Runs the suites and prints what came of each.
pub(crate) fn run(options: &Options) -> Result<()> {
    let chosen = chosen(&options.only)?;
    processes::catch_signals()?;
    let logs = repository::target().join("xtask");
    std::fs::create_dir_all(&logs)?;

    // Dropped last of all, also when a suite fails or the run is interrupted: this ends what was started.
    let provisioned = if options.provision { provision::run(&logs)? } else { Provisioned::found() };
    for (name, value) in &provisioned.environment {
        println!("{name}={value}");
    }
    let mut summary = Summary::default();
    if !provisioned.missing.is_empty() {
        let tally = Tally { skipped: provisioned.missing.clone(), ..Tally::default() };
        summary.rows.push(Row { suite: "machine", tally, took: provisioned.took });
    }
    let environment = provisioned.environment.clone();
    let left_before = leftovers::before(&environment);
    let setting = Setting { logs, environment, fuzz: options.fuzz, left_before };
    for suite in chosen {
        if processes::is_interrupted() {
            break;
        }
        println!("\n=== {}", suite.name);
        let begin = Instant::now();
        let tally = (suite.run)(&setting);
        summary.rows.push(Row { suite: suite.name, tally, took: begin.elapsed() });
    }
    drop(provisioned);

    println!("\n{summary}");
    if processes::is_interrupted() {
        bail!("interrupted before the end");
    }
    if summary.has_failed() { bail!("tests failed") } else { Ok(()) }
}

fn chosen(only: &[String]) -> Result<Vec<&'static suites::Suite>> {
    if let Some(unknown) = only.iter().find(|name| suites::ALL.iter().all(|suite| suite.name != **name)) {
        let names: Vec<&str> = suites::ALL.iter().map(|suite| suite.name).collect();
        bail!("there is no suite {unknown}; the suites are {}", names.join(", "));
    }
    Ok(suites::ALL
        .iter()
        .filter(|suite| only.is_empty() || only.iter().any(|name| name == suite.name))
        .collect())
}
