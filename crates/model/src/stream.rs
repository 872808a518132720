//! The two streams that a process writes to.

use serde::{Deserialize, Serialize};

/// Which of a step's two output streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}
