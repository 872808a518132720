//! One run from its request to its last event: folder, file, backend, jobs.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobwright_backend::{BackendRegistry, labels};
use jobwright_events::{Bus, EventKind, EventLog, EventLogReader, LogOptions, Quota};
use jobwright_journal::{Journal, StateDir};
use jobwright_model::{Job, Phase, RunId, Workflow};
use jobwright_runtime::{Backends, Limits, Record, Scope, WorkspaceSource};
use jobwright_workspace::{Project, TreeOptions};

use crate::backends::Loader;
use crate::conditions;
use crate::executor::JobExecutor;
use crate::git::without_credentials;
use crate::job::PreparedJob;
use crate::keep::Keep;
use crate::prepare::{Prepared, RunPlan, prepare};
use crate::report::{RunError, RunReport};
use crate::runner::Runner;
use crate::runtime_executor::{ExecutorSettings, ProjectFiles, RuntimeExecutor, compile_jobs, phase_limits};
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
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { backend: None, limit: None, log_quota: Quota::DEFAULT, limits: Limits::default() }
    }
}

/// Runs pipelines over a set of backends, under one state directory.
pub struct Engine {
    state: StateDir,
    backends: BackendRegistry,
    options: EngineOptions,
}

/// A run that has its folder, its journal, its event log and its bus, and has not begun.
pub struct Run<'e> {
    engine: &'e Engine,
    id: RunId,
    folder: PathBuf,
    bus: Arc<Bus>,
    log: Arc<EventLog>,
    journal: Arc<Journal<Record>>,
}

impl Engine {
    /// An engine over `backends`, in the order in which they are preferred.
    #[must_use]
    pub fn new(state: StateDir, backends: BackendRegistry, options: EngineOptions) -> Self {
        Self { state, backends, options }
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
        let (bus, log, journal) = (Arc::new(bus), Arc::new(log), Arc::new(journal));
        Ok(Run { engine: self, id: id.clone(), folder, bus, log, journal })
    }

    fn limit(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.options.limit.map_or_else(processors, NonZero::get)
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
        let clone = self.folder.join("clone");
        let report = match prepare(spec, &clone, scope).await {
            Ok(prepared) => self.run_prepared(runner, prepared, spec).await,
            Err(error) => runner.refuse(spec, error.into()),
        };
        if spec.remote.is_some() {
            remove_clone(&clone).await;
        }
        self.flush().await;
        report
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
        let report = match self.workflow_executor(name, workflow).await {
            Ok(executor) => self.run_plan(runner, &plan, executor).await,
            Err(error) => runner.abandon(error),
        };
        self.flush().await;
        report
    }

    async fn run_prepared(&self, runner: Runner, mut prepared: Prepared, spec: &Spec) -> RunReport {
        runner.start(&prepared.plan);
        self.say(format!("Config file loaded from {}", prepared.plan.config_path.display()));
        let decided = conditions::decide(&mut prepared, spec, &self.id).await;
        let executor = match decided {
            Ok(()) => self.pipeline_executor(&prepared, spec).await,
            Err(error) => Err(error),
        };
        let groups = SharedGroups::new(self.engine.state.path(), &prepared.plan.project);
        match executor {
            Ok(executor) => self.run_plan(runner.groups(groups), &prepared.plan, executor).await,
            Err(error) => runner.abandon(error),
        }
    }

    async fn run_plan(&self, runner: Runner, plan: &RunPlan, executor: RuntimeExecutor) -> RunReport {
        executor.warnings().iter().for_each(|warning| self.say(warning.to_string()));
        let executor: Arc<dyn JobExecutor> = Arc::new(executor);
        runner.run(plan, executor).await
    }

    async fn pipeline_executor(&self, prepared: &Prepared, spec: &Spec) -> Result<RuntimeExecutor, RunError> {
        let chosen = self.loader().load_for(&prepared.due()).await?;
        let (jobs, kept) = compile_jobs(prepared, &self.id, &chosen, &spec.env)?;
        let exclude = vec![self.engine.state.path().to_owned()];
        let options = TreeOptions { exclude, ..TreeOptions::default() };
        let files = ProjectFiles(Project::new(&prepared.plan.project, options));
        let limits = phase_limits(prepared, &jobs);
        let project = match &spec.remote {
            Some(url) => without_credentials(url),
            None => prepared.plan.project.display().to_string(),
        };
        let keep = Keep::new(&self.engine.state, &self.folder, project, kept);
        let executor = RuntimeExecutor::new(jobs, self.settings(chosen.all, Some(Arc::new(files))))?;
        Ok(executor.phase_limits(limits).keeping(keep))
    }

    async fn workflow_executor(
        &self,
        name: &str,
        mut workflow: Workflow,
    ) -> Result<RuntimeExecutor, RunError> {
        let images = workflow.steps().any(|step| step.image.contains(['/', ':']));
        let backend = self.loader().load_one(images).await?;
        for step in workflow.stages.iter_mut().flat_map(|stage| &mut stage.steps) {
            step.workflow_labels.insert(labels::RUN.to_owned(), self.id.to_string());
        }
        let phase = Phase { backend: backend.name().to_owned(), workflow, always: false };
        let job = Job { name: name.to_owned(), phases: vec![phase], ..Job::default() };
        let backends = Backends::from([(job.phases[0].backend.clone(), backend)]);
        RuntimeExecutor::new(vec![job], self.settings(backends, None))
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

    fn runner(&self, scope: &Scope) -> Runner {
        Runner::new(Arc::clone(&self.bus), scope.clone(), self.engine.limit())
    }

    async fn flush(&self) {
        if let Err(error) = self.log.flush().await {
            tracing::error!(run = %self.id, %error, "the event log was not written to its end");
        }
    }

    fn say(&self, text: String) {
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
