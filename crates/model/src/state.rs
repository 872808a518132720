//! The compatible view of a step's state (`State` of the Woodpecker interface document).

use serde::{Deserialize, Deserializer, Serialize};

use crate::exit::StepExit;

/// What the interface document's `State` says of a step. The zero value means "started, still running".
///
/// Readers take the newer `started` and `skipped` as well; writers of the compatible form do not emit them
/// (woodpecker.md 1.4). The error keeps its Go name; it is written as its text, where Go writes an empty object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepState {
    /// The process's exit code; 0 is success.
    #[serde(default)]
    pub exit_code: i32,
    /// Whether the step ended.
    #[serde(default)]
    pub exited: bool,
    /// Whether the memory limit ended it.
    #[serde(default)]
    pub oom_killed: bool,
    /// Why the step could not start, or was aborted.
    #[serde(rename = "Error", default, deserialize_with = "error_text")]
    pub error: Option<String>,
    /// When it started, in seconds since 1970; read only.
    #[serde(default, skip_serializing)]
    pub started: i64,
    /// Whether its conditions kept it from running; read only.
    #[serde(default, skip_serializing)]
    pub skipped: bool,
}

impl From<&StepExit> for StepState {
    /// A status that cannot be known has no code to show: it becomes an error and the code −1, never 0.
    fn from(exit: &StepExit) -> Self {
        let code = exit.status.shell_code();
        Self {
            exit_code: code.unwrap_or(-1),
            exited: true,
            oom_killed: exit.oom,
            error: code.is_none().then(|| "the exit status cannot be read".to_owned()),
            started: exit.started.map_or(0, |at| at.as_second()),
            skipped: false,
        }
    }
}

/// An error as text; Go's `{}` says that there was one and nothing more, `null` that there was none.
fn error_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Object(fields) if fields.is_empty() => Some("an error without text".to_owned()),
        other => Some(other.to_string()),
    })
}
