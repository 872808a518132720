//! The executor that runs jobs for real: all of them are compiled before the first begins, each is handed to the runtime.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_backend::{Backend, Error as BackendError};
use jobwright_events::EventLog;
use jobwright_journal::Journal;
use jobwright_model::{Cause, Ending, Job, Outcome, RunId, StepUuid, TaskUuid};
use jobwright_pipeline::{
    Around, CompileContext, HOST_BACKEND, HostSecrets, PipelineJob, Target, compile, compile_around,
    visible_variables,
};
use jobwright_redact::{Masker, Warning};
use jobwright_runtime::{
    AttemptEnd, Backends, JobReport, JobRun, Limits, Past, Record, Scope, Slot, Visitor, WorkspaceSource,
    masker_for,
};
use jobwright_workspace::Project;

use crate::backends::Chosen;
use crate::executor::{Begun, JobExecutor, JobOutcome, JobOutput};
use crate::job::PreparedJob;
use crate::keep::{self, JobFiles, Keep};
use crate::manifest::PhaseLimits;
use crate::observer::JobObserver;
use crate::prepare::Prepared;
use crate::report::RunError;

/// What an executor needs to run jobs.
pub struct ExecutorSettings {
    /// The loaded backends that the jobs run on.
    pub backends: Backends,
    /// The files that every job gets; none for jobs that bring no files.
    pub files: Option<Arc<dyn WorkspaceSource>>,
    /// How many bytes of each job's output are kept.
    pub quota: u64,
    /// Bounds on the jobs' surroundings.
    pub limits: Limits,
    /// Where decisions are written down.
    pub journal: Arc<Journal<Record>>,
    /// Where the events go in the end: output is read no faster than it takes them.
    pub log: Arc<EventLog>,
}

/// Jobs as the runtime takes them.
pub(crate) struct Compiled {
    pub(crate) jobs: Vec<Job>,
    /// What they take and leave, by their names.
    pub(crate) files: HashMap<String, JobFiles>,
}

/// Compiles the jobs of `prepared` that are to run, each for its backend, and reads every secret that one of them uses; with what they
/// take and leave.
///
/// # Errors
/// [`RunError::Jobs`] when a job cannot run on its backend or a secret's value cannot be had.
pub(crate) fn compile_jobs(
    prepared: &Prepared,
    run: &RunId,
    chosen: &Chosen,
    environment: &BTreeMap<String, String>,
) -> Result<Compiled, RunError> {
    let secrets = HostSecrets::new(&prepared.plan.project);
    let compile_one = |job: &PipelineJob| -> Result<_, RunError> {
        let backend = chosen.of(job);
        let capabilities = backend.capabilities();
        let context = CompileContext {
            run,
            target: Target {
                backend: backend.name(),
                images: capabilities.images,
                limits: capabilities.limits,
            },
            environment,
            secrets: &secrets,
            workspace: true,
            step_uuid: &StepUuid::random,
        };
        let refused = |report| RunError::Jobs(Box::new(report));
        let compiled = compile(&prepared.pipeline, job, &context).map_err(refused)?;
        let variables = match job.caches.is_empty() {
            true => BTreeMap::new(),
            false => visible_variables(&prepared.pipeline, job, &context).map_err(refused)?,
        };
        Ok((compiled, variables))
    };
    let mut jobs = Vec::new();
    let mut keeping = Vec::new();
    for job in prepared.due() {
        let (compiled, variables) = compile_one(job)?;
        let images = chosen.of(job).capabilities().images;
        keeping.push(keep::Compiled { job, phases: compiled.phases.len(), variables, images });
        jobs.push(compiled);
    }
    Ok(Compiled { jobs, files: keep::plan(&prepared.pipeline, keeping) })
}

/// Compiles the commands around all jobs.
///
/// # Errors
/// [`RunError::Jobs`] when a secret's value cannot be had.
pub(crate) fn compile_commands_around(
    prepared: &Prepared,
    run: &RunId,
    environment: &BTreeMap<String, String>,
) -> Result<Around, RunError> {
    let context = CompileContext {
        run,
        target: Target { backend: HOST_BACKEND, images: false, limits: false },
        environment,
        secrets: &HostSecrets::new(&prepared.plan.project),
        workspace: false,
        step_uuid: &StepUuid::random,
    };
    compile_around(&prepared.pipeline, &context).map_err(|report| RunError::Jobs(Box::new(report)))
}

/// The time of each of a job's phases that has one of its own, by its place: the commands on the host come first and last.
pub(crate) fn phase_limits(prepared: &Prepared, jobs: &[Job]) -> PhaseLimits {
    let limits = |(file, job): (&PipelineJob, &Job)| {
        let first = file.bootstrap.as_ref().map(|commands| (0, commands.timeout));
        let last = file.cleanup.as_ref().map(|commands| (job.phases.len() - 1, commands.timeout));
        (job.name.clone(), first.into_iter().chain(last).collect())
    };
    prepared.due().into_iter().zip(jobs).map(limits).collect()
}

