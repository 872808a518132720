//! The names of the environment variables that script a dummy step. The table in [`super`] says what each does.

/// Woodpecker: how long the step takes.
pub const SLEEP: &str = "SLEEP";
/// Woodpecker: the type that the step must have.
pub const EXPECT_TYPE: &str = "EXPECT_TYPE";
/// Woodpecker: the start fails.
pub const START_FAIL: &str = "STEP_START_FAIL";
/// Woodpecker: reading the output fails.
pub const TAIL_FAIL: &str = "STEP_TAIL_FAIL";
/// Woodpecker: the exit code.
pub const EXIT_CODE: &str = "STEP_EXIT_CODE";
/// Woodpecker: the memory limit ended it.
pub const OOM_KILLED: &str = "STEP_OOM_KILLED";

/// The acts as JSON, in place of all that shapes output, time and exit.
pub const SCRIPT: &str = "DUMMY_SCRIPT";
/// The workflow's set-up fails and blames this step.
pub const SETUP_FAIL: &str = "DUMMY_SETUP_FAIL";
/// Preparing fails.
pub const PREPARE_FAIL: &str = "DUMMY_PREPARE_FAIL";
/// The image cannot be had.
pub const IMAGE_FAIL: &str = "DUMMY_IMAGE_FAIL";
/// Waiting fails.
pub const WAIT_FAIL: &str = "DUMMY_WAIT_FAIL";
/// Destroying the step fails.
pub const DESTROY_FAIL: &str = "DUMMY_DESTROY_FAIL";
/// The engine no longer answers for this step.
pub const ENGINE_GONE: &str = "DUMMY_ENGINE_GONE";
/// The output breaks off with an error.
pub const TAIL_BREAK: &str = "DUMMY_TAIL_BREAK";
/// The signal that ends it.
pub const SIGNAL: &str = "DUMMY_SIGNAL";
/// How it exited cannot be known.
pub const EXIT_UNKNOWN: &str = "DUMMY_EXIT_UNKNOWN";
/// SIGTERM has no effect.
pub const IGNORE_TERM: &str = "DUMMY_IGNORE_TERM";
/// Text for standard output.
pub const OUTPUT: &str = "DUMMY_OUTPUT";
/// Text for standard error.
pub const STDERR: &str = "DUMMY_STDERR";
/// So many numbered lines.
pub const LINES: &str = "DUMMY_LINES";
/// So many numbered lines on each stream, in turns.
pub const INTERLEAVE: &str = "DUMMY_INTERLEAVE";
/// So many bytes.
pub const OUTPUT_BYTES: &str = "DUMMY_OUTPUT_BYTES";
/// Values of variables.
pub const PRINT_ENV: &str = "DUMMY_PRINT_ENV";
/// Bytes per chunk.
pub const SPLIT: &str = "DUMMY_SPLIT";
/// The pause after each line.
pub const LINE_DELAY: &str = "DUMMY_LINE_DELAY";
/// The output stays open after the exit.
pub const LOG_OPEN: &str = "DUMMY_LOG_OPEN";
/// The output goes on after the exit.
pub const LOG_ENDLESS: &str = "DUMMY_LOG_ENDLESS";
/// What the step's memory is said to be.
pub const STATS_MEMORY: &str = "DUMMY_STATS_MEMORY";
/// What the step's processor time is said to be.
pub const STATS_CPU: &str = "DUMMY_STATS_CPU";

/// What the step's health check is said to find.
pub const HEALTH: &str = "DUMMY_HEALTH";

/// All that begin with our own prefix, so that a misspelt one is told from a variable of somebody else's.
pub(super) const OURS: [&str; 24] = [
    SCRIPT,
    SETUP_FAIL,
    PREPARE_FAIL,
    IMAGE_FAIL,
    WAIT_FAIL,
    DESTROY_FAIL,
    ENGINE_GONE,
    TAIL_BREAK,
    SIGNAL,
    EXIT_UNKNOWN,
    IGNORE_TERM,
    OUTPUT,
    STDERR,
    LINES,
    INTERLEAVE,
    OUTPUT_BYTES,
    PRINT_ENV,
    SPLIT,
    LINE_DELAY,
    LOG_OPEN,
    LOG_ENDLESS,
    STATS_MEMORY,
    STATS_CPU,
    HEALTH,
];
/// What ours begin with.
pub(super) const PREFIX: &str = "DUMMY_";
