//! Taking a request in, and seeing it through.

use std::path::Path;
use std::sync::Arc;

use jobwright_backend::Backend;
use jobwright_journal::{FormatError, Journal, JournalError};
use jobwright_model::{Cause, Ending, ExecutionRequest, RunId};
use jobwright_runtime::{AttemptPast, JobReport, JobRun, Record, Visitor};

use super::{Place, Shared};
use crate::copies::Copies;
use crate::error::{Error, Result};
use crate::live::{Live, Stand};
use crate::output::Output;
use crate::plan;
use crate::provision::Provisions;
use crate::store::Kept;

/// A journal that this process owns, and what was in it.
pub(super) type Owned = (Arc<Journal<Record>>, Vec<Record>);

/// What there is to an execution besides what is kept of it: what is known of one that another process began, and who visits one.
#[derive(Default)]
pub(super) struct Begun {
    pub(super) past: Option<AttemptPast>,
    pub(super) secrets_are_gone: bool,
    pub(super) visitor: Option<Arc<dyn Visitor>>,
}

impl Shared {
    /// Takes the request in and begins with it.
    pub(super) async fn begin(
        self: &Arc<Self>,
        request: ExecutionRequest,
        visitor: Option<Arc<dyn Visitor>>,
    ) -> Result<Arc<Live>> {
        let backend = self.backend_for(&request)?;
        if visitor.is_some() && backend.control().is_none() {
            let (backend, what) = (backend.name().to_owned(), "going into what runs".to_owned());
            return Err(Error::Unsupported { backend, what });
        }
        self.refuse_known(&request)?;
        let job = plan::job(&request, &*backend)?;
        let kept = Kept {
            execution_id: request.execution_id.clone(),
            job_id: request.job_id.clone(),
            job,
            provisions: Provisions::of(&request),
            results_dir: request.results_dir.clone(),
            keep_logs: request.persist_logs_duration.map(|keep| keep.as_secs_f64()),
            is_visited: visitor.is_some(),
        };
        let engine = self.engine_of(&*backend).await?;
        let run = self.store.begin(&kept)?;
        let begun = self.begin_in(kept, run.clone(), (backend, engine), &request, visitor);
        if begun.is_err() {
            self.store.discard(&run);
        }
        begun
    }

    fn begin_in(
        self: &Arc<Self>,
        kept: Kept,
        run: RunId,
        (backend, engine): (Arc<dyn Backend>, Option<String>),
        request: &ExecutionRequest,
        visitor: Option<Arc<dyn Visitor>>,
    ) -> Result<Arc<Live>> {
        let opened = self.open_journal(&run)?;
        let (journal, _) = opened.ok_or_else(|| journaled(&JournalError::Owned(self.store.folder(&run))))?;
        let loaded = Record::BackendLoaded { backend: backend.name().to_owned(), engine };
        journal.append(&loaded).map_err(|error| journaled(&error))?;
        if !self.store.take(&kept.execution_id, &run)? {
            self.refuse_known(request)?;
            // Whoever had it gave it back in this moment; it is theirs to say so.
            return Err(Error::AlreadyStarted(kept.execution_id));
        }
        let folder = self.store.folder(&run);
        let output = match self.output(&folder, kept.results_dir.as_deref()) {
            Ok(output) => output,
            Err(error) => {
                self.store.forget(&kept.execution_id, &run)?;
                return Err(error);
            }
        };
        let live = Arc::new(Live::new(kept, run, backend, output));
        self.see_through(&live, journal, Begun { visitor, ..Begun::default() });
        Ok(live)
    }

    fn output(&self, folder: &Path, results: Option<&Path>) -> Result<Output> {
        let output = Output::open(folder, self.options.quota)
            .map_err(Error::store("making the files for the output"))?;
        if let Some(results) = results {
            let copied = output.copy_to(|_| Copies::make(results, folder));
            copied.map_err(|error| Error::invalid("results_dir", error.to_string()))?;
        }
        Ok(output)
    }

    fn backend_for(&self, request: &ExecutionRequest) -> Result<Arc<dyn Backend>> {
        let spec = &request.engine_spec;
        if spec.kind.trim().is_empty() {
            let known: Vec<&str> = self.backends.keys().map(String::as_str).collect();
            let reason = format!("missing spec type; the engines are {}", known.join(", "));
            return Err(Error::invalid("engine_spec.type", reason));
        }
        self.backend_named(&spec.kind)
    }

