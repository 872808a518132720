//! Executions as folders among a state directory's runs, for whoever looks at all of these: telling them from runs, and giving up what a dead
//! owner left.

use std::path::Path;

use jobwright_journal::StateDir;
use jobwright_model::{Cause, ExecutionId, RunId};

use super::{Executions, Shared};
use crate::error::{Error, Result};
use crate::store::{self, Store};

/// What a run's folder that is an execution's says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionFolder {
    /// Whose it is.
    pub id: ExecutionId,
    /// Whether it has ended.
    pub is_over: bool,
    /// Whether it ever got its id. One that did not never began: its owner died before, or another was faster.
    pub has_its_id: bool,
}

impl ExecutionFolder {
    /// Whether a run's `folder` is an execution's, by its files alone.
    #[must_use]
    pub fn is_at(folder: &Path) -> bool {
        folder.join(store::DOCUMENT).exists()
    }

    /// Reads the folder of `run`; none when it is no execution's. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Store`] when it cannot be read.
    pub fn of(state: &StateDir, run: &RunId) -> Result<Option<Self>> {
        if !Self::is_at(&state.run_dir(run)) {
            return Ok(None);
        }
        let store = Store::look(state.clone());
        let id = store.kept(run)?.content.execution_id;
        let has_its_id = owns(&store, &id, run)?;
        Ok(Some(Self { is_over: store.result(run)?.is_some(), has_its_id, id }))
    }
}

fn owns(store: &Store, id: &ExecutionId, run: &RunId) -> Result<bool> {
    match store.run_of(id) {
        Ok(owner) => Ok(owner == *run),
        Err(Error::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Executions {
    /// The run whose folder is the execution's; its beginning says when the execution was begun.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn run_of(&self, id: &ExecutionId) -> Result<RunId> {
        self.shared.store.run_of(id)
    }

    /// Ends and concludes the execution in the folder of `run`, if its owner died; the folder of one that never got its id is removed. True
    /// when this was done; false when somebody owns it or it was over.
    ///
    /// # Errors
    /// Those of taking it over; it is as it was then.
    pub async fn give_up(&self, run: &RunId) -> Result<bool> {
        let shared = &self.shared;
        let id = shared.store.kept(run)?.content.execution_id;
        if shared.is_owned(run)? || shared.store.result(run)?.is_some() {
            return Ok(false);
        }
        if !owns(&shared.store, &id, run)? {
            return shared.discard_unclaimed(&id, run);
        }
        // Not by its id alone: what somebody else takes over in this moment is theirs.
        shared.adopt_one(&id, run).await?;
        match shared.live_of(&id).filter(|live| live.run == *run) {
            Some(live) => {
                live.scope.cancel(Cause::ByUser);
                live.concluded().await;
                Ok(true)
            }
            None => Ok(shared.store.result(run)?.is_some()),
        }
    }
}

impl Shared {
    fn discard_unclaimed(&self, id: &ExecutionId, run: &RunId) -> Result<bool> {
        // Without a journal nobody can say that its owner died: it may be about to make one.
        if !self.store.folder(run).join("journal").exists() {
            return Ok(false);
        }
        // With its lock held nobody else can take the id for it.
        let Some(_locked) = self.open_journal(run)? else { return Ok(false) };
        if owns(&self.store, id, run)? {
            return Ok(false);
        }
        self.store.discard(run);
        Ok(true)
    }
}
