//! What an execution is while it runs and what came of it (NuNet `ExecutionResult` and what is beside it, nunet.md 2). Not for what is
//! asked for (`execution_request`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ending::Ending;
use crate::ids::{ExecutionId, JobId};

/// How an execution stands (nunet.md 1.4); exactly these five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionStatus {
    /// It was accepted and does not run yet.
    Pending,
    /// It runs.
    Running,
    /// It stands still until it is resumed.
    Paused,
    /// It ended in another way than with exit code 0.
    Failed,
    /// It ended with exit code 0.
    Success,
}

impl ExecutionStatus {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Success => "success",
        }
    }

    /// Whether nothing more comes after it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Success)
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What came of an execution (nunet.md 2.2), with the ending that it is a view of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionResult {
    /// The end of what it wrote to standard output, as text; secrets masked.
    pub stdout: String,
    /// The end of what it wrote to standard error, as text; secrets masked.
    pub stderr: String,
    /// How many bytes before that are left out of both; the log has them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// How many bytes of its output are nowhere: the disk took them not, or they were more than are kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: u64,
    /// Its exit code; 128 and the signal's number where a signal ended it; −1 where it has none.
    pub exit_code: i32,
    /// Why it failed; empty when it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_msg: String,
    /// Whether somebody else than its caller ended it by a signal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killed: bool,
    /// How it ended.
    pub ending: Ending,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ExecutionResult {
    /// The status that follows from it.
    #[must_use]
    pub fn status(&self) -> ExecutionStatus {
        if self.ending.succeeded() { ExecutionStatus::Success } else { ExecutionStatus::Failed }
    }
}

/// Which output of which execution is wanted (`LogStreamRequest` of the interface document).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogStreamRequest {
    /// The job that the execution must be of.
    pub job_id: JobId,
    /// The execution.
    pub execution_id: ExecutionId,
    /// From now on, without what was written before.
    #[serde(default)]
    pub tail: bool,
    /// Until the execution ends, not only until the end of what there is.
    #[serde(default)]
    pub follow: bool,
}

/// An execution in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionListItem {
    /// Its id.
    pub execution_id: ExecutionId,
    /// Its job.
    pub job_id: JobId,
    /// How it stands.
    pub status: ExecutionStatus,
    /// Whether it has started and has not ended: running or paused.
    pub running: bool,
}

/// What an execution uses (nunet.md 1.2, `ExecutorStats`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionStats {
    /// Processor time so far, in nanoseconds.
    pub cpu_ns: u64,
    /// Memory in use, in bytes.
    pub memory: u64,
    /// The most memory that it may use, in bytes; 0 when it is not bounded.
    pub memory_limit: u64,
    /// Processes and threads.
    pub pids: u64,
    /// When, in milliseconds since 1970.
    pub timestamp: i64,
}

/// What is known of an execution (nunet.md 1.2, `ExecutorInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionInfo {
    /// Its id.
    pub execution_id: ExecutionId,
    /// Its job.
    pub job_id: JobId,
    /// The backend that runs it.
    pub runtime: String,
    /// Its image; empty where there are none.
    pub image: String,
    /// How it stands.
    pub status: ExecutionStatus,
}

/// How an execution is reached (nunet.md 1.2, `ExecutorNetInfo`). What is empty is not known or not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetInfo {
    /// The host's bridge or the engine's network.
    pub network: String,
    /// Its address.
    pub ip_address: String,
    /// Its network in CIDR form.
    pub cidr: String,
    /// The host's ports that lead to it.
    pub mapped_ports: Vec<MappedPort>,
}

/// A port of the host that leads to one of the execution's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappedPort {
    /// The host's address.
    pub host_ip: String,
    /// The host's port.
    pub host_port: u16,
    /// The port in the execution.
    pub executor_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// What came of a command that was run in an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOutput {
    /// Its exit code; 128 and the signal's number where a signal ended it; −1 where it cannot be known.
    pub exit_code: i32,
    /// What it wrote to standard output, as text.
    pub stdout: String,
    /// What it wrote to standard error, as text.
    pub stderr: String,
    /// How many bytes of both are left out: an answer has no more than 16 MiB of each.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // covers: nunet 35
    #[test]
    fn there_are_five_statuses() {
        use ExecutionStatus::{Failed, Paused, Pending, Running, Success};
        let words = [Pending, Running, Paused, Failed, Success].map(|status| json!(status));
        assert_eq!(words, ["pending", "running", "paused", "failed", "success"]);
    }
}
