//! Whether the state directory itself is sound: whose it is, who may read it, whether there is room.

use std::path::Path;

use jobwright_journal::{StateDir, StateDirError};

use super::finding::{Finding, Level};
use super::{attention, told};

const SUBJECT: &str = "state directory";
/// With less room than this a journal may soon not be written any more.
const LEAST_ROOM: u64 = 64 << 20;

/// Opens the directory for looking; none when there is nothing to look at in it, or nothing that may be.
pub(super) fn look(path: &Path, found: &mut Vec<Finding>) -> Option<StateDir> {
    let state = match StateDir::existing(path) {
        Ok(Some(state)) => state,
        Ok(None) => {
            found.push(told(
                Level::Sound,
                SUBJECT,
                format!("{} is not there: nothing was run", path.display()),
            ));
            return None;
        }
        Err(error) => {
            let right = right_for(&error);
            found.push(attention(SUBJECT, without_prefix(&error), &right));
            return None;
        }
    };
    let shown = state.path().display();
    match room(state.path()) {
        Ok(room) if room < LEAST_ROOM => {
            let what = format!("{shown} has {} left on its disk; runs will not start", size(room));
            found.push(attention(SUBJECT, what, &["free some space".to_owned()]));
        }
        Ok(room) => {
            let what = format!("{shown} is private and has {} left (owner {})", size(room), state.owner());
            found.push(told(Level::Sound, SUBJECT, what));
        }
        Err(error) => {
            found.push(attention(SUBJECT, format!("{shown}: its disk does not answer: {error}"), &[]))
        }
    }
    if let Err(error) = rustix::fs::access(state.path(), rustix::fs::Access::WRITE_OK) {
        found.push(attention(SUBJECT, format!("{shown} cannot be written to: {error}"), &[]));
    }
    Some(state)
}

fn right_for(error: &StateDirError) -> Vec<String> {
    match error {
        StateDirError::Exposed { path, .. } => vec![format!("chmod 700 {}", path.display())],
        _ => Vec::new(),
    }
}

/// Its messages begin with the subject.
fn without_prefix(error: &StateDirError) -> String {
    let text = error.to_string();
    text.strip_prefix("state directory ").map_or_else(|| text.clone(), str::to_owned)
}

fn room(path: &Path) -> rustix::io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn size(bytes: u64) -> String {
    if bytes < 10 << 30 { format!("{} MiB", bytes >> 20) } else { format!("{} GiB", bytes >> 30) }
}
