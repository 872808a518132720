//! The acts that a dummy step performs, one after the other. Only data: [`super::player`] performs them, and the
//! conformance suite renders the same acts as a shell script, so that a case means the same to a real backend.

use std::time::Duration;

use jobwright_model::Step;
use serde::{Deserialize, Serialize};

use super::variables::SCRIPT;
use crate::StreamKind;

/// One thing that a step does. A step that has performed its last act exits 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Act {
    /// Writes these bytes.
    Print {
        /// Where to.
        to: StreamKind,
        /// What.
        bytes: Vec<u8>,
    },
    /// Writes `byte` as often as `count` says.
    Fill {
        /// Where to.
        to: StreamKind,
        /// What; any byte but NUL and a single quote.
        byte: u8,
        /// How often.
        count: u64,
    },
    /// Writes so many bytes to standard output, in lines of 80.
    FillLines {
        /// How many bytes.
        count: u64,
    },
    /// Writes the value of this variable to standard output, and nothing when it is not set.
    PrintVariable(String),
    /// Writes this file of the workspace to standard output; the step exits 1 when there is none.
    PrintFile(String),
    /// Writes this file of the workspace.
    WriteFile {
        /// Relative to the working directory.
        path: String,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// Waits until this file of the workspace exists.
    AwaitFile(String),
    /// Does nothing for this long, to the second in a shell.
    Sleep(Duration),
    /// Does nothing until a signal ends it.
    Forever,
    /// Writes this line to standard output, waits so long, and writes it again, until a signal ends it.
    Repeat {
        /// The line, with its end.
        line: Vec<u8>,
        /// The pause, to the second.
        every: Duration,
    },
    /// From now on, SIGTERM has no effect.
    IgnoreTerm,
    /// From now on, SIGTERM makes the step write this file of the workspace and exit with this code.
    OnTerm {
        /// Relative to the working directory.
        path: String,
        /// How it exits, 0 to 255.
        code: u8,
    },
    /// Leaves a process behind that holds both streams open, after the step's own end too, and ends by signal only.
    LeaveBehind,
    /// Leaves a process behind that goes on writing this line to standard output.
    LeaveBehindWriting {
        /// The line, with its end.
        line: Vec<u8>,
        /// The pause between two lines, to the second.
        every: Duration,
    },
    /// Takes memory until the limit ends the step.
    FillMemory,
    /// Exits with this code, 0 to 255.
    Exit(u8),
    /// Ends by this signal.
    Die(i32),
}

/// Makes a dummy `step` perform `acts`, in place of what its other variables ask for.
///
/// # Panics
/// Never: acts have no form that JSON cannot hold.
pub fn give_script(step: &mut Step, acts: &[Act]) {
    let script = serde_json::to_string(acts).expect("acts are plain data with text keys");
    step.environment.insert(SCRIPT.to_owned(), script);
}
