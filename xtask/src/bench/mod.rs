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
mod queue;
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

/// How something is measured, so many rounds.
#[derive(Clone, Copy)]
enum Measurement {
    /// By the program that users run.
    Program(fn(&Jobwright, usize) -> Result<Vec<Row>>),
    /// By an example of a room, which builds itself.
    Room(fn(usize) -> Result<Vec<Row>>),
}

use Measurement::{Program, Room};

const ALL: [(&str, Measurement); 8] = [
    ("one-job", Program(processes::one_job)),
    ("parallel", Program(processes::parallel)),
    ("stages", Program(processes::stages)),
    ("wave", Program(graph::wave)),
    ("graph", Program(graph::cost)),
    ("docker", Program(docker::step)),
    ("output", Program(output::gibibyte)),
    ("queue", Room(queue::cost)),
];

/// Measures and prints the table; fails when a promise does not hold.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(unknown) = options.only.iter().find(|name| ALL.iter().all(|(known, _)| known != name)) {
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        bail!("there is no measurement {unknown}; there are {}", names.join(", "));
    }
    let is_wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let wanted: Vec<_> = ALL.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    if !options.no_build && wanted.iter().any(|(_, measure)| matches!(measure, Program(_))) {
        build()?;
    }
    let mut table = Table::default();
    for (name, measure) in wanted {
        eprintln!("measuring {name}");
        let rounds = options.rounds.max(1);
        let measured = match measure {
            Program(measure) => Jobwright::find().and_then(|jobwright| measure(&jobwright, rounds)),
            Room(measure) => measure(rounds),
        };
        match measured {
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
