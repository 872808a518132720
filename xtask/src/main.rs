//! `cargo xtask`: the repository's tests, checks and benchmarks. Not part of what users install.

mod bench;
mod checklist;
mod examples;
mod interfaces;
mod layers;
mod readme;
mod reference;
mod repository;
mod schema;
mod test;

use std::process::ExitCode;

use clap::Parser;

/// Tests, checks and benchmarks of Jobwright.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Runs every check and test, and says what it had to skip.
    Test(test::Options),
    /// Shows which items of the reference checklists have a test.
    Checklist(checklist::Options),
    /// Holds docs/interfaces.md against the interface documents and the code.
    Interfaces(interfaces::Options),
    /// Checks which crate knows what.
    Layers,
    /// Writes the JSON schema of pipeline files.
    Schema(schema::Options),
    /// Writes the reference of the pipeline file's keys.
    Reference(reference::Options),
    /// Measures what is promised of speed, against bare loops in the same run.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Test(options) => test::run(&options),
        Command::Checklist(options) => checklist::run(&options),
        Command::Interfaces(options) => interfaces::run(&options),
        Command::Layers => layers::run(),
        Command::Schema(options) => schema::run(&options),
        Command::Reference(options) => reference::run(&options),
        Command::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
