//! Files out of a job's workspace when its steps have ended: who takes them, and when. Not for which files, nor for where they are kept.

use std::sync::Arc;

use async_trait::async_trait;
use jobwright_backend::Backend;
use jobwright_model::{Ending, TaskUuid};

/// Takes files out of a job's workspace.
#[async_trait]
pub trait WorkspaceKeeper: Send + Sync {
    /// Called once for a job, when the steps of a phase have ended and before its workspace is handed over or removed; not when no step
    /// got as far as having files. `so_far` is how the job stands: succeeded, or the ending of what failed or cancelled it first.
    ///
    /// A job that stands well is left when it is cancelled meanwhile: the future is dropped. One that does not is given as long as a cleanup.
    ///
    /// # Errors
    /// The ending of a job that stood well and fails by what could not be kept. Its evidence is masked by the runtime.
    async fn keep(&self, backend: &dyn Backend, task: &TaskUuid, so_far: &Ending) -> Result<(), Ending>;
}

/// A keeper on its way to the workspace that it is to see.
#[derive(Clone)]
pub(crate) struct Keeping {
    pub(crate) keeper: Arc<dyn WorkspaceKeeper>,
    /// How the phases before ended, if not well.
    pub(crate) before: Option<Ending>,
}
