//! What all steps of one workflow share, and what any of them may ask of it.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use jobwright_backend::{Backend, Error};
use jobwright_journal::{Journal, JournalError};
use jobwright_model::{Cause, Ending, Outcome, Readiness, Step, StepUuid, TaskUuid, Timeouts};
use jobwright_redact::Masker;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::handover::WorkspaceSource;
use crate::kept::KeepWhen;
use crate::limits::{Deadline, Limits};
use crate::observer::{Observer, Trace};
use crate::outage::insist;
use crate::record::Record;
use crate::scope::Scope;
use crate::step_files::StepFiles;
use crate::visit::Visitor;

/// One workflow's surroundings.
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) task: TaskUuid,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) gates: Vec<Arc<dyn Gate>>,
    pub(crate) masker: Masker,
    pub(crate) timeouts: Timeouts,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) limits: Limits,
    pub(crate) scope: Scope,
    pub(crate) started: Timestamp,
    pub(crate) files: Option<Arc<dyn WorkspaceSource>>,
    /// What came of bringing the files in, once that was tried.
    pub(crate) delivered: OnceCell<Result<(), Arc<Error>>>,
    pub(crate) journal: Option<Arc<Journal<Record>>>,
    /// The values of the job's secrets are gone: nothing of its output can be masked, nothing that needs them can be started.
    pub(crate) secrets_are_gone: bool,
    /// The steps in the background that hold up what comes after them until they are ready.
    pub(crate) ready: BTreeMap<StepUuid, Readiness>,
    /// One of them did not get ready: the others need not be waited for any longer.
    pub(crate) given_up: CancellationToken,
    /// Who brings and keeps files of single steps.
    pub(crate) step_files: Option<Arc<dyn StepFiles>>,
    /// The directory of this host that the steps work on, in place of a workspace.
    pub(crate) in_place: Option<PathBuf>,
    /// Goes into each step that is not in the background.
    pub(crate) visitor: Option<Arc<dyn Visitor>>,
    /// Which failures leave the environment as it is.
    pub(crate) keep_when: Option<KeepWhen>,
    /// The step that failed and in whose environment nothing is touched any more.
    pub(crate) kept: OnceLock<Arc<Step>>,
}

impl Shared {
    /// Brings the files in, for the first step that asks; the others wait for that, and fail by it too. With patience for an engine that
    /// does not answer: files that come twice are the same.
    pub(crate) async fn deliver_files(&self) -> Result<(), Arc<Error>> {
        let deliver = async || match &self.files {
            Some(files) => {
                let bring = || files.deliver(&*self.backend, &self.task);
                insist(&*self.backend, self.limits.patience, bring).await?;
                let delivered = Record::FilesDelivered { task: self.task.clone() };
                self.record(&delivered).map_err(|error| Error::Workspace(error.to_string()))
            }
            None => Ok(()),
        };
        let deliver = async || deliver().await.map_err(Arc::new);
        self.delivered.get_or_init(deliver).await.clone()
    }

    /// Brings files into what is `step`'s own, with the same patience.
    pub(crate) async fn bring_into(&self, step: &Step) -> Result<(), Error> {
        let Some(files) = &self.step_files else { return Ok(()) };
        let bring = || files.bring(&*self.backend, &self.task, step);
        insist(&*self.backend, self.limits.patience, bring).await
    }

    /// Lets files be kept of what is `step`'s own, as long as nobody wants an end.
    pub(crate) async fn keep_of(&self, step: &Step) {
        let Some(files) = &self.step_files else { return };
        tokio::select! {
            biased;
            _ = self.scope.cancelled() => {}
            () = files.keep(&*self.backend, &self.task, step) => {}
        }
    }

    /// Whether the workspace is as it was before any step, or not even that.
    pub(crate) fn workspace_is_untouched(&self) -> bool {
        !matches!(self.delivered.get(), Some(Ok(())))
    }

    /// Whether an environment in which something ended so is kept.
    pub(crate) fn keeps(&self, ending: &Ending) -> bool {
        self.keep_when.as_ref().is_some_and(|keeps| ending.outcome == Outcome::Failed && keeps(ending))
    }

    pub(crate) fn record(&self, record: &Record) -> Result<(), JournalError> {
        self.journal.as_ref().map_or(Ok(()), |journal| journal.append(record))
    }

    pub(crate) fn mask(&self, error: &Error) -> String {
        self.masker.mask_str(&error.to_string()).into_owned()
    }

    /// Tells a person something that fails nothing.
    pub(crate) fn notice(&self, step: Option<&Step>, text: &str) {
        self.observer.notice(step, &self.masker.mask_str(text));
    }

    /// Tells of a step's state. Whether anybody took note changes nothing (DESIGN rule 7).
    pub(crate) fn trace(&self, step: &Step, trace: &Trace) {
        if let Err(error) = self.observer.trace(step, trace) {
            tracing::warn!(step = %step.uuid, %error, "a step's state was not recorded");
        }
    }

    /// The ending of what the end of the scope ended.
    pub(crate) fn ended_by(&self, cause: Cause) -> Ending {
        match (&cause, self.deadline) {
            (Cause::Timeout, Some(deadline)) => Ending::new(cause).because(deadline.evidence()),
            _ => Ending::new(cause),
        }
    }

    /// Removes something: outside of any scope, under the deadline of cleanup (DESIGN rule 2), and with patience for an
    /// engine that does not answer.
    pub(crate) async fn clean_up<F>(&self, destroy: impl Fn() -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let destroyed = timeout(self.limits.cleanup, insist(&*self.backend, self.limits.patience, destroy));
        destroyed.await.unwrap_or_else(|_| Err(self.limits.cleanup_overdue(&*self.backend)))
    }
}
