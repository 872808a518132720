//! What the operator says about this backend.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::run_as::RunAsChoice;

/// Settings of the process backend; all have defaults.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Process backend")]
pub struct ProcessSettings {
    /// Seconds that a step gets between SIGTERM and SIGKILL
    #[arg(long = "process-stop-timeout", env = "JOBWRIGHT_PROCESS_STOP_TIMEOUT", value_name = "SECONDS")]
    #[arg(default_value_t = ProcessSettings::default().stop_timeout)]
    pub stop_timeout: u64,

    /// More variables of this host's environment that steps get, separated by commas; a trailing * stands for the rest of a name
    #[arg(long = "process-env", env = "JOBWRIGHT_PROCESS_ENV", value_name = "NAMES", value_delimiter = ',')]
    pub host_environment: Vec<String>,

    /// Run steps as another user: UID, UID:GID, or "auto" for an unused one per task. Needs root
    #[arg(long = "process-run-as", env = "JOBWRIGHT_PROCESS_RUN_AS", value_name = "USER")]
    pub run_as: Option<RunAsChoice>,

    /// Where workspaces and homes of steps lie that run as another user, who cannot enter the state directory
    #[arg(long = "process-work-dir", env = "JOBWRIGHT_PROCESS_WORK_DIR", value_name = "DIR")]
    pub work_dir: Option<PathBuf>,

    /// The program jobwright-shim, when it lies neither beside this one nor in PATH
    #[arg(long = "process-shim", env = "JOBWRIGHT_SHIM", value_name = "FILE")]
    pub shim: Option<PathBuf>,

    /// Work in this directory instead of a workspace of the task's own. Set by `--in-place`; the directory is never removed.
    #[arg(skip)]
    pub in_place: Option<PathBuf>,
}

impl ProcessSettings {
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.stop_timeout)
    }
}

impl Default for ProcessSettings {
    fn default() -> Self {
        Self {
            stop_timeout: 10,
            host_environment: Vec::new(),
            run_as: None,
            work_dir: None,
            shim: None,
            in_place: None,
        }
    }
}
