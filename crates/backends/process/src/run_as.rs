//! As whom a task's steps run: the operator's choice, and a number of its own for each task (`auto`).

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::str::FromStr;

use jobwright_model::TaskUuid;
use jobwright_workspace::Owner;

/// Numbers that neither people nor the usual allocators of user and container ranges use.
const FIRST: u32 = 2_000_000_000;
const COUNT: u32 = 65_536;

/// As whom steps run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunAsChoice {
    /// All as this user and group.
    Fixed {
        /// The user id.
        uid: u32,
        /// The group id.
        gid: u32,
    },
    /// Each task as a user and group that nobody else is.
    Auto,
}

/// Why a text names no user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither \"auto\" nor UID nor UID:GID; root (0) and 4294967295 are not allowed")]
pub struct InvalidRunAs {
    text: String,
}

impl FromStr for RunAsChoice {
    type Err = InvalidRunAs;

    fn from_str(text: &str) -> Result<Self, InvalidRunAs> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let (uid, gid) = text.split_once(':').unwrap_or((text, text));
        // The kernel takes the largest number for "leave it as it is", which would be root.
        let number = |text: &str| text.parse().ok().filter(|number| !matches!(*number, 0 | u32::MAX));
        match (number(uid), number(gid)) {
            (Some(uid), Some(gid)) => Ok(Self::Fixed { uid, gid }),
            _ => Err(InvalidRunAs { text: text.to_owned() }),
        }
    }
}

impl RunAsChoice {
    /// The user of `task`. With `Auto`, a file in `taken` says whose a number is, so that two tasks never share one.
    pub(crate) fn of_task(self, task: &TaskUuid, taken: &Path) -> io::Result<Owner> {
        let uid = match self {
            Self::Fixed { uid, gid } => return Ok(Owner { uid, gid }),
            Self::Auto => claim(task, taken)?,
        };
        Ok(Owner { uid, gid: uid })
    }

    /// Gives the number back. One that was never taken is no error.
    pub(crate) fn release(self, owner: Owner, taken: &Path) -> io::Result<()> {
        match (self, fs::remove_file(taken.join(owner.uid.to_string()))) {
            (Self::Auto, Err(error)) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Gives back what `task` took in a set-up that ended before it noted the number.
pub(crate) fn release_all_of(task: &TaskUuid, taken: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(taken) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if fs::read(&path).is_ok_and(|whose| whose == task.as_str().as_bytes()) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Begins at a place that the task's name gives, so that tasks seldom meet.
fn claim(task: &TaskUuid, taken: &Path) -> io::Result<u32> {
    DirBuilder::new().recursive(true).mode(0o700).create(taken)?;
    let start = task.as_str().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    for step in 0..COUNT {
        let uid = FIRST + start.wrapping_add(step) % COUNT;
        let path = taken.join(uid.to_string());
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                file.write_all(task.as_str().as_bytes())?;
                return Ok(uid);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("all user ids for tasks are taken"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_and_root_is_refused() {
        assert_eq!("12".parse(), Ok(RunAsChoice::Fixed { uid: 12, gid: 12 }));
        assert_eq!("12:34".parse(), Ok(RunAsChoice::Fixed { uid: 12, gid: 34 }));
        assert_eq!("auto".parse(), Ok(RunAsChoice::Auto));
        for bad in ["", "0", "0:5", "5:0", "root", "1:2:3", "-1", "4294967295", "4294967296"] {
            assert!(RunAsChoice::from_str(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_two_tasks_get_the_same_number_until_it_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let tasks: Vec<TaskUuid> =
            (0..50).map(|i| TaskUuid::new(format!("t{}", i % 5 * 1000 + i / 5)).unwrap()).collect();
        let mut owners: Vec<u32> =
            tasks.iter().map(|task| RunAsChoice::Auto.of_task(task, dir.path()).unwrap().uid).collect();
        let first = Owner { uid: owners[0], gid: owners[0] };
        owners.sort_unstable();
        owners.dedup();
        assert_eq!(owners.len(), 50);
        RunAsChoice::Auto.release(first, dir.path()).unwrap();
        RunAsChoice::Auto.release(first, dir.path()).unwrap();
        assert_eq!(RunAsChoice::Auto.of_task(&tasks[0], dir.path()).unwrap(), first);
    }
}
