//! What a run would do, told without doing any of it: which jobs, where, with which image, in what order, with which variables. Makes
//! nothing, writes nothing and reads no secret; a backend is only asked whether it is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::{NonZero, NonZeroU32};
use std::path::PathBuf;
use std::sync::Arc;

use jobwright_backend::{Backend, BackendRegistry, FindError};
use jobwright_events::RunMode;
use jobwright_model::RunId;
use jobwright_pipeline::{
    AllowFailure, Artifacts, Cache, CachePolicy, Concurrency, HOST_BACKEND, HostCommands, Pipeline,
    PipelineJob, Report, Retry, Target,
};

use crate::backends::choose;
use crate::conditions;
use crate::prepare::Prepared;
use crate::report::RunError;
use crate::spec::Spec;

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foresight {
    /// The file, absolute.
    pub config_path: PathBuf,
    /// The project's directory, absolute.
    pub project: PathBuf,
    /// The commit that is checked out; empty outside a repository.
    pub commit: String,
    /// The branch; `HEAD` when detached.
    pub branch: String,
    /// How it would go through the jobs.
    pub order: Order,
    /// How many jobs would run at the same time at most.
    pub limit: usize,
    /// The server whose variables a run would fetch: none of them is known here, and conditions are decided without them.
    pub not_fetched: Option<String>,
    /// The commands on the host before the first job.
    pub bootstrap: Vec<String>,
    /// Those after the last one.
    pub cleanup: Vec<String>,
    /// The selected jobs, in the order in which a run has them.
    pub jobs: Vec<ForeseenJob>,
}

/// How a run goes through its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One after the other.
    Sequential,
    /// All at once.
    Parallel,
    /// Stage after stage, the jobs of each at once.
    ParallelStages,
    /// As the needs say, whatever was asked for.
    Needs,
}

/// A job that would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeseenJob {
    /// Its name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// The job of whose matrix it is a variant: all of them run side by side.
    pub variant_of: Option<String>,
    /// Whether it begins at once and holds nobody up.
    pub detached: bool,
    /// The backend that its script would run on; none is looked for when it would be skipped.
    pub backend: Option<String>,
    /// Its image; on a backend without images the shell, when it names one.
    pub image: Option<String>,
    /// Aliases and images of what would run beside it.
    pub services: Vec<(String, String)>,
    /// What must have ended before it begins.
    pub waits: Waits,
    /// How many variants of its matrix may run at a time.
    pub max_parallel: Option<NonZeroU32>,
    /// How many jobs of its group may run at a time, in all runs of the project.
    pub concurrency: Option<Concurrency>,
    /// When it would be tried again.
    pub retry: Retry,
    /// Which of its failures the run would pass over.
    pub allow_failure: AllowFailure,
    /// What it would find of earlier runs, or leave for later ones.
    pub caches: Vec<ForeseenCache>,
    /// What it would leave for later jobs.
    pub artifacts: Option<Artifacts>,
    /// Commands on the host before its script.
    pub bootstrap: Vec<String>,
    /// Commands on the host after it.
    pub cleanup: Vec<String>,
    /// What it needs and was not selected: nobody waits for it.
    pub not_selected: Vec<String>,
    /// The names of its variables.
    pub variables: Vec<String>,
    /// The names of its secrets. That each has a value was not looked at.
    pub secrets: Vec<String>,
    /// When it runs at all, as it is written.
    pub condition: Option<String>,
    /// Why it would be skipped; nothing when it would run, provided that what it waits for passes.
    pub skipped: Option<String>,
}

/// A cache of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeseenCache {
    /// Its key as it is written, with `${NAME}` for a variable.
    pub key: String,
    /// The directories.
    pub paths: Vec<String>,
    /// What the job would do with it.
    pub policy: CachePolicy,
}

impl ForeseenCache {
    fn of(cache: &Cache) -> Self {
        let names: HashMap<&str, String> =
            cache.key.variables().map(|name| (name, format!("${{{name}}}"))).collect();
        let key = cache.key.expand(|name| names.get(name).map(String::as_str));
        Self { key, paths: cache.paths.clone(), policy: cache.policy }
    }
}

/// What must have ended before a job begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waits {
    /// Nothing; it may wait for a place.
    Nothing,
    /// The job before it in the list, or all variants of that.
    Previous,
    /// All jobs of all earlier stages.
    EarlierStages,
    /// These jobs must have passed.
    Jobs(Vec<String>),
}

