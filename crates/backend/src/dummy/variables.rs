//! The names of the environment variables that script a dummy step; the table in [`super`] says what each does.

/// Woodpecker's own.
pub const SLEEP: &str = "SLEEP";
/// Woodpecker's own.
pub const EXPECT_TYPE: &str = "EXPECT_TYPE";
/// Woodpecker's own.
pub const START_FAIL: &str = "STEP_START_FAIL";
/// Woodpecker's own.
pub const TAIL_FAIL: &str = "STEP_TAIL_FAIL";
/// Woodpecker's own.
pub const EXIT_CODE: &str = "STEP_EXIT_CODE";
/// Woodpecker's own.
pub const OOM_KILLED: &str = "STEP_OOM_KILLED";

/// The acts, in place of all that shapes output, time and exit.
pub const SCRIPT: &str = "DUMMY_SCRIPT";