/// Runs jobs through the runtime.
pub struct RuntimeExecutor {
    jobs: HashMap<String, Job>,
    phase_limits: PhaseLimits,
    masker: Masker,
    warnings: Vec<Warning>,
    settings: ExecutorSettings,
    keep: Option<Keep>,
    past: Past,
    secrets_are_gone: bool,
    /// Who goes into the phase at this place of every job.
    visitor: Option<(usize, Arc<dyn Visitor>)>,
    /// What a job leaves when its last attempt fails stays as it is.
    keep_failed: bool,
}

impl RuntimeExecutor {
    /// An executor for `jobs`, which are known by their names.
    ///
    /// # Errors
    /// [`RunError::Secret`] when a secret's value is too long to be masked: better not to run than to show it.
    pub fn new(jobs: Vec<Job>, settings: ExecutorSettings) -> Result<Self, RunError> {
        Self::beside(&[], jobs, settings)
    }

    /// The same beside `others`, which run elsewhere: what is secret in them is masked too.
    pub(crate) fn beside(
        others: &[&Job],
        jobs: Vec<Job>,
        settings: ExecutorSettings,
    ) -> Result<Self, RunError> {
        let phases = others.iter().copied().chain(&jobs).flat_map(|job| &job.phases);
        let built = masker_for(phases.map(|phase| &phase.workflow));
        if let Some(refused) = built.warnings.iter().find(|warning| must_not_run(warning)) {
            return Err(RunError::Secret(refused.clone()));
        }
        let jobs = jobs.into_iter().map(|job| (job.name.clone(), job)).collect();
        Ok(Self {
            jobs,
            phase_limits: PhaseLimits::new(),
            masker: built.masker,
            warnings: built.warnings,
            settings,
            keep: None,
            past: Past::default(),
            secrets_are_gone: false,
            visitor: None,
            keep_failed: false,
        })
    }

    /// Going on with what an owner of the run that died began.
    #[must_use]
    pub(crate) fn resuming(mut self, past: Past) -> Self {
        self.past = past;
        self
    }

    /// Without the values of the run's secrets.
    #[must_use]
    pub(crate) fn without_secrets(mut self) -> Self {
        self.secrets_are_gone = true;
        self
    }

    /// With these times of single phases.
    pub(crate) fn phase_limits(mut self, limits: PhaseLimits) -> Self {
        self.phase_limits = limits;
        self
    }

    /// With caches and artifacts.
    #[must_use]
    pub(crate) fn keeping(mut self, keep: Keep) -> Self {
        self.keep = Some(keep);
        self
    }

    /// With a visitor for the phase at `place` of its jobs. They leave nothing to be kept then.
    #[must_use]
    pub(crate) fn visited(mut self, place: usize, visitor: Arc<dyn Visitor>) -> Self {
        self.visitor = Some((place, visitor));
        self
    }

    /// Keeping what jobs leave that fail for good, or not.
    #[must_use]
    pub(crate) fn keep_failed(mut self, keep_failed: bool) -> Self {
        self.keep_failed = keep_failed;
        self
    }

    /// What a person should know about secrets that are not, or not fully, masked.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    pub(crate) fn settings(&self) -> &ExecutorSettings {
        &self.settings
    }

    /// What an owner that died began, and whether the values of the run's secrets went with it.
    pub(crate) fn past(&self) -> (&Past, bool) {
        (&self.past, self.secrets_are_gone)
    }

    /// Masks every secret of the run.
    #[must_use]
    pub fn masker(&self) -> &Masker {
        &self.masker
    }
}

/// A value that is too short would mask half of the output: its owner is warned. One that is too long would be shown.
fn must_not_run(warning: &Warning) -> bool {
    matches!(warning, Warning::TooLong { .. } | Warning::NoRoom { .. })
}

#[async_trait]
impl JobExecutor for RuntimeExecutor {
    async fn execute(&self, job: &PreparedJob, output: &JobOutput, scope: &Scope, slot: Slot) -> JobOutcome {
        if let Some(AttemptEnd { ending, error }) = self.past.end_of(&job.name, output.attempt()) {
            return JobOutcome { ending: ending.clone(), error: error.clone() };
        }
        let outcome = self.attempt(job, output, scope, slot).await;
        let (ending, error) = (outcome.ending.clone(), outcome.error.clone());
        let ended = Record::JobEnded { job: job.name.to_string(), attempt: output.attempt(), ending, error };
        if let Err(error) = self.settings.journal.append(&ended) {
            tracing::warn!(job = %job.name, %error, "the end of a job was not journaled");
        }
        outcome
    }

    fn ran_before(&self, job: &str) -> Duration {
        self.past.attempt_at(job, 1).map_or(Duration::ZERO, |first| first.phase_began(0).elapsed())
    }

