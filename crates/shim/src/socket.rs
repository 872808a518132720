//! Unix sockets at paths of any length: the kernel takes 107 bytes, a state directory may be deeper.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// The socket's name in the shim's directory.
pub const SOCKET_FILE: &str = "shim.sock";
/// What `sockaddr_un` holds, its closing NUL left out.
const LONGEST: usize = 107;

/// Connects to the socket in `dir`.
pub fn connect(dir: &Path) -> io::Result<UnixStream> {
    with_short_path(dir, |path| UnixStream::connect(path))
}

/// Creates the socket in `dir`; the caller has made sure that nobody else serves it.
pub fn listen(dir: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(dir.join(SOCKET_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    with_short_path(dir, |path| UnixListener::bind(path))
}

/// A path that is too long is reached through a descriptor of its directory, which `/proc` gives a short name.
fn with_short_path<T>(dir: &Path, action: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = dir.join(SOCKET_FILE);
    if path.as_os_str().len() <= LONGEST {
        return action(&path);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir: OwnedFd = rustix::fs::open(dir, flags, Mode::empty())?;
    action(format!("/proc/self/fd/{}/{SOCKET_FILE}", dir.as_raw_fd()).as_ref())
}
