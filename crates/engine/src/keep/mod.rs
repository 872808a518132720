//! What jobs find in their workspaces beside the project, and what is kept of what they leave: caches, from run to run, and artifacts,
//! within a run (`docs/book/files.md` has the rules, local-ci.md 4 those of the original).
//!
//! A job's part of it is fixed before any job begins ([`plan`]). It takes before its first step (`take`) and leaves after its last
//! one (`leave`); both go through the backend's `get` and `put`, so that what one backend leaves another can take. Not here: how archives
//! lie on disk (`jobwright_workspace`).

mod artifacts;
mod leave;
mod outside;
mod plan;
mod take;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jobwright_journal::StateDir;
use jobwright_redact::Masker;
use jobwright_runtime::{StepFiles, WorkspaceSource};
use jobwright_workspace::{ObjectKey, ObjectStore};

use crate::executor::JobOutput;
use artifacts::Shelf;

pub use artifacts::{JobArtifacts, RunArtifacts};
pub(crate) use plan::{Compiled, JobFiles, plan};

/// The caches of a state directory.
#[must_use]
pub fn caches(state: &StateDir) -> ObjectStore {
    ObjectStore::new(state.path().join("cache"))
}

/// What a run keeps.
pub(crate) struct Keep {
    store: ObjectStore,
    /// What the caches' keys are keys of.
    project: String,
    shelf: Arc<Shelf>,
    jobs: HashMap<String, Arc<JobFiles>>,
    patience: Duration,
}

impl Keep {
    /// Caches of `project` in `state`, artifacts in the run's `folder`. An engine may not answer for as long as `patience` says.
    pub(crate) fn new(
        state: &StateDir,
        folder: &Path,
        project: String,
        jobs: HashMap<String, JobFiles>,
        patience: Duration,
    ) -> Self {
        let jobs = jobs.into_iter().map(|(name, files)| (name, Arc::new(files))).collect();
        Self { store: caches(state), project, shelf: Arc::new(Shelf::new(folder)), jobs, patience }
    }

    /// The part of one attempt of a job; none for a job that takes and leaves nothing.
    pub(crate) fn of_job(&self, name: &str, output: &JobOutput, masker: &Masker) -> Option<Arc<JobKeep>> {
        let files = Arc::clone(self.jobs.get(name)?);
        self.shelf.forget(name);
        let key = |raw: &String| ObjectKey::new(&self.project, raw, &masker.mask_str(raw));
        let keys = files.caches.iter().map(|cache| key(&cache.key)).collect();
        let outside_keys =
            files.caches.iter().map(|cache| key(&format!("{} (outside)", cache.key))).collect();
        Some(Arc::new(JobKeep {
            job: name.to_owned(),
            files,
            keys,
            outside_keys,
            store: self.store.clone(),
            shelf: Arc::clone(&self.shelf),
            output: output.clone(),
            masker: masker.clone(),
            patience: self.patience,
        }))
    }
}

/// What one attempt of a job takes and leaves.
pub(crate) struct JobKeep {
    job: String,
    files: Arc<JobFiles>,
    /// Those of `files.caches`, in their order.
    keys: Vec<ObjectKey>,
    /// The keys of their parts outside of the working directory, in the same order.
    outside_keys: Vec<ObjectKey>,
    store: ObjectStore,
    shelf: Arc<Shelf>,
    output: JobOutput,
    masker: Masker,
    patience: Duration,
}

impl JobKeep {
    /// The number of the phase after which it leaves something.
    pub(crate) fn phase(&self) -> usize {
        self.files.phase
    }

    /// `project` and what the job takes.
    pub(crate) fn source(
        self: &Arc<Self>,
        project: Option<Arc<dyn WorkspaceSource>>,
    ) -> Arc<dyn WorkspaceSource> {
        Arc::new(take::Taking { project, keep: Arc::clone(self) })
    }

    /// What it brings into its steps' own containers and keeps of them; none when there is nothing.
    pub(crate) fn step_files(self: &Arc<Self>) -> Option<Arc<dyn StepFiles>> {
        let wanted = self.files.caches.iter().any(|cache| !cache.outside.is_empty());
        wanted.then(|| Arc::clone(self) as _)
    }

    /// Tells people something that fails nothing.
    fn notice(&self, text: &str) {
        self.output.diagnostic(&self.masker.mask_str(text));
    }
}