/// Tells what a run of `prepared` would do on `backends`, of which `wanted` was asked for by name, with `limit` jobs at a time (none means
/// as many as there are processors).
///
/// # Errors
/// Those that a run would have before its first job, but for what only loading a backend or reading a secret can tell:
/// [`RunError::Condition`], [`RunError::Backend`] when a backend is not there, [`RunError::Jobs`] when a job cannot run on its backend or an `env_file` cannot be read.
pub async fn foresee(
    mut prepared: Prepared,
    spec: &Spec,
    backends: &BackendRegistry,
    wanted: Option<&str>,
    limit: Option<NonZero<usize>>,
) -> Result<Foresight, RunError> {
    let run = RunId::generate();
    conditions::decide(&mut prepared, spec, &run).await?;
    let due = prepared.due();
    let places = Places::find(&due, backends, wanted).await?;
    let around = prepared.pipeline.bootstrap.is_some() || prepared.pipeline.cleanup.is_some();
    if around || due.iter().any(|job| job.bootstrap.is_some() || job.cleanup.is_some()) {
        backends.find(Some(HOST_BACKEND)).await.map_err(RunError::HostCommands)?;
    }
    let selected = prepared.selected();
    let order = order_of(&selected, prepared.plan.mode);
    let schedule = Schedule::new(order, &prepared.plan.stages, &selected);
    let teller = Teller { prepared: &prepared, spec, run: &run, schedule, places: &places };
    let jobs = (0..selected.len()).map(|index| teller.tell(index));
    let jobs = jobs.collect::<Result<Vec<_>, Report>>().map_err(|report| RunError::Jobs(Box::new(report)))?;
    let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let (plan, pipeline) = (&prepared.plan, &prepared.pipeline);
    let commands = |commands: &Option<HostCommands>| commands.iter().flat_map(|it| it.run.clone()).collect();
    Ok(Foresight {
        not_fetched: pipeline.remote_provider.as_ref().map(ToString::to_string),
        bootstrap: commands(&pipeline.bootstrap),
        cleanup: commands(&pipeline.cleanup),
        config_path: plan.config_path.clone(),
        project: plan.project.clone(),
        commit: plan.commit.clone(),
        branch: plan.branch.clone(),
        order,
        limit: limit.map_or_else(processors, NonZero::get),
        jobs,
    })
}

/// As the runner decides it.
fn order_of(selected: &[&PipelineJob], mode: RunMode) -> Order {
    match mode {
        _ if selected.iter().any(|job| !job.needs.is_empty()) => Order::Needs,
        RunMode::Sequential => Order::Sequential,
        RunMode::Parallel => Order::Parallel,
        RunMode::ParallelStages => Order::ParallelStages,
    }
}

/// When each job may begin.
struct Schedule<'a> {
    order: Order,
    jobs: &'a [&'a PipelineJob],
    names: BTreeSet<&'a str>,
    stages: HashMap<&'a str, usize>,
    /// The first stage that has a job which others wait for.
    first_stage: Option<usize>,
    /// The place of the first job that others wait for, and that of the first which is not of its matrix.
    first_in_chain: Option<usize>,
    first_of_another: Option<usize>,
}

impl<'a> Schedule<'a> {
    fn new(order: Order, stages: &'a [String], jobs: &'a [&'a PipelineJob]) -> Self {
        let stages: HashMap<&str, usize> = stages.iter().map(String::as_str).zip(0..).collect();
        let names = jobs.iter().map(|job| job.name.as_str()).collect();
        let attached = jobs.iter().filter(|job| !job.detached);
        let first_stage = attached.filter_map(|job| stages.get(job.stage.as_str()).copied()).min();
        let first_in_chain = jobs.iter().position(|job| !job.detached);
        let is_another = |job: &&PipelineJob| {
            !job.detached && first_in_chain.is_some_and(|first| job.base() != jobs[first].base())
        };
        let first_of_another = jobs.iter().position(is_another);
        Self { order, jobs, names, stages, first_stage, first_in_chain, first_of_another }
    }

    fn waits(&self, index: usize, needs: Vec<String>) -> Waits {
        let job = self.jobs[index];
        match self.order {
            Order::Needs if !needs.is_empty() => Waits::Jobs(needs),
            Order::Needs if !job.needs.is_empty() => Waits::Nothing,
            _ if job.detached => Waits::Nothing,
            Order::Needs | Order::ParallelStages if self.is_after_a_stage(job) => Waits::EarlierStages,
            Order::Sequential if self.follows_one(index) => Waits::Previous,
            _ => Waits::Nothing,
        }
    }

    fn is_after_a_stage(&self, job: &PipelineJob) -> bool {
        let stage = self.stages.get(job.stage.as_str()).copied();
        stage.zip(self.first_stage).is_some_and(|(stage, first)| stage > first)
    }

    /// Whether a job that others wait for stands before it; the variants of one matrix do not wait for each other.
    fn follows_one(&self, index: usize) -> bool {
        let is_before = |place: Option<usize>| place.is_some_and(|place| place < index);
        let of_the_first =
            self.first_in_chain.is_some_and(|first| self.jobs[first].base() == self.jobs[index].base());
        if of_the_first { is_before(self.first_of_another) } else { is_before(self.first_in_chain) }
    }
}

/// Which backend each job would be on.
struct Places {
    default: Option<Arc<dyn Backend>>,
    named: BTreeMap<String, Arc<dyn Backend>>,
}

impl Places {
    /// The backend that a job names; for the others the one that a run would choose.
    async fn find(
        jobs: &[&PipelineJob],
        backends: &BackendRegistry,
        wanted: Option<&str>,
    ) -> Result<Self, FindError> {
        let mut places = Self { default: None, named: BTreeMap::new() };
        let unnamed: Vec<_> = jobs.iter().filter(|job| job.backend.is_none()).collect();
        if !unnamed.is_empty() {
            let images = unnamed.iter().any(|job| job.image.is_some());
            places.default = Some(choose(backends, wanted, images).await?);
        }
        let named = jobs.iter().filter_map(|job| job.backend.as_deref());
        let on_the_host = jobs.iter().any(|job| job.bootstrap.is_some() || job.cleanup.is_some());
        for name in named.chain(on_the_host.then_some(HOST_BACKEND)) {
            if !places.named.contains_key(name) {
                places.named.insert(name.to_owned(), backends.find(Some(name)).await?);
            }
        }
        Ok(places)
    }

