//! `jobwright-shim`: owns host steps' pipes and exit statuses and outlives the Jobwright process that started it.
//!
//! One thread, no async runtime. This file reads the arguments and puts the parts together in the order in which they
//! depend on each other; what the shim does is in [`shim`]. It knows nothing about workflows.

#![deny(unsafe_code)]

mod cgroup;
mod children;
mod connection;
mod daemon;
mod execs;
mod family;
mod orders;
mod poller;
mod shim;
mod spawn;
mod spool;
mod step;
mod stopping;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use jobwright_shim::protocol::PROTOCOL;

use crate::shim::Shim;

const USAGE: &str = "\
usage: jobwright-shim --dir DIR [--linger-ms N] [--open-files N] [--foreground]
       jobwright-shim --stdio [--linger-ms N] [--open-files N]

Runs steps for Jobwright; not meant to be called by hand.

  --dir DIR       serve the socket DIR/shim.sock; DIR belongs to the caller and is closed to others (0700)
  --linger-ms N   how long to wait for the first owner, in milliseconds (default 5000)
  --open-files N  how many files a step may have open, unless its order says otherwise; default: the caller's limit
  --foreground    do not detach from the caller
  --stdio         serve one owner on standard input and output instead of a socket
  --version       print the version and the protocol";

struct Settings {
    dir: Option<PathBuf>,
    linger: Duration,
    open_files: Option<u64>,
    foreground: bool,
}

fn main() -> ExitCode {
    let settings = match parse(std::env::args_os().skip(1)) {
        Ok(Some(settings)) => settings,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("jobwright-shim: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("jobwright-shim: {message}");
            ExitCode::FAILURE
        }
    }
}

/// `None` when the arguments only asked for something to be printed.
fn parse(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Option<Settings>, String> {
    let mut settings =
        Settings { dir: None, linger: Duration::from_secs(5), open_files: None, foreground: false };
    let mut stdio = false;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--dir") => settings.dir = Some(arguments.next().ok_or("--dir needs a directory")?.into()),
            Some("--linger-ms") => {
                let text = arguments.next().and_then(|text| text.into_string().ok());
                let number = text.and_then(|text| text.parse().ok());
                settings.linger = Duration::from_millis(number.ok_or("--linger-ms needs a number")?);
            }
            Some("--open-files") => {
                let text = arguments.next().and_then(|text| text.into_string().ok());
                let number = text.and_then(|text| text.parse().ok());
                settings.open_files = Some(number.ok_or("--open-files needs a number")?);
            }
            Some("--foreground") => settings.foreground = true,
            Some("--stdio") => stdio = true,
            Some("--help" | "-h") => {
                println!("{USAGE}");
                return Ok(None);
            }
            Some("--version") => {
                println!("jobwright-shim {} protocol {PROTOCOL}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            _ => return Err(format!("unknown argument `{}`", argument.display())),
        }
    }
    if stdio == settings.dir.is_some() {
        return Err("either --dir or --stdio is needed".into());
    }
    Ok(Some(settings))
}

fn serve(settings: Settings) -> Result<(), String> {
    daemon::close_inherited();
    if let Some(limit) = settings.open_files {
        let set = jobwright_shim::open_files::set(limit);
        set.map_err(|error| format!("cannot set the limit of open files: {error}"))?;
    }
    let Some(dir) = settings.dir else {
        let owner = daemon::take_stdio().map_err(|error| format!("cannot use standard input: {error}"))?;
        daemon::reset_signals();
        let mut shim = Shim::new(settings.linger, None).map_err(|error| error.to_string())?;
        shim.add_stdio_owner(owner).map_err(|error| error.to_string())?;
        return shim.run().map_err(|error| error.to_string());
    };
    let dir = daemon::check_dir(&dir)?;
    let Some(lock) = daemon::lock(&dir)? else { return Ok(()) };
    let listener = jobwright_shim::socket::listen(&dir)
        .map_err(|error| format!("cannot listen in {}: {error}", dir.display()))?;
    if !settings.foreground {
        daemon::redirect_streams(&dir)?;
        daemon::detach().map_err(|error| format!("cannot fork: {error}"))?;
    }
    daemon::reset_signals();
    let result = run(&dir, listener, settings.linger);
    drop(lock);
    result
}

fn run(
    dir: &std::path::Path,
    listener: std::os::unix::net::UnixListener,
    linger: Duration,
) -> Result<(), String> {
    let mut shim = Shim::new(linger, Some((dir, listener))).map_err(|error| error.to_string())?;
    daemon::write_record(dir).map_err(|error| format!("cannot write shim.json: {error}"))?;
    let result = shim.run();
    shim.close_listener();
    daemon::remove_traces(dir);
    result.map_err(|error| error.to_string())
}
