//! One job: its phases in order, each a workflow under a task uuid of its own, all on one workspace.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jobwright_backend::Backend;
use jobwright_journal::Journal;
use jobwright_model::{Cause, Ending, Job, Phase};
use jobwright_redact::Masker;

use crate::gate::Gate;
use crate::observer::Observer;
use crate::record::Record;
use crate::scope::Scope;
use crate::workflow::{Limits, WorkflowReport, WorkflowRun, WorkspaceSource};

/// Loaded backends by their names.
pub type Backends = BTreeMap<String, Arc<dyn Backend>>;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// The job's own ending: that of the first phase that did not pass.
    pub ending: Ending,
    /// The first error that is no step's own failure.
    pub error: Option<String>,
    /// The phases that ran, in order.
    pub phases: Vec<WorkflowReport>,
}

/// One run of a job, to be described and then [run](JobRun::run).
pub struct JobRun {
    job: Job,
    backends: Backends,
    observer: Arc<dyn Observer>,
    gates: Vec<Arc<dyn Gate>>,
    masker: Option<Masker>,
    limits: Limits,
    scope: Scope,
    files: Option<Arc<dyn WorkspaceSource>>,
    journal: Option<Arc<Journal<Record>>>,
}

impl JobRun {
    /// `job` over `backends`.
    #[must_use]
    pub fn new(job: Job, backends: Backends, observer: Arc<dyn Observer>) -> Self {
        Self {
            job,
            backends,
            observer,
            gates: Vec::new(),
            masker: None,
            limits: Limits::default(),
            scope: Scope::new(),
            files: None,
            journal: None,
        }
    }

    /// With one more gate.
    #[must_use]
    pub fn gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gates.push(gate);
        self
    }

    /// Masking by this rule in place of what the workflows themselves declare.
    #[must_use]
    pub fn masker(mut self, masker: Masker) -> Self {
        self.masker = Some(masker);
        self
    }

    /// Within these bounds on its surroundings.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Within this scope.
    #[must_use]
    pub fn scope(mut self, scope: &Scope) -> Self {
        self.scope = scope.clone();
        self
    }

    /// On these files.
    #[must_use]
    pub fn files(mut self, files: Arc<dyn WorkspaceSource>) -> Self {
        self.files = Some(files);
        self
    }

    /// Writing down what it is about to do.
    #[must_use]
    pub fn journal(mut self, journal: Arc<Journal<Record>>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Runs the phases in order. The first that does not pass stops the rest, but for those that always run; these have a
    /// scope of their own, which the job's cancellation does not end.
    pub async fn run(mut self) -> JobReport {
        let started = Timestamp::now();
        let mut phases: Vec<WorkflowReport> = Vec::new();
        let mut ending: Option<Ending> = None;
        for phase in std::mem::take(&mut self.job.phases) {
            if ending.is_some() && !phase.always {
                continue;
            }
            let report = self.run_phase(phase).await;
            if ending.is_none() && !report.ending.succeeded() {
                ending = Some(report.ending.clone());
            }
            phases.push(report);
        }
        let ending = ending.unwrap_or_else(|| Ending::new(Cause::Success)).timed(started, Timestamp::now());
        let error = phases.iter().find_map(|phase| phase.error.clone());
        JobReport { ending, error, phases }
    }

    async fn run_phase(&self, phase: Phase) -> WorkflowReport {
        let Some(backend) = self.backends.get(&phase.backend) else {
            let reason =
                format!("job {:?} wants the backend {:?}, which is not loaded", self.job.name, phase.backend);
            let ending = Ending::new(Cause::StartFailure).because(&reason);
            return WorkflowReport { ending, error: Some(reason), left_behind: None, steps: Vec::new() };
        };
        let scope = if phase.always { Scope::new() } else { self.scope.clone() };
        let mut run = WorkflowRun::new(phase.workflow, Arc::clone(backend), Arc::clone(&self.observer))
            .job(&self.job.name)
            .timeouts(self.job.timeouts)
            .limits(self.limits)
            .scope(&scope);
        run = self.gates.iter().cloned().fold(run, WorkflowRun::gate);
        if let Some(masker) = &self.masker {
            run = run.masker(masker.clone());
        }
        if let Some(files) = &self.files {
            run = run.files(Arc::clone(files));
        }
        if let Some(journal) = &self.journal {
            run = run.journal(Arc::clone(journal));
        }
        run.run().await
    }
}
