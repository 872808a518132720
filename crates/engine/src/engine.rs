//! One run from its request to its last event: folder, file, backend, jobs.

use std::collections::HashMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobwright_backend::{BackendRegistry, labels};
use jobwright_events::{Bus, EventKind, EventLog, EventLogReader, LogOptions, Quota};
use jobwright_journal::{Journal, StateDir, Vault};
use jobwright_model::{Job, Phase, RunId, Workflow};
use jobwright_pipeline::PipelineJob;
use jobwright_runtime::{Backends, BootTime, Limits, Past, Record, Scope, Visitor, WorkspaceSource};
use jobwright_workspace::{Project, TreeOptions};

use crate::around::{Around, JobsAround};
use crate::backends::Loader;
use crate::conditions;
use crate::enter;
use crate::git::without_credentials;
use crate::job::PreparedJob;
use crate::keep::Keep;
use crate::manifest::{Manifest, PhaseLimits};
use crate::prepare::{Prepared, RunPlan, prepare};
use crate::remote::{self, VariableSource};
use crate::report::{RunError, RunReport};
use crate::runner::Runner;
use crate::runtime_executor::{
    Compiled, ExecutorSettings, ProjectFiles, RuntimeExecutor, compile_commands_around, compile_jobs,
    phase_limits,
};
use crate::shared_groups::SharedGroups;
use crate::spec::Spec;

/// What holds for every run of an engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The backend by name of the jobs that name none themselves; none means that what is available decides.
    pub backend: Option<String>,
    /// How many jobs may run at the same time; none means as many as there are processors.
    pub limit: Option<NonZero<usize>>,
    /// How many bytes of each job's output are kept.
    pub log_quota: u64,
    /// Bounds on the jobs' surroundings.
    pub limits: Limits,
    /// The environments of jobs that fail stay as they are, to be gone into ([`Engine::reenter`]) and removed on request.
    pub keep_failed: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            backend: None,
            limit: None,
            log_quota: Quota::DEFAULT,
            limits: Limits::default(),
            keep_failed: false,
        }
    }
}

/// Runs pipelines over a set of backends, under one state directory.
pub struct Engine {
    state: StateDir,
    backends: BackendRegistry,
    options: EngineOptions,
    variables: Option<Arc<dyn VariableSource>>,
}

/// A run that has its folder, its journal, its event log and its bus, and has not begun.
pub struct Run<'e> {
    engine: &'e Engine,
    id: RunId,
    folder: PathBuf,
    bus: Arc<Bus>,
    log: Arc<EventLog>,
    journal: Arc<Journal<Record>>,
    past: Past,
}

impl Engine {
    /// An engine over `backends`, in the order in which they are preferred.
    #[must_use]
    pub fn new(state: StateDir, backends: BackendRegistry, options: EngineOptions) -> Self {
        Self { state, backends, options, variables: None }
    }

    /// Asking `source` for the variables of remote providers. Without one, a pipeline that has such a provider does not run.
    #[must_use]
    pub fn variables_from(mut self, source: Arc<dyn VariableSource>) -> Self {
        self.variables = Some(source);
        self
    }

    /// Makes the folder of the run `id`, which the caller made, and owns it from now on.
    ///
    /// # Errors
    /// [`RunError::State`], [`RunError::Journal`], [`RunError::EventLog`]: there is no run then.
    pub fn open(&self, id: &RunId) -> Result<Run<'_>, RunError> {
        let folder = self.state.create_run_dir(id)?;
        let (journal, _) = Journal::open(&folder.join("journal"))?;
        let log = EventLog::open(&folder, id, LogOptions::default())?;
        let bus = Bus::new(id.clone());
        bus.attach("event log", log.sink());
        Ok(Run::over(self, id.clone(), folder, bus, log, journal))
    }

    pub(crate) fn state(&self) -> &StateDir {
        &self.state
    }

    pub(crate) fn backends(&self) -> &BackendRegistry {
        &self.backends
    }

    /// Where the values of secrets lie while a run needs them.
    pub(crate) fn vault(&self) -> Option<Vault> {
        Vault::of(&self.state)
    }

    pub(crate) fn limits(&self) -> Limits {
        self.options.limits
    }

    fn limit(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.options.limit.map_or_else(processors, NonZero::get)
    }
}

