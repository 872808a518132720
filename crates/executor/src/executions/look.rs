//! What can be seen of executions without touching them: lists, status, output; and when their logs go.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use jiff::Timestamp;
use jobwright_journal::Journal;
use jobwright_model::{
    ExecutionId, ExecutionInfo, ExecutionListItem, ExecutionResult, ExecutionStatus, JobId, LogStreamRequest,
    RunId,
};
use jobwright_runtime::Record;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep, sleep_until};

use super::begin::journaled;
use super::{LOOK, Place, Shared};
use crate::error::{Error, Result};
use crate::live::Live;
use crate::port::{OutputChunk, OutputStream};
use crate::reader::{Begin, Reader, Written};
use crate::store::Kept;

/// How long an execution that is not known yet is waited for when its output is asked for (nunet.md 8, item 48).
const PATIENCE: Duration = Duration::from_secs(5);

impl Shared {
    pub(super) fn list(&self) -> Result<Vec<ExecutionListItem>> {
        Ok(self.store.ids()?.into_iter().filter_map(|id| self.item(id)).collect())
    }

    fn item(&self, execution_id: ExecutionId) -> Option<ExecutionListItem> {
        let read =
            self.status(&execution_id).and_then(|status| Ok((status, self.kept(&execution_id)?.job_id)));
        match read {
            Ok((status, job_id)) => {
                let running = matches!(status, ExecutionStatus::Running | ExecutionStatus::Paused);
                Some(ExecutionListItem { execution_id, job_id, status, running })
            }
            // One that is removed meanwhile is not in the list.
            Err(Error::NotFound(_)) => None,
            Err(error) => {
                tracing::warn!(id = %execution_id, %error, "an execution cannot be listed; its removal forgets it");
                None
            }
        }
    }

    pub(super) fn info(&self, id: &ExecutionId) -> Result<ExecutionInfo> {
        let status = self.status(id)?;
        let kept = self.kept(id)?;
        let phase = kept.job.phases.first();
        let step = phase.and_then(|phase| phase.workflow.steps().next());
        Ok(ExecutionInfo {
            execution_id: id.clone(),
            job_id: kept.job_id,
            runtime: phase.map(|phase| phase.backend.clone()).unwrap_or_default(),
            image: step.map(|step| step.image.clone()).unwrap_or_default(),
            status,
        })
    }

    /// What is kept of it, whoever owns it. The values of its secrets may be missing.
    pub(super) fn kept(&self, id: &ExecutionId) -> Result<Kept> {
        match self.live_of(id) {
            Some(live) => Ok(live.kept.clone()),
            None => {
                let run = self.store.run_of(id)?;
                Ok(self.still(id, &run, self.store.kept(&run))?.content)
            }
        }
    }

    pub(super) fn refuse_other_job(&self, id: &ExecutionId, run: &RunId, given: &JobId) -> Result<()> {
        let own = match self.live_of(id).filter(|live| live.run == *run) {
            Some(live) => live.kept.job_id.clone(),
            None => self.still(id, run, self.store.kept(run))?.content.job_id,
        };
        if own == *given {
            Ok(())
        } else {
            Err(Error::OtherJob { id: id.clone(), own, given: given.clone() })
        }
    }

    /// How one stands that another process owns, or nobody: as far as its journal tells.
    pub(super) fn status_by_journal(&self, run: &RunId) -> Result<ExecutionStatus> {
        let records = self.records(run)?;
        let started = records.iter().any(|record| matches!(record, Record::StepStarting { .. }));
        Ok(match started {
            true if self.store.is_paused(run) => ExecutionStatus::Paused,
            true => ExecutionStatus::Running,
            false => ExecutionStatus::Pending,
        })
    }

    pub(super) fn records(&self, run: &RunId) -> Result<Vec<Record>> {
        let path = self.store.folder(run).join("journal");
        Journal::read(&path).map(|recovered| recovered.records).map_err(|error| journaled(&error))
    }

