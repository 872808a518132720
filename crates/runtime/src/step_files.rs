//! Files of single steps outside of their job's workspace: who brings and keeps them, and when. Not for which files, nor for where they
//! are kept.

use async_trait::async_trait;
use jobwright_backend::{Backend, Error};
use jobwright_model::{Step, TaskUuid};

/// Brings files into the file systems that are steps' own, and keeps files of them.
#[async_trait]
pub trait StepFiles: Send + Sync {
    /// Called for every step when it is prepared, before it is started; once more when the engine did not answer and is there again.
    ///
    /// # Errors
    /// What keeps the step from being started.
    async fn bring(&self, backend: &dyn Backend, task: &TaskUuid, step: &Step) -> Result<(), Error>;

    /// Called for every step that exited with 0, before it is destroyed. Nothing that goes wrong fails the step. It is left when the job is
    /// cancelled meanwhile: the future is dropped.
    async fn keep(&self, backend: &dyn Backend, task: &TaskUuid, step: &Step);
}
