//! A pseudo-terminal: our end of it for asynchronous reading and writing, and the end that a program gets.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use jobwright_backend::TerminalSize;
use jobwright_workspace::Owner;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// Our end. When the last copy is dropped, the terminal hangs up: what runs on it gets SIGHUP.
#[derive(Clone)]
pub(crate) struct Master(Arc<AsyncFd<OwnedFd>>);

/// Makes a terminal of this size. The second one is the program's end; it belongs to `owner`, so that the program may open it by
/// its name too.
pub(crate) fn open(size: TerminalSize, owner: Option<Owner>) -> io::Result<(Master, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let terminal = ioctl_tiocgptpeer(&master, flags)?;
    if let Some(owner) = owner {
        std::os::unix::fs::fchown(&terminal, Some(owner.uid), None)?;
    }
    rustix::io::ioctl_fionbio(&master, true)?;
    // SAFETY: an `OwnedFd` is valid while it lives, and `AsyncFd` keeps this one until it is dropped itself.
    #[allow(unsafe_code, reason = "tokio has no other way to poll a foreign descriptor")]
    let master = unsafe { AsyncFd::register_with_interest(master, Interest::READABLE | Interest::WRITABLE)? };
    let master = Master(Arc::new(master));
    master.set_size(size)?;
    Ok((master, terminal))
}

impl Master {
    /// Changes the terminal's size and tells what runs on it.
    pub(crate) fn set_size(&self, size: TerminalSize) -> io::Result<()> {
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(self.0.get_ref(), size)?)
    }
}

impl AsyncRead for Master {
    /// Ends when nobody holds the program's end any more.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let room = buffer.initialize_unfilled();
            let read = guard.try_io(|master| match rustix::io::read(master.get_ref(), &mut *room) {
                Err(Errno::IO) => Ok(0),
                other => Ok(other?),
            });
            match read {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Master {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(context))?;
            let written = guard.try_io(|master| Ok(rustix::io::write(master.get_ref(), bytes)?));
            if let Ok(written) = written {
                return Poll::Ready(written);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A terminal has no end of input but the character that a person types for it.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