impl<'e> Run<'e> {
    /// A run in `folder`, of which nothing was done.
    pub(crate) fn over(
        engine: &'e Engine,
        id: RunId,
        folder: PathBuf,
        bus: Bus,
        log: EventLog,
        journal: Journal<Record>,
    ) -> Self {
        let (bus, log, journal) = (Arc::new(bus), Arc::new(log), Arc::new(journal));
        Self { engine, id, folder, bus, log, journal, past: Past::default() }
    }

    /// One of which so much was done by an owner that died.
    pub(crate) fn with_past(self, past: Past) -> Self {
        Self { past, ..self }
    }
}

impl Run<'_> {
    /// The run's bus, for further sinks.
    #[must_use]
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the run's events, from the first on and as they come.
    ///
    /// # Errors
    /// [`RunError::EventLog`].
    pub fn reader(&self) -> Result<EventLogReader, RunError> {
        Ok(self.log.reader()?)
    }

    /// Runs what `spec` asks for. Its first event is `run_started` and its last `run_finished`, whatever happens. Ends early when
    /// `scope` does. All events are in the event log when it returns.
    pub async fn execute(self, spec: &Spec, scope: &Scope) -> RunReport {
        let runner = self.runner(scope);
        let report = match prepare(spec, &self.clone_dir(), scope).await {
            Ok(prepared) => self.run_prepared(runner, prepared, spec, scope).await,
            Err(error) => runner.refuse(spec, error.into()),
        };
        self.over_and_out().await;
        report
    }

    /// Takes back what only a run that goes on needs, and has all events written.
    pub(crate) async fn over_and_out(&self) {
        self.remove_handovers();
        let clone = self.clone_dir();
        if clone.exists() {
            remove_clone(&clone).await;
        }
        if let Some(Err(error)) = self.engine.vault().map(|vault| vault.forget(&self.id)) {
            tracing::warn!(run = %self.id, %error, "the values of the run's secrets could not be removed");
        }
        self.flush().await;
    }

    /// Workspaces between two phases go with their jobs; an owner that died may have left some.
    fn remove_handovers(&self) {
        for path in jobwright_runtime::handovers_in(&self.folder) {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(%error, "cannot remove {}", path.display());
            }
        }
    }

    fn clone_dir(&self) -> PathBuf {
        self.folder.join("clone")
    }

    /// Makes the environment of the one job that `spec` names and has `visitor` go into it, in place of the job's script. The report is
    /// of a run with that one job, which ended as the visit did. Nobody can take such a run over.
    pub async fn enter(self, spec: &Spec, visitor: Arc<dyn Visitor>, scope: &Scope) -> RunReport {
        let runner = self.runner(scope);
        let prepared = prepare(spec, &self.clone_dir(), scope).await;
        let report = match prepared.and_then(enter::single) {
            Ok(mut prepared) => {
                runner.start(&prepared.plan);
                let fetched = self.fetch(&mut prepared, scope).await;
                let executor = match fetched {
                    Ok(()) => self.visited_executor(prepared, spec, visitor).await,
                    Err(error) => Err(error),
                };
                match executor {
                    Ok((plan, executor)) => {
                        executor.warnings().iter().for_each(|warning| self.say(warning.to_string()));
                        runner.run(&plan, Arc::new(executor)).await
                    }
                    Err(error) => runner.abandon(error),
                }
            }
            Err(error) => runner.refuse(spec, error.into()),
        };
        self.over_and_out().await;
        report
    }

    async fn visited_executor(
        &self,
        prepared: Prepared,
        spec: &Spec,
        visitor: Arc<dyn Visitor>,
    ) -> Result<(RunPlan, RuntimeExecutor), RunError> {
        let files: Vec<PipelineJob> = prepared.due().into_iter().cloned().collect();
        let (mut manifest, backends) = self.pipeline_manifest(prepared, spec).await?;
        let mut place = 0;
        // There is one job.
        for (file, job) in files.iter().zip(&mut manifest.jobs) {
            let limits = manifest.phase_limits.get_mut(&job.name);
            place = enter::wait_instead(file, job, limits);
            enter::check(job, place, &backends)?;
        }
        let executor = self.executor_of(&manifest, backends)?.visited(place, visitor);
        Ok((manifest.plan, executor))
    }

    /// Runs one compiled `workflow`, read from the file `config_path`, as the only job of the run; its name is `name`. It brings no
    /// files. Events as in [`execute`](Self::execute).
    pub async fn execute_workflow(
        self,
        name: &str,
        workflow: Workflow,
        config_path: &Path,
        scope: &Scope,
    ) -> RunReport {
        let runner = self.runner(scope);
        let job = PreparedJob { name: name.into(), stage: name.into(), ..PreparedJob::default() };
        let plan = RunPlan {
            config_path: config_path.to_owned(),
            stages: vec![name.to_owned()],
            jobs: vec![job],
            ..RunPlan::default()
        };
        runner.start(&plan);
        let report = match self.workflow_manifest(plan, name, workflow).await {
            Ok((manifest, backends)) => self.run_manifest(runner, manifest, backends).await,
            Err(error) => runner.abandon(error),
        };
        self.over_and_out().await;
        report
    }

    async fn run_prepared(
        &self,
        runner: Runner,
        mut prepared: Prepared,
        spec: &Spec,
        scope: &Scope,
    ) -> RunReport {
        runner.start(&prepared.plan);
        self.say(format!("Config file loaded from {}", prepared.plan.config_path.display()));
        let manifest = match self.decide(&mut prepared, spec, scope).await {
            Ok(()) => self.pipeline_manifest(prepared, spec).await,
            Err(error) => Err(error),
        };
        match manifest {
            Ok((manifest, backends)) => {
                let groups = self.groups_of(&manifest);
                self.run_manifest(runner.groups(groups), manifest, backends).await
            }
            Err(error) => runner.abandon(error),
        }
    }

    /// Fetches what the run needs of elsewhere, then decides which jobs run.
    async fn decide(&self, prepared: &mut Prepared, spec: &Spec, scope: &Scope) -> Result<(), RunError> {
        self.fetch(prepared, scope).await?;
        conditions::decide(prepared, spec, &self.id).await
    }

    /// Fetches the variables of a remote provider, where the file names one.
    async fn fetch(&self, prepared: &mut Prepared, scope: &Scope) -> Result<(), RunError> {
        let notes = remote::fetch(prepared, self.engine.variables.as_deref(), scope).await?;
        notes.into_iter().for_each(|note| self.say(note));
        Ok(())
    }

    /// The limits of groups that the run shares with others.
    pub(crate) fn groups_of(&self, manifest: &Manifest) -> SharedGroups {
        SharedGroups::new(self.engine.state.path(), &manifest.plan.project)
    }

    /// Runs what was prepared, once it is written down what that is: else nobody could take it over (DESIGN rule 4).
    async fn run_manifest(&self, runner: Runner, manifest: Manifest, backends: Backends) -> RunReport {
        let executor = self.executor_of(&manifest, backends);
        let executor = executor.and_then(|executor| {
            manifest.keep(&self.folder, &self.id, self.engine.vault().as_ref())?;
            Ok(executor)
        });
        match executor {
            Ok(executor) => {
                executor.warnings().iter().for_each(|warning| self.say(warning.to_string()));
                let around = self.around_of(&manifest, &executor);
                runner.around(around).run(&manifest.plan, Arc::new(executor)).await
            }
            Err(error) => runner.abandon(error),
        }
    }

    /// What runs around the jobs of `manifest`, as `executor` runs them.
    pub(crate) fn around_of(&self, manifest: &Manifest, executor: &RuntimeExecutor) -> Around {
        Around::new(manifest.around.clone(), manifest.plan.project.clone(), executor)
    }

    async fn pipeline_manifest(
        &self,
        prepared: Prepared,
        spec: &Spec,
    ) -> Result<(Manifest, Backends), RunError> {
        let commands = compile_commands_around(&prepared, &self.id, &spec.env)?;
        let around = JobsAround::new(commands, &prepared.pipeline);
        let on_the_host = around.jobs().next().is_some();
        let chosen = self.loader().load_for(&prepared.due(), on_the_host).await?;
        let Compiled { jobs, files: kept } = compile_jobs(&prepared, &self.id, &chosen, &spec.env)?;
        let project = match &spec.remote {
            Some(url) => without_credentials(url),
            None => prepared.plan.project.display().to_string(),
        };
        let manifest = Manifest {
            phase_limits: phase_limits(&prepared, &jobs),
            plan: prepared.plan,
            jobs,
            around,
            kept,
            project: Some(project),
            is_clone: spec.remote.is_some(),
            limit: self.engine.limit(),
            keep_failed: self.engine.options.keep_failed,
            begun: BootTime::now(),
        };
        Ok((manifest, chosen.all))
    }

    /// Who runs the jobs of `manifest`, those that an owner that died began included.
    pub(crate) fn executor_of(
        &self,
        manifest: &Manifest,
        backends: Backends,
    ) -> Result<RuntimeExecutor, RunError> {
        let exclude = vec![self.engine.state.path().to_owned()];
        let options = TreeOptions { exclude, ..TreeOptions::default() };
        let project = || Arc::new(ProjectFiles(Project::new(&manifest.plan.project, options)));
        let files = manifest.project.is_some().then(|| project() as Arc<dyn WorkspaceSource>);
        let (around, settings) = (manifest.around.jobs().collect::<Vec<_>>(), self.settings(backends, files));
        let executor = RuntimeExecutor::beside(&around, manifest.jobs.clone(), settings)?;
        let executor = executor
            .phase_limits(manifest.phase_limits.clone())
            .resuming(self.past.clone())
            .keep_failed(manifest.keep_failed || self.engine.options.keep_failed);
        Ok(match &manifest.project {
            Some(project) => {
                let (state, kept) = (&self.engine.state, manifest.kept.clone());
                let patience = self.engine.options.limits.patience;
                executor.keeping(Keep::new(state, &self.folder, project.clone(), kept, patience))
            }
            None => executor,
        })
    }

    async fn workflow_manifest(
        &self,
        plan: RunPlan,
        name: &str,
        mut workflow: Workflow,
    ) -> Result<(Manifest, Backends), RunError> {
        let images = workflow.steps().any(|step| step.image.contains(['/', ':']));
        let backend = self.loader().load_one(images).await?;
        for step in workflow.stages.iter_mut().flat_map(|stage| &mut stage.steps) {
            step.workflow_labels.insert(labels::RUN.to_owned(), self.id.to_string());
        }
        let phase = Phase { backend: backend.name().to_owned(), workflow, ..Phase::default() };
        let job = Job { name: name.to_owned(), phases: vec![phase], ..Job::default() };
        let backends = Backends::from([(job.phases[0].backend.clone(), backend)]);
        let manifest = Manifest {
            plan,
            jobs: vec![job],
            around: JobsAround::default(),
            phase_limits: PhaseLimits::new(),
            kept: HashMap::new(),
            project: None,
            is_clone: false,
            limit: self.engine.limit(),
            keep_failed: self.engine.options.keep_failed,
            begun: BootTime::now(),
        };
        Ok((manifest, backends))
    }

    fn loader(&self) -> Loader<'_> {
        Loader {
            backends: &self.engine.backends,
            wanted: self.engine.options.backend.as_deref(),
            journal: &self.journal,
            bus: &self.bus,
        }
    }

    fn settings(&self, backends: Backends, files: Option<Arc<dyn WorkspaceSource>>) -> ExecutorSettings {
        ExecutorSettings {
            backends,
            files,
            quota: self.engine.options.log_quota,
            limits: self.engine.options.limits,
            journal: Arc::clone(&self.journal),
            log: Arc::clone(&self.log),
        }
    }

    pub(crate) fn runner(&self, scope: &Scope) -> Runner {
        Runner::new(Arc::clone(&self.bus), scope.clone(), self.engine.limit())
    }

    pub(crate) async fn flush(&self) {
        if let Err(error) = self.log.flush().await {
            tracing::error!(run = %self.id, %error, "the event log was not written to its end");
        }
    }

    pub(crate) fn say(&self, text: String) {
        self.bus.emit(EventKind::Diagnostic { data: text + "\n" });
    }
}

async fn remove_clone(clone: &Path) {
    match jobwright_workspace::offload::remove_tree(clone).await {
        Err(error) if clone.exists() => {
            tracing::warn!(path = %clone.display(), %error, "the clone could not be removed");
        }
        _ => {}
    }
}
