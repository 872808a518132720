//! The agent's name: the same for as long as its state directory, so that what an agent that died held is still its own when it comes again.

use std::fs;
use std::io;

use jobwright_journal::StateDir;
use jobwright_model::OwnerId;

use crate::error::{Error, Result};

/// The name, which is made the first time: the host's, and what tells it from others there.
///
/// # Errors
/// [`Error::Keep`].
pub fn name_of(state: &StateDir) -> Result<String> {
    let folder = state.path().join("agent");
    let path = folder.join("name");
    let kept = match fs::read_to_string(&path) {
        Ok(text) => text.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::keep(format!("reading {}", path.display()))(error)),
    };
    if !kept.is_empty() {
        return Ok(kept);
    }
    let name = format!("{}-{}", host_name(), OwnerId::random());
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, format!("{name}\n")));
    written.map_err(Error::keep(format!("writing {}", path.display())))?;
    Ok(name)
}

/// What of the host's name can be in a header.
fn host_name() -> String {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    let clean: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')).collect();
    if clean.is_empty() { "agent".to_owned() } else { clean }
}
