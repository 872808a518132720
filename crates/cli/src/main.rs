//! The command line program `jobwright`: reads flags, builds the backends (the only place that names concrete ones), calls the
//! rooms below and shows what comes. Decides nothing about jobs itself.

mod args;
mod backends;
mod commands;
mod exit;
mod failure;
mod show;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::exit::Exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.global.color.apply();
    start_tracing(&cli.global.log);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            return failure::Failure::new(Exit::Unavailable, format!("no threads to run on: {error}")).show();
        }
    };
    let exit = runtime.block_on(commands::execute(cli));
    // What still blocks a thread (a read of a terminal, say) must not keep the program from ending.
    runtime.shutdown_background();
    match exit {
        Ok(exit) => exit.into(),
        Err(failure) => failure.show(),
    }
}

fn start_tracing(filter: &str) {
    let filter = tracing_subscriber::EnvFilter::builder().parse_lossy(filter);
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
}
