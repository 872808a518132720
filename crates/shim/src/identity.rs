//! Who a process is, beyond its number: pid, start time and boot (DESIGN rule 8).

use serde::{Deserialize, Serialize};

use crate::procfs;

/// A process, told apart from any later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// The boot in which the two hold.
    pub boot_id: String,
}

impl ProcessIdentity {
    /// The identity of a process that runs now; `None` when there is none with that number.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = procfs::stat(pid)?;
        Some(Self { pid, start_time: stat.start_time, boot_id: boot_id() })
    }

    /// Whether exactly this process still runs. A zombie does not.
    pub fn is_alive(&self) -> bool {
        self.boot_id == boot_id()
            && procfs::stat(self.pid)
                .is_some_and(|stat| stat.start_time == self.start_time && !stat.is_zombie())
    }
}

/// The id that the kernel gave to this boot; empty where the kernel does not tell.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_the_same_number_and_another_start_is_another_process() {
        let own = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        assert!(!ProcessIdentity { start_time: own.start_time + 1, ..own.clone() }.is_alive());
        assert!(!ProcessIdentity { boot_id: "another boot".into(), ..own }.is_alive());
    }
}
