//! Our own terminal: its size, and its raw mode, in which what is typed goes to the program and not to us.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jobwright_backend::TerminalSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// How the terminal was before it was made raw; none while it is as it was.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The size of our terminal, where it has one.
pub(crate) fn size() -> Option<TerminalSize> {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some(TerminalSize { columns: size.ws_col, rows: size.ws_row })
}

/// The terminal of standard input in raw mode, until this is dropped.
pub(crate) struct Raw(());

impl Raw {
    /// Makes it raw.
    pub(crate) fn begin() -> io::Result<Self> {
        let mut before = before();
        let was = tcgetattr(rustix::stdio::stdin())?;
        let mut raw = was.clone();
        raw.make_raw();
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &raw)?;
        before.get_or_insert(was);
        Ok(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Makes the terminal what it was; for whoever leaves without dropping anything.
pub(crate) fn restore() {
    if let Some(was) = before().take() {
        // One that is gone needs no restoring.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &was);
    }
}

fn before() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}
