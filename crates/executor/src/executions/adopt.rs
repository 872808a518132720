//! Taking executions over whose owner died, by the runtime's own rules (ADR 0008).

use std::sync::Arc;
use std::time::Duration;

use jobwright_model::{Cause, ExecutionId, RunId};
use jobwright_runtime::{JobReport, Past, Record, Unsealed};
use tokio::time::sleep;

use super::begin::{Begun, Owned};
use super::{Place, Shared};
use crate::copies::Copies;
use crate::error::{Error, Result};
use crate::live::Live;
use crate::output::Output;
use crate::store::Kept;

/// How often, and after which time, is tried again to own what somebody only looked at.
const LOOKS: usize = 20;
const MOMENT: Duration = Duration::from_millis(10);

impl Shared {
    pub(super) async fn adopt_all(self: &Arc<Self>) -> Result<Vec<(ExecutionId, Error)>> {
        let mut refused = Vec::new();
        for id in self.store.ids()? {
            let adopted = match self.place(&id) {
                Ok(Place::Elsewhere(run)) => self.adopt_if_left(&id, &run).await,
                Ok(Place::Over(run, result)) => {
                    self.drop_due_logs(&run, &result);
                    Ok(())
                }
                Ok(Place::Here(_)) => Ok(()),
                Err(error) => Err(error),
            };
            refused.extend(adopted.err().map(|error| (id, error)));
        }
        Ok(refused)
    }

    async fn adopt_if_left(self: &Arc<Self>, id: &ExecutionId, run: &RunId) -> Result<()> {
        if self.is_owned(run)? { Ok(()) } else { self.adopt_one(id, run).await }
    }

    /// Takes over one that nobody owns. Of several who try, one does.
    pub(super) async fn adopt_one(self: &Arc<Self>, id: &ExecutionId, run: &RunId) -> Result<()> {
        // Somebody else was faster, here or elsewhere.
        let Some((journal, records)) = self.own(run).await? else { return Ok(()) };
        if self.store.result(run)?.is_some() {
            // It ended, between the look and this.
            return Ok(());
        }
        let Unsealed { content: kept, secrets_are_gone } = self.store.kept(run)?;
        let backend = self.backend_of(&kept, &records).await?;
        let folder = self.store.folder(run);
        let output = Output::open(&folder, self.options.quota)
            .map_err(Error::store("opening what an execution wrote"))?;
        if let Some(results) = &kept.results_dir
            && let Err(error) = output.copy_to(|ends| Copies::again(results, &folder, ends))
        {
            tracing::warn!(%id, %error, "what an execution writes is not copied into its results directory any more");
        }
        let past = Past::of(&records);
        let live = Arc::new(Live::new(kept, run.clone(), backend, output));
        if self.store.asked_to_cancel().contains(run) {
            live.scope.cancel(Cause::ByUser);
        }
        if live.kept.is_visited {
            // Whoever was inside went with its owner, and nobody else would end it.
            live.scope.cancel(Cause::ByShutdown);
        }
        match past.end_of(id.as_str(), 1) {
            // It had ended, and its result was not written any more.
            Some(end) => {
                let report =
                    JobReport { ending: end.ending.clone(), error: end.error.clone(), phases: Vec::new() };
                self.live().insert(id.clone(), Arc::clone(&live));
                self.conclude(&live, &journal, report);
            }
            None => {
                let begun =
                    Begun { past: past.attempt_at(id.as_str(), 1).cloned(), secrets_are_gone, visitor: None };
                self.see_through(&live, journal, begun);
            }
        }
        Ok(())
    }

    /// Its journal, when nobody else owns it. Who only looks whose it is locks it for a moment, too.
    async fn own(&self, run: &RunId) -> Result<Option<Owned>> {
        for _ in 0..LOOKS {
            match self.open_journal(run)? {
                Some(opened) => return Ok(Some(opened)),
                None if self.is_owned(run)? => return Ok(None),
                None => sleep(MOMENT).await,
            }
        }
        Ok(None)
    }

    /// The backend that it was begun on, when it reaches the same engine.
    async fn backend_of(
        &self,
        kept: &Kept,
        records: &[Record],
    ) -> Result<Arc<dyn jobwright_backend::Backend>> {
        let name = kept.job.phases.first().map(|phase| phase.backend.clone()).unwrap_or_default();
        let backend = self.backend_named(&name)?;
        let begun_on = records.iter().find_map(|record| match record {
            Record::BackendLoaded { engine, .. } => engine.clone(),
            _ => None,
        });
        let reached = self.engine_of(&*backend).await?;
        if begun_on.is_some() && begun_on != reached {
            let what =
                format!("taking over the execution {}: it was begun on another engine", kept.execution_id);
            return Err(Error::Unsupported { backend: name, what });
        }
        Ok(backend)
    }
}
