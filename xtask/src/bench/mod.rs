//! `cargo xtask bench`: what we promise of speed, measured as ratios against a bare loop in the same run. Not
//! for finding out where time goes.
//!
//! A promise is about the program that users run, so every measurement starts the release build of `jobwright`
//! as they would. A floor is the least that the same work can cost: the bare spawn loop, the bare engine
//! calls, the bare redirection. Floor and measurement take turns, and medians are compared.

mod docker;
mod engine_api;
mod graph;
mod output;
mod processes;
mod project;
mod table;
mod turns;

use std::process::Command;

use anyhow::{Result, bail};

use crate::repository;
use project::Jobwright;
use table::{Row, Table};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these measurements; `--only help` lists them.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How often each side is measured.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Do not build; use the release programs that are there.
    #[arg(long)]
    no_build: bool,
}

type Measurement = fn(&Jobwright, usize) -> Result<Vec<Row>>;

const ALL: [(&str, Measurement); 7] = [
    ("one-job", processes::one_job),
    ("parallel", processes::parallel),
    ("stages", processes::stages),
    ("wave", graph::wave),
    ("graph", graph::cost),
    ("docker", docker::step),
    ("output", output::gibibyte),
];

/// Measures and prints the table; fails when a promise does not hold.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(unknown) = options.only.iter().find(|name| ALL.iter().all(|(known, _)| known != name)) {
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        bail!("there is no measurement {unknown}; there are {}", names.join(", "));
    }
    if !options.no_build {
        build()?;
    }
    let jobwright = Jobwright::find()?;
    let mut table = Table::default();
    for (name, measure) in ALL {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        eprintln!("measuring {name}");
        match measure(&jobwright, options.rounds.max(1)) {
            Ok(rows) => table.rows.extend(rows),
            Err(error) => table.rows.push(Row::unmeasured(name, format!("{error:#}"))),
        }
    }
    println!("{table}");
    if table.all_hold() { Ok(()) } else { bail!("not every promise holds") }
}

fn build() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "-p", "jobwright-cli", "-p", "jobwright-shim"]);
    let status = cargo.current_dir(repository::root()).status()?;
    if status.success() { Ok(()) } else { bail!("the release build ended with {status}") }
}
