//! `cargo xtask`: the repository's tests, checks and benchmarks. Not part of what users install.

mod checklist;
mod repository;

use std::process::ExitCode;

use clap::Parser;

/// Tests, checks and benchmarks of Jobwright.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Shows which items of the reference checklists have a test.
    Checklist(checklist::Options),
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Checklist(options) => checklist::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
