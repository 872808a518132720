//! What was decided, written before it is done (DESIGN sections 4 and 7): append-only records that survive a torn tail, the
//! state directory in which they lie, and who owns them.
//!
//! Not here: what the records mean. A journal is generic over its record; `runtime` and whoever else keeps one say what is
//! in it. Not for output or events either: the event log shows, the journal decides.

mod boot_clock;
#[cfg(debug_assertions)]
mod fail;
mod format;
mod identity;
mod journal;
mod quarantine;
mod reserved;
mod state_dir;
mod vault;

pub use boot_clock::since_boot;
pub use format::FormatError;
pub use identity::ProcessIdentity;
pub use journal::{Journal, JournalError, Recovered};
pub use quarantine::{Quarantined, quarantine, salvage};
pub use reserved::ReservedFile;
pub use state_dir::{StateDir, StateDirError};
pub use vault::Vault;
