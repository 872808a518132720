//! What is kept of a job: artifacts after the ending that they are for, caches after a success.
//!
//! A job that passes and lacks an artifact fails, as one whose artifacts cannot be kept; what is wrong with a cache is only told. A
//! failed job pushes no cache: what it left half done would be found by every run after it.

use async_trait::async_trait;
use globset::Glob;
use jobwright_backend::{Backend, Error, TarStream};
use jobwright_model::{Cause, Ending, TaskUuid};
use jobwright_runtime::{WorkspaceKeeper, insist};
use jobwright_workspace::{ArchiveWriter, Label, ObjectKey, Size, Written};

use super::JobKeep;
use super::plan::{JobCache, Leaving};

#[async_trait]
impl WorkspaceKeeper for JobKeep {
    async fn keep(&self, backend: &dyn Backend, task: &TaskUuid, so_far: &Ending) -> Result<(), Ending> {
        let passed = so_far.succeeded();
        if let Some(artifacts) =
            self.files.artifacts.as_ref().filter(|artifacts| artifacts.when.holds(passed))
        {
            self.leave_artifacts(artifacts, passed, backend, task).await?;
        }
        let pushed =
            self.files.caches.iter().zip(&self.keys).filter(|(cache, _)| passed && cache.policy.pushes());
        for (cache, key) in pushed {
            self.leave_cache(cache, key, backend, task).await;
        }
        Ok(())
    }
}

impl JobKeep {
    /// Files out of the workspace, with patience for an engine that does not answer.
    async fn get(&self, backend: &dyn Backend, task: &TaskUuid, globs: &[Glob]) -> Result<TarStream, Error> {
        insist(backend, self.patience, || backend.get(task, globs)).await
    }

    async fn leave_artifacts(
        &self,
        artifacts: &Leaving,
        passed: bool,
        backend: &dyn Backend,
        task: &TaskUuid,
    ) -> Result<(), Ending> {
        let written = match self.write_artifacts(artifacts, passed, backend, task).await {
            Ok(written) => written,
            Err(ending) if passed => return Err(ending),
            Err(ending) => {
                let why = ending.evidence.unwrap_or_default();
                self.notice(&format!("no artifacts are kept: {why}"));
                return Ok(());
            }
        };
        if !written.unmatched.is_empty() {
            let missing = missing(&written.unmatched);
            if passed {
                return Err(Ending::new(Cause::ArtifactMissing).because(missing));
            }
            self.notice(&format!("not all artifacts are kept: {missing}"));
        }
        self.notice(&format!("artifacts: {}", told(&written)));
        Ok(())
    }

    async fn write_artifacts(
        &self,
        artifacts: &Leaving,
        passed: bool,
        backend: &dyn Backend,
        task: &TaskUuid,
    ) -> Result<Written, Ending> {
        let keeping = |error: jobwright_workspace::Error| {
            Ending::new(Cause::Workspace).because(format!("the artifacts cannot be kept: failed to {error}"))
        };
        let writer = ArchiveWriter::open(&self.shelf.path(&self.job)).await.map_err(keeping)?;
        let tar = self.get(backend, task, &artifacts.paths.globs).await.map_err(|error| match error {
            Error::NothingMatches(_) => {
                let named: Vec<String> =
                    artifacts.paths.globs.iter().map(|glob| glob.glob().to_owned()).collect();
                Ending::new(Cause::ArtifactMissing).because(missing(&named))
            }
            error => Ending::new(error.cause()).because(format!("the artifacts cannot be had: {error}")),
        })?;
        let label = Label::new(&self.job, "");
        writer.write(label, tar, artifacts.paths.set.clone(), passed).await.map_err(keeping)
    }

    async fn leave_cache(&self, cache: &JobCache, key: &ObjectKey, backend: &dyn Backend, task: &TaskUuid) {
        let name = key.shown();
        if cache.paths.globs.is_empty() {
            return;
        }
        let stored = async {
            let failed = |error: jobwright_workspace::Error| format!("failed to {error}");
            let writer = self.store.writer(key).await.map_err(failed)?;
            let tar = self.get(backend, task, &cache.paths.globs).await.map_err(|error| error.to_string())?;
            writer.store(tar, cache.paths.set.clone()).await.map_err(failed)
        };
        match stored.await {
            Ok(written) => {
                if !written.unmatched.is_empty() {
                    self.notice(&format!("cache {name:?}: {}", missing(&written.unmatched)));
                }
                self.notice(&format!("cache {name:?}: {}", told(&written)));
            }
            Err(why) => self.notice(&format!("cache {name:?} is not kept: {why}")),
        }
    }
}

/// What became of an archive, for people.
pub(super) fn told(written: &Written) -> String {
    let Written { contents, unchanged, .. } = written;
    let what = if *unchanged { "unchanged since it was kept" } else { "kept" };
    format!("{} ({} on disk) {what}", Size(contents.bytes), Size(contents.packed))
}

pub(super) fn missing(paths: &[String]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| format!("{path:?}")).collect();
    format!("nothing matches {}", paths.join(", "))
}