    fn begun(&self, job: &str) -> Begun {
        match (self.past.is_open(job), self.past.was_begun(job)) {
            (true, _) => Begun::Runs,
            (false, true) => Begun::Ended,
            (false, false) => Begun::No,
        }
    }
}

impl RuntimeExecutor {
    async fn attempt(&self, job: &PreparedJob, output: &JobOutput, scope: &Scope, slot: Slot) -> JobOutcome {
        let Some(compiled) = self.jobs.get(&*job.name) else {
            let text = format!("job {:?} was not prepared", job.name);
            return JobOutcome::not_passed(Ending::new(Cause::StartFailure), text);
        };
        let ExecutorSettings { backends, files, quota, limits, journal, log } = &self.settings;
        let observer = Arc::new(JobObserver::new(output.clone(), *quota, Arc::clone(log)));
        let mut run = JobRun::new(compiled.clone(), backends.clone(), observer)
            .masker(self.masker.clone())
            .limits(*limits)
            .scope(scope)
            .slot(slot)
            .attempt(output.attempt())
            .journal(Arc::clone(journal));
        if let Some(past) = self.past.attempt_at(&job.name, output.attempt()) {
            run = run.resuming(past.clone());
        }
        if self.secrets_are_gone {
            run = run.without_secrets();
        }
        let keep = self.keep.as_ref().and_then(|keep| keep.of_job(&job.name, output, &self.masker));
        if let Some(keep) = keep {
            run = keep.step_files().into_iter().fold(run, JobRun::step_files);
            run = run.files(keep.source(files.clone()));
            if self.visitor.is_none() {
                run = run.keeper(keep.phase(), keep);
            }
        } else if let Some(files) = files {
            run = run.files(Arc::clone(files));
        }
        for (place, limit) in self.phase_limits.get(&compiled.name).into_iter().flatten() {
            run = run.phase_limit(*place, *limit);
        }
        if let Some((place, visitor)) = &self.visitor {
            run = run.visitor(*place, Arc::clone(visitor));
        }
        if self.keep_failed {
            let (retry, attempt) = (job.retry.clone(), output.attempt());
            run = run.keep_when(Arc::new(move |ending| !retry.applies(ending, attempt)));
        }
        let report = run.run().await;
        if report.phases.iter().any(|phase| phase.kept) {
            output.diagnostic("its environment is kept");
        }
        let error = match failed_on_the_host(&report) {
            Some(step) => told(&report.ending, false).map(|error| format!("{step}: {error}")),
            None => told(&report.ending, self.is_contained(compiled)),
        };
        JobOutcome { ending: report.ending, error }
    }
}

impl RuntimeExecutor {
    /// Whether a part of the job runs in an image.
    fn is_contained(&self, job: &Job) -> bool {
        let mut backends = job.phases.iter().filter_map(|phase| self.settings.backends.get(&phase.backend));
        backends.any(|backend| backend.capabilities().images)
    }
}

/// The command on the host that failed the job, if one did.
fn failed_on_the_host(report: &JobReport) -> Option<&str> {
    let phase = report.phases.iter().find(|phase| !phase.ending.succeeded())?;
    let step = phase.steps.iter().find(|step| !step.ending.succeeded())?;
    let names = ["job_bootstrap ", "job_cleanup "];
    names.iter().any(|name| step.name.starts_with(name)).then_some(step.name.as_str())
}

/// An ending in words, as local-ci's users know them where it has any.
pub(crate) fn told(ending: &Ending, contained: bool) -> Option<String> {
    let what = if contained { "container exited" } else { "exited" };
    let text = match (&ending.cause, ending.exit_code, ending.signal) {
        _ if ending.succeeded() => return None,
        (Cause::ExitCode, Some(code), _) => format!("{what} with non-zero status {code}"),
        (Cause::Signal, _, Some(signal)) => format!("it was ended by signal {signal}"),
        (Cause::OutOfMemory, ..) => "it used more memory than it may".to_owned(),
        (Cause::Timeout, ..) => "timed out".to_owned(),
        (Cause::SilenceTimeout, ..) => "timed out in silence".to_owned(),
        (Cause::ByUser, ..) => "by the user".to_owned(),
        (Cause::ByShutdown, ..) => "jobwright was told to stop".to_owned(),
        (cause, ..) => cause.as_str().replace('_', " "),
    };
    match &ending.evidence {
        // It says itself that it is about an image or a service, and which.
        Some(evidence) if matches!(ending.cause, Cause::Image | Cause::NotReady) => Some(evidence.clone()),
        Some(evidence) if ending.outcome != Outcome::Cancelled => Some(format!("{text}: {evidence}")),
        _ => Some(text),
    }
}

/// A project's directory as a job's files.
pub(crate) struct ProjectFiles(pub(crate) Project);

#[async_trait]
impl WorkspaceSource for ProjectFiles {
    async fn deliver(&self, backend: &dyn Backend, task: &TaskUuid) -> Result<(), BackendError> {
        backend.put_project(task, &self.0).await
    }
}
