//! What is said over HTTP about executions, around their own types: the server writes it, the client reads it. Not for routes or
//! statuses, which are theirs.

use serde::{Deserialize, Serialize};

use crate::execution::{ExecutionListItem, ExecutionResult, ExecutionStatus};
use crate::ids::{ExecutionId, JobId};
use crate::stream::StreamKind;

/// Which executor answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorAnswer {
    /// Its id; the same after a restart.
    pub id: String,
}

/// An execution was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its id, as it was chosen.
    pub execution_id: ExecutionId,
    /// Its job.
    pub job_id: JobId,
}

/// All executions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionList {
    /// In the order of their ids.
    pub executions: Vec<ExecutionListItem>,
}

/// How an execution stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusAnswer {
    /// Which.
    pub execution_id: ExecutionId,
    /// How.
    pub status: ExecutionStatus,
}

/// An execution that was waited for has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waited {
    /// Whether it had ended before it was waited for.
    pub concluded_before: bool,
    /// What came of it.
    pub result: ExecutionResult,
}

/// A command that is to be run in an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecCommand {
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
}

/// What every answer that is no success says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorAnswer {
    /// What went wrong.
    pub error: ErrorText,
    /// What came of the execution, when the error is that it had concluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<ExecutionResult>>,
}

/// An error, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorText {
    /// Which, in one word that does not change.
    pub code: String,
    /// What is wrong, where and why, and what would be right.
    pub message: String,
}

/// A piece of output in an event stream (`event: output`). The event's id says where the output goes on after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputEvent {
    /// Where it was written to.
    pub stream: StreamKind,
    /// How many bytes of the whole output lie before it, both streams counted.
    pub offset: u64,
    /// What was written.
    #[serde(flatten)]
    pub data: OutputData,
}

/// What was written: one of two keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputData {
    /// UTF-8.
    Text(String),
    /// Anything else, in standard base64 with padding.
    Base64(String),
}

/// The last event of a stream that was read to its end (`event: end`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndEvent {
    /// How the execution stands; terminal, when it was followed.
    pub status: ExecutionStatus,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_piece_of_output_has_its_text_or_its_bytes() {
        for (data, written) in [
            (OutputData::Text("a\n".into()), json!({"stream": "stdout", "offset": 3, "text": "a\n"})),
            (OutputData::Base64("/w==".into()), json!({"stream": "stdout", "offset": 3, "base64": "/w=="})),
        ] {
            let event = OutputEvent { stream: StreamKind::Stdout, offset: 3, data };
            assert_eq!(serde_json::to_value(&event).unwrap(), written);
            assert_eq!(serde_json::from_value::<OutputEvent>(written).unwrap(), event);
        }
    }
}
