//! Processes told by a variable that every step of a test carries, and that all it starts inherit: what `/proc` still shows of
//! it is left behind, whichever way it got out of its group, its session or its container.

use std::fmt;

use jobwright_model::TaskUuid;
use jobwright_shim::procfs;

/// The variable's name.
const VARIABLE: &str = "JOBWRIGHT_TEST_MARK";

/// One test's mark.
#[derive(Debug, Clone)]
pub(crate) struct Mark(String);

impl Mark {
    /// A mark that nobody else has.
    pub(crate) fn new() -> Self {
        Self(TaskUuid::random().to_string())
    }

    /// As a variable: its name and its value.
    pub(crate) fn variable(&self) -> (String, String) {
        (VARIABLE.to_owned(), self.0.clone())
    }

    /// The living processes that carry it. Those of other users, and those on another machine, are not seen.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let carries = |pid: &u32| procfs::environment(*pid, VARIABLE).is_some_and(|v| v == self.0.as_bytes());
        let lives = |pid: &u32| procfs::stat(*pid).is_some_and(|stat| !stat.is_zombie());
        procfs::all().into_iter().filter(carries).filter(lives).collect()
    }

    /// The same in words.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        self.processes().into_iter().map(|pid| format!("process {pid}: {}", command(pid))).collect()
    }
}

/// The processes whose command line names `path`, in words.
pub(crate) fn naming(path: &str) -> Vec<String> {
    let all = procfs::all().into_iter().map(|pid| (pid, command(pid)));
    all.filter(|(_, words)| words.contains(path))
        .map(|(pid, words)| format!("process {pid}: {words}"))
        .collect()
}

/// A process's command line; nothing when it is gone.
fn command(pid: u32) -> String {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