    /// Waits until something may have changed of how it stands, but not beyond `deadline`.
    pub(super) async fn change(&self, id: &ExecutionId, deadline: Option<Instant>) {
        let changed = async {
            match self.live_of(id) {
                Some(live) => {
                    let mut stand = live.stand.subscribe();
                    tokio::select! {
                        _ = stand.changed() => {}
                        // That it is paused is told by a file.
                        () = sleep(LOOK) => {}
                    }
                }
                None => sleep(LOOK).await,
            }
        };
        let overdue = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = overdue => {}
        }
    }

    pub(super) async fn logs(
        self: &Arc<Self>,
        request: LogStreamRequest,
        begin: Begin,
    ) -> Result<OutputStream> {
        let run = self.run_of_logs(&request).await?;
        let LogStreamRequest { execution_id: id, follow, .. } = request;
        if follow && self.store.result(&run)?.is_none() {
            // Somebody has to see it through, or it never ends.
            self.place_or_adopt(&id).await?;
        }
        let reader = of_logs(&id, Reader::open(&self.store.folder(&run), begin))?;
        let follower = Follower { shared: Arc::clone(self), id, run, reader, is_last_look: !follow };
        Ok(Box::pin(stream::try_unfold(follower, Follower::next)))
    }

    pub(super) async fn log_length(&self, request: &LogStreamRequest) -> Result<u64> {
        let run = self.run_of_logs(request).await?;
        let written = Written::open(&self.store.folder(&run));
        of_logs(&request.execution_id, written.and_then(|written| written.length()))
    }

    /// The run whose output is asked for, when its job may see it and its logs are not due.
    async fn run_of_logs(&self, request: &LogStreamRequest) -> Result<RunId> {
        let LogStreamRequest { job_id, execution_id: id, .. } = request;
        let run = self.run_soon(id).await?;
        self.refuse_other_job(id, &run, job_id)?;
        if let Some(result) = self.store.result(&run)? {
            self.drop_due_logs(&run, &result);
        }
        Ok(run)
    }

    /// Its run; one that is about to be begun is waited for.
    async fn run_soon(&self, id: &ExecutionId) -> Result<RunId> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.store.run_of(id) {
                Err(Error::NotFound(_)) if Instant::now() < deadline => sleep(LOOK).await,
                found => return found,
            }
        }
    }

    pub(super) fn drop_due_logs(&self, run: &RunId, result: &ExecutionResult) {
        let kept = match self.store.kept(run) {
            Ok(kept) => kept.content,
            Err(error) => {
                return tracing::warn!(%run, %error, "how long an execution's logs are kept cannot be read");
            }
        };
        let Some(keep) = keep_logs(&kept) else { return };
        let age = result.ending.finished.map(|end| Timestamp::now().duration_since(end));
        let is_due = age.and_then(|age| Duration::try_from(age).ok()).is_some_and(|age| age >= keep);
        if is_due {
            self.drop_logs(run, kept.results_dir.as_deref());
        }
    }

    fn drop_logs(&self, run: &RunId, results: Option<&Path>) {
        if let Err(error) = self.store.drop_logs(run, results) {
            tracing::warn!(%run, %error, "an execution's logs are due and cannot be removed");
        }
    }

    /// Removes the logs of one that has just ended when their time is over. Where this process does not live so long, the next one does it.
    pub(super) fn drop_logs_when_due(self: &Arc<Self>, live: &Live) {
        let Some(keep) = keep_logs(&live.kept) else { return };
        let (shared, run, results) = (Arc::downgrade(self), live.run.clone(), live.kept.results_dir.clone());
        tokio::spawn(async move {
            sleep(keep).await;
            if let Some(shared) = shared.upgrade() {
                shared.drop_logs(&run, results.as_deref());
            }
        });
    }
}

fn keep_logs(kept: &Kept) -> Option<Duration> {
    kept.keep_logs.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

fn of_logs<T>(id: &ExecutionId, read: std::io::Result<T>) -> Result<T> {
    read.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::LogsExpired(id.clone()),
        _ => Error::Store { operation: format!("reading the output of {id}"), source: error },
    })
}

/// Somebody who reads an execution's output.
struct Follower {
    shared: Arc<Shared>,
    id: ExecutionId,
    run: RunId,
    reader: Reader,
    /// Nothing more is written: what is there is all.
    is_last_look: bool,
}

impl Follower {
    async fn next(mut self) -> Result<Option<(OutputChunk, Self)>> {
        loop {
            let read = self.reader.read();
            let read = read.map_err(Error::store(format!("reading the output of {}", self.id)))?;
            if let Some(chunk) = read {
                // What was written long ago is there at once: others have to have their turns.
                consume_budget().await;
                return Ok(Some((chunk, self)));
            }
            if self.is_last_look {
                return Ok(None);
            }
            self.wait().await?;
        }
    }

    async fn wait(&mut self) -> Result<()> {
        match self.shared.live_of(&self.id).filter(|live| live.run == self.run) {
            Some(live) => {
                let (mut end, mut stand) = (live.output.watch(), live.stand.subscribe());
                // What was added before they were asked for is not told by them.
                if self.reader.has_more().map_err(Error::store("reading an execution's output"))? {
                    return Ok(());
                }
                if live.result().is_none() {
                    tokio::select! {
                        _ = end.changed() => {}
                        _ = stand.changed() => {}
                    }
                }
                self.is_last_look = live.result().is_some();
            }
            None => {
                sleep(LOOK).await;
                // Its owner may have died meanwhile, and somebody has to see it through. One that was removed has no more to say than what it wrote.
                self.is_last_look = match self.shared.place_or_adopt(&self.id).await {
                    Ok(place) => matches!(place, Place::Over(..)) || *place.run() != self.run,
                    Err(Error::NotFound(_)) => true,
                    Err(error) => return Err(error),
                };
            }
        }
        Ok(())
    }
}
