//! Becoming a process of its own: nothing of the caller's is kept, one shim per directory, a record of who serves it.
//!
//! Everything that can fail is done before [`detach`], so that the caller hears of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jobwright_shim::protocol::PROTOCOL;
use jobwright_shim::record::{SHIM_FILE, ShimRecord};
use jobwright_shim::{ProcessIdentity, socket};
use rustix::fs::FlockOperation;

use crate::system;

/// How long a second shim waits for the one that holds the directory to answer, or to be gone.
const HANDOVER: Duration = Duration::from_secs(3);

/// Closes what the caller left open: a step or a shim that outlives it must not hold its files.
pub(crate) fn close_inherited() {
    system::close_from(3);
}

/// The directory as an absolute path, once it is certain that only its owner can enter it.
pub(crate) fn check_dir(dir: &Path) -> Result<PathBuf, String> {
    let shown = dir.display();
    let dir = dir.canonicalize().map_err(|error| format!("cannot use {shown}: {error}"))?;
    let data = dir.metadata().map_err(|error| format!("cannot use {shown}: {error}"))?;
    if !data.is_dir() {
        return Err(format!("{shown} is not a directory"));
    }
    if data.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("{shown} belongs to user {}, not to the caller", data.uid()));
    }
    if data.permissions().mode() & 0o077 != 0 {
        return Err(format!("{shown} is open to others; it must have mode 0700"));
    }
    Ok(dir)
}

/// Takes the directory; `None` when another shim has it and answers, which is as good.
pub(crate) fn lock(dir: &Path) -> Result<Option<File>, String> {
    let path = dir.join("shim.lock");
    let failed = |error: io::Error| format!("cannot lock {}: {error}", path.display());
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
    let until = Instant::now() + HANDOVER;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(failed(error.into())),
        }
        if socket::connect(dir).is_ok() {
            return Ok(None);
        }
        if Instant::now() > until {
            return Err(format!("{} is held by another shim that does not answer", dir.display()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Standard streams to nowhere, errors and panics to `shim.log`.
pub(crate) fn redirect_streams(dir: &Path) -> Result<(), String> {
    let path = dir.join("shim.log");
    let failed = |error: io::Error| format!("cannot use {}: {error}", path.display());
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
    let null = open_null().map_err(failed)?;
    rustix::stdio::dup2_stdin(&null).map_err(|error| failed(error.into()))?;
    rustix::stdio::dup2_stdout(&null).map_err(|error| failed(error.into()))?;
    rustix::stdio::dup2_stderr(&log).map_err(|error| failed(error.into()))
}

/// Moves the owner's ends away from 0 and 1, where a step would inherit them.
pub(crate) fn take_stdio() -> io::Result<(OwnedFd, OwnedFd)> {
    let input = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let output = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    let null = open_null()?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok((input, output))
}

fn open_null() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/null")
}

/// Goes on in a child that has no terminal and no parent that it could die with; the caller's child ends here.
pub(crate) fn detach() -> io::Result<()> {
    system::fork_and_leave()?;
    rustix::process::setsid()?;
    std::env::set_current_dir("/")
}

/// Signals as in a fresh process, whatever the caller ignored or blocked; the steps inherit the same.
pub(crate) fn reset_signals() {
    system::reset_signals();
    // 022 is what a step finds; the shim's own files are opened 0600.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}

/// Says who serves the directory.
pub(crate) fn write_record(dir: &Path) -> io::Result<()> {
    let Some(process) = ProcessIdentity::of(std::process::id()) else {
        return Err(io::Error::other("/proc does not show this process"));
    };
    let record = ShimRecord { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").into(), process };
    let (path, temporary) = (dir.join(SHIM_FILE), dir.join("shim.json.tmp"));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(&serde_json::to_vec(&record)?)?;
    std::fs::rename(temporary, path)
}

/// Removes the socket and the record of a shim that ends in order. A failure leaves a record of a dead process, which
/// readers know by its identity.
pub(crate) fn remove_traces(dir: &Path) {
    for name in [socket::SOCKET_FILE, SHIM_FILE] {
        if let Err(error) = std::fs::remove_file(dir.join(name)) {
            eprintln!("cannot remove {name}: {error}");
        }
    }
}
