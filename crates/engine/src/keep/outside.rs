//! The parts of caches that lie outside of the working directory, such as `/root/.npm`: they are in the containers of the script and of
//! `after_script`, and an object of their own under the cache's key. Not for those inside (`take`, `leave`).
//!
//! As with all of a cache, nothing that is wrong with it fails a job.

use async_trait::async_trait;
use jobwright_backend::{Backend, Error};
use jobwright_model::{Step, StepType, TaskUuid};
use jobwright_runtime::{StepFiles, insist};
use jobwright_workspace::{ObjectKey, Size};

use super::JobKeep;
use super::leave::{missing, told};
use super::plan::JobCache;

impl JobKeep {
    /// The caches that have a part outside, with the key of that part.
    fn outside(&self) -> impl Iterator<Item = (&JobCache, &ObjectKey)> {
        let all = self.files.caches.iter().zip(&self.outside_keys);
        all.filter(|(cache, _)| !cache.outside.is_empty())
    }

    fn is_script(&self, step: &Step) -> bool {
        step.kind == StepType::Commands && step.name == self.job
    }
}

#[async_trait]
impl StepFiles for JobKeep {
    /// Fails only when the engine is gone. Services and commands on the host get nothing.
    async fn bring(&self, backend: &dyn Backend, task: &TaskUuid, step: &Step) -> Result<(), Error> {
        let is_own = self.is_script(step) || step.name == "after_script";
        if !is_own || !backend.capabilities().images {
            return Ok(());
        }
        for (_, key) in self.outside().filter(|(cache, _)| cache.policy.pulls()) {
            let Some(archive) = self.open(key).await else { continue };
            let (name, size) = (key.shown(), Size(archive.contents.bytes));
            match backend.put_into_step(step, task, archive.into_stream()).await {
                Ok(()) => self.notice(&format!("cache {name:?}: {size} taken")),
                Err(error @ Error::EngineGone { .. }) => return Err(error),
                Err(error) => self.notice(&format!("cache {name:?} is not, or not wholly, used: {error}")),
            }
        }
        Ok(())
    }

    async fn keep(&self, backend: &dyn Backend, task: &TaskUuid, step: &Step) {
        if !self.is_script(step) {
            return;
        }
        for (cache, key) in self.outside().filter(|(cache, _)| cache.policy.pushes()) {
            let name = key.shown();
            let stored = async {
                let failed = |error: jobwright_workspace::Error| format!("failed to {error}");
                let writer = self.store.writer(key).await.map_err(failed)?;
                let get = || backend.get_from_step(step, task, &cache.outside.globs);
                let tar = insist(backend, self.patience, get).await.map_err(|error| error.to_string())?;
                writer.store(tar, cache.outside.set.clone()).await.map_err(failed)
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
}
