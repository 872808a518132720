//! The command line program `jobwright`: reads flags, builds the backends (the only place that names concrete ones), calls the
//! rooms below and shows what comes. Decides nothing about jobs itself.

mod args;
mod backends;
mod commands;
mod completion;
mod database;
mod exit;
mod failure;
mod graph;
mod remote;
mod settings;
mod shell;
mod show;
mod signals;
mod watch;

use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::show::aside::Aside;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == completion::ASK) {
        completion::answer(arguments.collect());
        return ExitCode::SUCCESS;
    }
    let (cli, settings) = match Settings::parse() {
        Ok(parsed) => parsed,
        Err(failure) => return failure.show(),
    };
    if let Err(failure) = start_tracing(&cli.global.log) {
        return failure.show();
    }
    if let Err(error) = jobwright_shim::open_files::raise() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failure::new(Exit::Unavailable, format!("no threads to run on: {error}")).show();
        }
    };
    let exit = runtime.block_on(commands::execute(cli, &settings));
    // What still blocks a thread (a read of a terminal, say) must not keep the program from ending.
    runtime.shutdown_background();
    match exit {
        Ok(exit) => exit.into(),
        Err(failure) => failure.show(),
    }
}

/// One thread carries everything that one run's jobs say and need: their processes need the processors more, and each further
/// thread costs every hand-over a wake-up. What may wait for a disk or a terminal has threads of its own.
fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn start_tracing(filter: &str) -> Result<(), Failure> {
    let levels = EnvFilter::builder().parse(of_jobwright(filter)).map_err(|error| {
        Failure::new(Exit::Invalid, format!("--log {filter:?}: {error}; write a level such as `info`"))
    })?;
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let to_stderr = tracing_subscriber::fmt().with_writer(|| Aside).with_ansi(colour).with_target(false);
    to_stderr.with_env_filter(levels).init();
    Ok(())
}

/// A level alone is for Jobwright's own crates: what a library logs of a conversation with an engine is no more than a warning
/// unless it is asked for by its name, as it may hold anything, secrets included.
fn of_jobwright(filter: &str) -> String {
    match filter.parse::<LevelFilter>() {
        Ok(level) if level > LevelFilter::WARN => format!("warn,jobwright={level}"),
        _ => filter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_alone_is_not_for_libraries() {
        assert_eq!(of_jobwright("debug"), "warn,jobwright=debug");
        for as_it_is in ["error", "off", "warn", "bollard=debug", "warn,jobwright_docker=info"] {
            assert_eq!(of_jobwright(as_it_is), as_it_is);
        }
    }
}