    fn of(&self, job: &PipelineJob) -> &dyn Backend {
        let named = job.backend.as_ref().and_then(|name| self.named.get(name));
        &**named.or(self.default.as_ref()).expect("a backend was found for every job")
    }
}

/// Tells of one job after the other.
struct Teller<'a> {
    prepared: &'a Prepared,
    spec: &'a Spec,
    run: &'a RunId,
    schedule: Schedule<'a>,
    places: &'a Places,
}

impl Teller<'_> {
    fn tell(&self, index: usize) -> Result<ForeseenJob, Report> {
        let (job, unmet) = (self.schedule.jobs[index], &self.prepared.plan.jobs[index].unmet);
        let backend = match unmet {
            None => Some(self.fitting_backend(job)?),
            Some(_) => None,
        };
        let variables = self.variables(job)?;
        let secrets = secrets(&self.prepared.pipeline, job, &variables);
        let is_selected = |need: &String| self.schedule.names.contains(need.as_str());
        let (waited, not_selected) = job.needs.iter().cloned().partition(is_selected);
        Ok(ForeseenJob {
            name: job.name.clone(),
            stage: job.stage.clone(),
            variant_of: job.variant.as_ref().map(|variant| variant.group.clone()),
            detached: job.detached,
            backend,
            image: job.image.clone(),
            services: job.services.iter().map(|it| (it.alias.clone(), it.image.clone())).collect(),
            waits: self.schedule.waits(index, waited),
            max_parallel: job.variant.as_ref().and_then(|variant| variant.max_parallel),
            concurrency: job.concurrency.clone(),
            retry: job.retry.clone(),
            allow_failure: job.allow_failure.clone(),
            caches: job.caches.iter().map(ForeseenCache::of).collect(),
            artifacts: job.artifacts.clone(),
            bootstrap: commands(job.bootstrap.as_ref()),
            cleanup: commands(job.cleanup.as_ref()),
            not_selected,
            variables,
            secrets,
            condition: job.condition.as_ref().map(|condition| condition.text().to_owned()),
            skipped: unmet.as_ref().map(|unmet| unmet.evidence.clone().unwrap_or_default()),
        })
    }

    fn fitting_backend(&self, job: &PipelineJob) -> Result<String, Report> {
        let backend = self.places.of(job);
        let has = backend.capabilities();
        let target = Target { backend: backend.name(), images: has.images, limits: has.limits };
        self.prepared.pipeline.check_jobs_for([job], target)?;
        Ok(backend.name().to_owned())
    }

    fn variables(&self, job: &PipelineJob) -> Result<Vec<String>, Report> {
        Ok(conditions::variables(self.prepared, self.spec, self.run, job)?.into_keys().collect())
    }
}

fn commands(on_the_host: Option<&HostCommands>) -> Vec<String> {
    on_the_host.map(|commands| commands.run.clone()).unwrap_or_default()
}

/// The names that are declared as secrets and not given in clear by a higher level.
fn secrets(pipeline: &Pipeline, job: &PipelineJob, visible: &[String]) -> Vec<String> {
    let declared: BTreeSet<&String> = pipeline.secrets.keys().chain(job.secrets.keys()).collect();
    declared.into_iter().filter(|name| !visible.contains(name)).cloned().collect()
}
