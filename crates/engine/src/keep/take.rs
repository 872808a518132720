//! What a job finds beside the project's files: its caches, then the artifacts of earlier jobs over them.
//!
//! A cache only saves time, so nothing that is wrong with one fails a job. Artifacts are part of the work: when some that were kept
//! cannot be had, the job does not run.

use std::sync::Arc;

use async_trait::async_trait;
use jobwright_backend::{Backend, Error};
use jobwright_model::TaskUuid;
use jobwright_runtime::WorkspaceSource;
use jobwright_workspace::{Archive, ObjectKey, Size};

use super::JobKeep;
use super::plan::{JobCache, Wanted};

/// The project's files and what the job takes.
pub(super) struct Taking {
    pub(super) project: Option<Arc<dyn WorkspaceSource>>,
    pub(super) keep: Arc<JobKeep>,
}

#[async_trait]
impl WorkspaceSource for Taking {
    async fn deliver(&self, backend: &dyn Backend, task: &TaskUuid) -> Result<(), Error> {
        if let Some(project) = &self.project {
            project.deliver(backend, task).await?;
        }
        for (cache, key) in self.keep.files.caches.iter().zip(&self.keep.keys) {
            self.keep.take_cache(cache, key, backend, task).await?;
        }
        for wanted in self.keep.files.wants.iter() {
            self.keep.take_artifacts(wanted, backend, task).await?;
        }
        Ok(())
    }
}

impl JobKeep {
    /// Fails only when the engine is gone.
    async fn take_cache(
        &self,
        cache: &JobCache,
        key: &ObjectKey,
        backend: &dyn Backend,
        task: &TaskUuid,
    ) -> Result<(), Error> {
        let name = key.shown();
        for doubt in &cache.doubts {
            self.notice(&format!("cache {name:?}: {doubt}"));
        }
        if !cache.policy.pulls() || cache.paths.is_empty() {
            return Ok(());
        }
        let Some(archive) = self.open(key).await else { return Ok(()) };
        let size = Size(archive.contents.bytes);
        match backend.put(task, "", archive.into_stream()).await {
            Ok(()) => self.notice(&format!("cache {name:?}: {size} taken")),
            Err(error @ Error::EngineGone { .. }) => return Err(error),
            Err(error) => self.notice(&format!("cache {name:?} is not, or not wholly, used: {error}")),
        }
        Ok(())
    }

    /// What is kept under a cache's key; nothing when there is none that can be used, which is told.
    pub(super) async fn open(&self, key: &ObjectKey) -> Option<Archive> {
        let name = key.shown();
        match self.store.open(key).await {
            Ok(Some(archive)) => return Some(archive),
            Ok(None) => self.notice(&format!("cache {name:?}: nothing is kept yet")),
            Err(error) => self.notice(&format!("cache {name:?} is not used: failed to {error}")),
        }
        None
    }

    async fn take_artifacts(
        &self,
        wanted: &Wanted,
        backend: &dyn Backend,
        task: &TaskUuid,
    ) -> Result<(), Error> {
        let from = &wanted.job;
        if !self.shelf.has(from) {
            if wanted.expected {
                self.notice(&format!("there are no artifacts of {from:?} in this run"));
            }
            return Ok(());
        }
        let path = self.shelf.path(from);
        let opened = tokio::task::spawn_blocking(move || Archive::open(&path)).await;
        let lost = |why: String| Error::Workspace(format!("the artifacts of {from:?} cannot be had: {why}"));
        let archive = match opened {
            Ok(Ok(Some(archive))) => archive,
            Ok(Ok(None)) => return Err(lost("somebody removed them".to_owned())),
            Ok(Err(error)) => return Err(lost(format!("failed to {error}"))),
            Err(error) => return Err(lost(error.to_string())),
        };
        match backend.put(task, "", archive.into_stream()).await {
            // Worked on in place: what the other job left is there already.
            Err(Error::Unsupported { .. }) => Ok(()),
            answer => answer,
        }
    }
}
