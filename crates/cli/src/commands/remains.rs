//! What a run whose owner died leaves in files, beside its tasks: a repository's clone, workspaces on their way between two phases, the
//! values of its secrets in memory. Not what is kept of a run that has ended: its log, its journal, its artifacts.

use std::fs;
use std::path::PathBuf;

use jobwright_journal::{StateDir, Vault};
use jobwright_model::RunId;
use jobwright_runtime::handovers_in;

/// A thing that nobody needs once the run is given up.
pub(super) struct Remain {
    /// Its name for people.
    pub(super) what: &'static str,
    pub(super) path: PathBuf,
}

/// What the run has.
pub(super) fn of(run: &RunId, state: &StateDir) -> Vec<Remain> {
    let folder = state.run_dir(run);
    let mut remains = Vec::new();
    let clone = folder.join("clone");
    if clone.exists() {
        remains.push(Remain { what: "the clone of a repository", path: clone });
    }
    let handed_over = handovers_in(&folder).into_iter();
    remains.extend(handed_over.map(|path| Remain { what: "a workspace between two phases", path }));
    let secrets = Vault::of(state).map(|vault| vault.place_of(run)).filter(|path| path.exists());
    remains.extend(secrets.map(|path| Remain { what: "the values of its secrets", path }));
    remains
}

impl Remain {
    pub(super) async fn remove(&self) -> Result<(), String> {
        if self.path.is_dir() {
            let removed = jobwright_workspace::offload::remove_tree(&self.path).await;
            return removed.map(drop).map_err(|error| error.to_string());
        }
        let removed = fs::remove_file(&self.path);
        removed.map_err(|error| format!("{} {}: {error}", self.what, self.path.display()))
    }
}
