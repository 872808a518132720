//! How many files may be open: as many as the system lets this program have, while what steps get is what was there before. A program that
//! finds many more than it is used to may take long to close them all, or not know what to do with their numbers.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit before it was raised; `None` inside when there was none.
static BEFORE: OnceLock<Option<u64>> = OnceLock::new();

/// Raises this program's soft limit of open files to the hard one. A shim that it launches from then on gives its steps the limit that was.
///
/// # Errors
/// What the operating system says; the limit is as it was then.
pub fn raise() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    // Raised twice, it is the first time that counts.
    let _ = BEFORE.set(limit.current);
    Ok(())
}

/// What steps get, where it is not this program's own.
pub(crate) fn of_steps() -> Option<u64> {
    BEFORE.get().copied().flatten()
}

/// Makes `soft` this program's limit, as far as the hard one lets it.
///
/// # Errors
/// What the operating system says.
pub fn set(soft: u64) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.maximum.map_or(soft, |most| most.min(soft));
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(soft), ..limit })?)
}
