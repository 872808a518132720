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

    /// The folder of the cgroup file system below which steps with limits get their cgroups. Default: found out
    #[arg(long = "process-cgroup", env = "JOBWRIGHT_PROCESS_CGROUP", value_name = "DIR")]
    pub cgroup: Option<PathBuf>,

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
            cgroup: None,
            shim: None,
            in_place: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn parsed(arguments: &[&str]) -> Result<ProcessSettings, clap::Error> {
        let command = ProcessSettings::augment_args(Command::new("jobwright").no_binary_name(true));
        ProcessSettings::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    #[test]
    fn the_defaults_of_the_command_line_are_those_of_the_type() {
        let (parsed, default) = (parsed(&[]).unwrap(), ProcessSettings::default());
        assert_eq!((parsed.stop_timeout, parsed.run_as), (default.stop_timeout, default.run_as));
        assert!(parsed.host_environment.is_empty() && parsed.in_place.is_none());
    }

    #[test]
    fn flags_are_read_and_a_bad_user_is_refused_with_what_would_be_right() {
        let settings = parsed(&["--process-run-as", "auto", "--process-env", "A,B_*"]).unwrap();
        assert_eq!(settings.run_as, Some(RunAsChoice::Auto));
        assert_eq!(settings.host_environment, ["A", "B_*"]);
        let error = parsed(&["--process-run-as", "0"]).unwrap_err().to_string();
        assert!(error.contains("UID:GID"), "{error}");
    }
}
