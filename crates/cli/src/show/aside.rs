//! What Jobwright says beside the run, on standard error: above the board where there is one, and to nobody when nobody listens
//! any more. What the run itself says goes through its events.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;

use indicatif::{MultiProgress, ProgressDrawTarget};

/// The board that is on the terminal. There is one for all runs that the program shows: a second would be drawn over the first.
static BOARD: OnceLock<MultiProgress> = OnceLock::new();

/// The board. Whatever is said from now on goes above it.
pub(crate) fn board() -> MultiProgress {
    BOARD.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout())).clone()
}

/// Says a line. Must not be called while the board is suspended: use [`write_line`] then.
pub(crate) fn say(text: impl Display) {
    match BOARD.get() {
        Some(board) => board.suspend(|| write_line(text)),
        None => write_line(text),
    }
}

/// Writes a line to standard error as it is now. That nobody reads it must not end what goes on (DESIGN rule 7).
pub(crate) fn write_line(text: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Standard error for a writer of whole lines, such as the program's own log.
pub(crate) struct Aside;

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().lock().write(bytes);
        BOARD.get().map_or_else(write, |board| board.suspend(write))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
