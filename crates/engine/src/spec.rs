//! What a run is asked for with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jobwright_events::RunMode;

/// A request for one pass over a pipeline (`Spec` of the local-ci interface document), built by a front end from its own flags or
/// payload. The run's id is made by the caller and goes beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spec {
    /// The pipeline file; none means that it is looked for in `project`.
    pub config_file: Option<PathBuf>,
    /// The project's directory; with `remote`, not used.
    pub project: PathBuf,
    /// Only these jobs, in the file's order; the name of a job with a matrix means all its variants. Wins over `stages`.
    pub job_names: Vec<String>,
    /// Also what the named jobs need, directly or not.
    pub with_needs: bool,
    /// Only the jobs of these stages, in the file's order.
    pub stages: Vec<String>,
    /// A git repository to clone and run instead of `project`. A relative `config_file` is then looked for in it.
    pub remote: Option<String>,
    /// Variables that win over every other.
    pub env: BTreeMap<String, String>,
    /// What began the run, in the caller's words: `event` in conditions.
    pub event: String,
    /// How to go through the jobs, unless `needs` say it.
    pub mode: RunMode,
}
