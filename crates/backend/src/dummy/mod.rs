//! The dummy backend: runs nothing, and does what a step's own environment tells it to, so that every bad path is one
//! line of a test. It obeys the port's contract exactly, passes the conformance suite, and keeps all time by tokio's clock, so
//! that a test with paused time takes none. Not for looking like a shell: `commands` are shown, never run.
//!
//! A [`DummyEngine`] is the engine; a [`Dummy`] is one instance of the backend over it, and another one over the same engine is
//! what a restarted Jobwright has. [`DummyEngine::calls`] says in which order the port was called.
//!
//! | variable of the step | value | what happens |
//! |---|---|---|
//! | `SLEEP` | duration | the step takes this long; a service without it runs until it is destroyed |
//! | `EXPECT_TYPE` | step type | a step of another type does not start |
//! | `STEP_START_FAIL` | boolean | `start_step` answers [`crate::Error::Start`] |
//! | `STEP_TAIL_FAIL` | boolean | `tail_step` answers an error |
//! | `STEP_EXIT_CODE` | 0 to 255 | the exit code |
//! | `STEP_OOM_KILLED` | boolean | the memory limit ended it; the code is 137 unless another one is given |
//! | `DUMMY_SETUP_FAIL` | text | `setup_workflow` answers [`crate::Error::InvalidWorkflow`] that names this step |
//! | `DUMMY_PREPARE_FAIL` | text | preparing the step (by itself, or when it starts) answers an error |
//! | `DUMMY_IMAGE_FAIL` | `absent`, `not-found`, `unauthorized`, `pull-failed`, `invalid` | preparing answers [`crate::Error::Image`] |
//! | `DUMMY_WAIT_FAIL` | text | `wait_step` answers an error at the step's end |
//! | `DUMMY_DESTROY_FAIL` | text | `destroy_step` answers an error and removes nothing; `destroy_workflow` does |
//! | `DUMMY_ENGINE_GONE` | duration | so long after the start, waiting and reading answer [`crate::Error::EngineGone`] |
//! | `DUMMY_TAIL_BREAK` | bytes | the output breaks off with an error after so many bytes, each time it is read |
//! | `DUMMY_SIGNAL` | number | a signal ends the step |
//! | `DUMMY_EXIT_UNKNOWN` | boolean | how the step ended cannot be known |
//! | `DUMMY_IGNORE_TERM` | boolean | SIGTERM has no effect; destroying takes the whole grace |
//! | `DUMMY_OUTPUT` | text | printed in place of the heading below |
//! | `DUMMY_STDERR` | text | printed to standard error |
//! | `DUMMY_LINES` | number | prints `line 1`, `line 2`, ... |
//! | `DUMMY_INTERLEAVE` | number | prints `out 1` to one stream and `err 1` to the other, and so on |
//! | `DUMMY_OUTPUT_BYTES` | number | prints so many bytes in lines of 80 |
//! | `DUMMY_PRINT_ENV` | names with commas | prints `NAME=value` for each: the variable, or the secret of that name |
//! | `DUMMY_SPLIT` | bytes | output comes in chunks of at most this size, cut within a character too |
//! | `DUMMY_LINE_DELAY` | duration | the pause after each line |
//! | `DUMMY_LOG_OPEN` | boolean | the output stays open after the exit, as if a grandchild held the pipe |
//! | `DUMMY_LOG_ENDLESS` | duration | a line `still here` at this interval, after the exit too |
//! | `DUMMY_STATS_MEMORY`, `DUMMY_STATS_CPU` | bytes, duration | what `stats` answers |
//! | `DUMMY_HEALTH` | `unhealthy`, or duration | the step has a health check: what it says, or after how long it says healthy |
//! | `DUMMY_SCRIPT` | JSON list of [`Act`] | the acts of the step, in place of all that shapes output, time and exit |
//!
//! Durations are as in `90s`, `250ms`; booleans are Go's (`1`, `t`, `true`, ...). A value that cannot be read, and an unknown
//! variable that begins with `DUMMY_`, is [`crate::Error::InvalidStep`].
//!
//! Without `DUMMY_OUTPUT` and `DUMMY_SCRIPT` a step prints what Woodpecker's dummy prints: a line each `StepName: `, `StepType: `,
//! `StepUUID: ` with the value, `StepCommands:`, then the commands between two lines of 18 dashes.
//!
//! The task uuid [`SETUP_SHOULD_FAIL`] makes the set-up fail; [`DESTROY_SHOULD_FAIL`] makes `destroy_workflow` answer an
//! error after it removed everything. An image whose registry is below the top-level domain `invalid`, which never resolves, is
//! not found, and one with white space is no reference.

mod act;
mod backend;
mod calls;
mod control;
mod engine;
mod exec;
mod files;
mod player;
mod recovery;
mod running;
mod scenario;
mod spool;
pub mod variables;

pub use act::{Act, give_script};
pub use backend::Dummy;
pub use calls::{Call, Calls, Verb};
pub use engine::{DummyEngine, DummyOptions};

/// The task uuid whose set-up fails (Woodpecker's own).
pub const SETUP_SHOULD_FAIL: &str = "WorkflowSetupShouldFail";
/// The task uuid whose destruction answers an error, with nothing left behind.
pub const DESTROY_SHOULD_FAIL: &str = "WorkflowDestroyShouldFail";
