//! How a step's process ended, as its authority told it (DESIGN rule 1), before anybody judges it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the authority (kernel, engine, cluster) says of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// The process returned this code; 0 is success.
    Code(i32),
    /// The process was ended by this signal.
    Signal(i32),
    /// Nobody can say any more: never a success.
    Unknown,
}

impl ExitStatus {
    /// The code as shells write it: the code itself, 128 + signal for a signal, none when it is not known.
    #[must_use]
    pub fn shell_code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(signal) => Some(128 + signal),
            Self::Unknown => None,
        }
    }
}

/// Resources that a step used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// The largest resident size of a single process, in bytes.
    pub peak_memory: u64,
}

/// The richer form of the interface document's `State`: what is known of a step that no longer runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepExit {
    /// Code, signal, or that it cannot be known.
    pub status: ExitStatus,
    /// Whether the memory limit ended it.
    #[serde(default)]
    pub oom: bool,
    /// Whether its backend ended it at its deadline, because nobody was there to watch it.
    #[serde(default)]
    pub overdue: bool,
    /// When it began, where the authority tells.
    #[serde(default)]
    pub started: Option<Timestamp>,
    /// When it ended, where the authority tells.
    #[serde(default)]
    pub finished: Option<Timestamp>,
    /// What it used, where the authority tells.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// The authority's own words, when it has any (an engine's error text); may hold what a step printed, so it is masked
    /// before it is shown.
    #[serde(default)]
    pub message: Option<String>,
}

impl StepExit {
    /// An exit with the given status and nothing else known.
    #[must_use]
    pub fn new(status: ExitStatus) -> Self {
        Self { status, oom: false, overdue: false, started: None, finished: None, usage: None, message: None }
    }
}
