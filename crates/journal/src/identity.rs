//! A process told by more than its number (DESIGN rule 8): pid, start time and boot.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

/// Names one process among all that ever ran on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: u32,
    /// Its start, in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
    /// The kernel's id of the boot in which it runs.
    pub boot_id: String,
}

impl ProcessIdentity {
    /// This process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn current() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// The process that has the number `pid` now.
    ///
    /// # Errors
    /// When there is none, or `/proc` cannot be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let start_ticks = start_ticks(&stat).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat has no start time"))
        })?;
        Ok(Self { pid, start_ticks, boot_id })
    }

    /// Whether that very process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).is_ok_and(|now| now == *self)
    }
}

/// The command in field 2 may hold spaces and parentheses: fields are counted from its last `)`.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_another_start_time_is_another_process() {
        let identity = ProcessIdentity::current().unwrap();
        assert!(identity.is_alive());
        assert!(!ProcessIdentity { start_ticks: identity.start_ticks + 1, ..identity.clone() }.is_alive());
        assert!(!ProcessIdentity { boot_id: "another".into(), ..identity }.is_alive());
    }

    #[test]
    fn a_command_with_parentheses_does_not_move_the_fields() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(start_ticks(stat), Some(4242));
    }
}
