//! What a step's cgroups count. They are made and removed by the owner; joining them is part of the start.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the memory controller counts what it killed: its second version and its first.
const COUNTERS: [&str; 2] = ["memory.events", "memory.oom_control"];

/// Whether the memory limit of one of these cgroups ended a process. The kernel counts before it kills, so whoever has waited for the
/// killed process sees it counted.
pub(crate) fn ran_out_of_memory(cgroups: &[PathBuf]) -> bool {
    cgroups.iter().any(|cgroup| COUNTERS.iter().any(|file| kills(&cgroup.join(file)) > 0))
}

fn kills(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_the_controller_are_understood() {
        for (file, text, expected) in [
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", false),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", true),
            ("memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 0\noom_group_kill 0\n", false),
            ("memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n", true),
            ("cpu.stat", "oom_kill 1\n", false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(file), text).unwrap();
            assert_eq!(ran_out_of_memory(&[dir.path().to_owned()]), expected, "{file}: {text}");
        }
        assert!(!ran_out_of_memory(&["/nonexistent".into()]));
    }
}