    /// An id is given once.
    fn refuse_known(&self, request: &ExecutionRequest) -> Result<()> {
        let id = &request.execution_id;
        let (run, is_over) = match self.place(id) {
            Err(Error::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error),
            Ok(Place::Here(live)) => (live.run.clone(), false),
            Ok(Place::Over(run, _)) => (run, true),
            Ok(Place::Elsewhere(run)) => (run, false),
        };
        self.refuse_other_job(id, &run, &request.job_id)?;
        Err(if is_over { Error::AlreadyCompleted(id.clone()) } else { Error::AlreadyStarted(id.clone()) })
    }

    /// Opens its journal, and owns it from then on; none when somebody else does.
    pub(super) fn open_journal(&self, run: &RunId) -> Result<Option<Owned>> {
        match Journal::open(&self.store.folder(run).join("journal")) {
            Ok((journal, recovered)) => Ok(Some((Arc::new(journal), recovered.records))),
            Err(JournalError::Owned(_)) => Ok(None),
            Err(error) => Err(journaled(&error)),
        }
    }

    /// Runs it to its end in the background. It is known from now on.
    pub(super) fn see_through(
        self: &Arc<Self>,
        live: &Arc<Live>,
        journal: Arc<Journal<Record>>,
        begun: Begun,
    ) {
        self.live().insert(live.kept.execution_id.clone(), Arc::clone(live));
        let (shared, live) = (Arc::clone(self), Arc::clone(live));
        tokio::spawn(async move {
            let run = shared.job_run(&live, Arc::clone(&journal), begun).run();
            let report = match tokio::spawn(run).await {
                Ok(report) => report,
                // The process is about to end: whoever comes after it goes on.
                Err(end) if end.is_cancelled() => return,
                Err(panic) => failed_inside(&panic.to_string()),
            };
            shared.conclude(&live, &journal, report);
        });
    }

    fn job_run(&self, live: &Arc<Live>, journal: Arc<Journal<Record>>, begun: Begun) -> JobRun {
        let observer = Arc::clone(live) as Arc<dyn jobwright_runtime::Observer>;
        let mut run = JobRun::new(live.kept.job.clone(), self.backends.clone(), observer)
            .limits(self.options.limits)
            .scope(&live.scope)
            .journal(journal);
        let provisions = &live.kept.provisions;
        if !provisions.is_empty() {
            run = match live.backend.capabilities().images {
                true => run.step_files(Arc::new(provisions.clone())),
                false => run.files(Arc::new(provisions.clone())),
            };
        }
        if let Some(visitor) = begun.visitor {
            run = run.visitor(0, visitor);
        }
        if let Some(past) = begun.past {
            run = run.resuming(past);
        }
        if begun.secrets_are_gone { run.without_secrets() } else { run }
    }

    /// Keeps what came of it; from then on it has ended.
    pub(super) fn conclude(self: &Arc<Self>, live: &Arc<Live>, journal: &Journal<Record>, report: JobReport) {
        let id = &live.kept.execution_id;
        let (ending, error) = (report.ending, report.error);
        let ended = Record::JobEnded {
            job: id.to_string(),
            attempt: 1,
            ending: ending.clone(),
            error: error.clone(),
        };
        if let Err(error) = journal.append(&ended) {
            tracing::warn!(%id, %error, "the end of an execution was not journaled");
        }
        live.output.close();
        let result = live.result_of(&self.store.folder(&live.run), ending, error);
        if let Err(error) = self.store.conclude(&live.run, &result) {
            tracing::error!(%id, %error, "the result of an execution could not be kept");
        } else {
            // What is kept says all from here on.
            self.let_go(id, &live.run);
        }
        self.store.heard(&live.run);
        live.stand.send_replace(Stand::Over(Arc::new(result)));
        self.drop_logs_when_due(live);
    }
}

pub(super) fn journaled(error: &JournalError) -> Error {
    match error {
        JournalError::Format { source: FormatError::Damaged { .. }, .. } => Error::Damaged(error.to_string()),
        error => Error::Store {
            operation: "keeping an execution's journal".to_owned(),
            source: std::io::Error::other(error.to_string()),
        },
    }
}

/// A defect of ours must not pass for a success.
fn failed_inside(what: &str) -> JobReport {
    let text = format!("jobwright failed inside: {what}");
    JobReport {
        ending: Ending::new(Cause::StatusUnreadable).because(&text),
        error: Some(text),
        phases: Vec::new(),
    }
}
