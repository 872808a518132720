//! From a checked job to a job of the model: its phases, each a workflow on one backend. Not for running it, nor for choosing the backend.

mod around;
mod environment;
mod steps;

pub use around::{Around, compile_around};

use std::collections::BTreeMap;

use jobwright_model::{
    Job, Phase, Readiness, RunId, Secret, Stage, Step, StepUuid, Timeouts, Workflow, labels,
};

use crate::compile::environment::Environment;
use crate::compile::steps::Steps;
use crate::finding::{Finding, Report};
use crate::job::{HostCommands, PipelineJob, Resources, Service};
use crate::pipeline::Pipeline;
use crate::secrets::{ResolveSecret, to_mask};

/// The backend that a job's commands on the host run on.
pub const HOST_BACKEND: &str = "process";

/// Where a job's files lie and its commands run when it says nothing. local-ci's default is `/`, where no engine can mount a
/// volume; a script finds the project relative to its working directory either way.
pub const DEFAULT_WORKDIR: &str = "/workspace";

/// The backend that a job is compiled for, as far as the file's rules depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The backend's name.
    pub backend: &'a str,
    /// Whether its steps run in images (`Capabilities::images`).
    pub images: bool,
    /// Whether it limits processors and memory (`Capabilities::limits`).
    pub limits: bool,
}

/// What a job's compilation needs to know beside the file.
#[derive(Clone, Copy)]
pub struct CompileContext<'a> {
    /// The run that the job belongs to.
    pub run: &'a RunId,
    /// The backend.
    pub target: Target<'a>,
    /// Variables from the command line (`--env`); they win over every other and are always applied.
    pub environment: &'a BTreeMap<String, String>,
    /// Gives the secrets' values.
    pub secrets: &'a dyn ResolveSecret,
    /// Whether the job gets files, and so a workspace volume.
    pub workspace: bool,
    /// Makes the identity of each step; [`StepUuid::random`] outside tests.
    pub step_uuid: &'a dyn Fn() -> StepUuid,
}

impl Pipeline {
    /// Checks what depends on the backend: on one with images every job needs an image; on one without, no job can have services or
    /// limits.
    ///
    /// # Errors
    /// A [`Report`] of all jobs that cannot run there.
    pub fn check_for(&self, target: Target<'_>) -> Result<(), Report> {
        self.check_jobs_for(&self.jobs, target)
    }

    /// The same for some of the jobs only, such as those that a run selected.
    ///
    /// # Errors
    /// A [`Report`] of all jobs among `jobs` that cannot run there.
    pub fn check_jobs_for<'a>(
        &self,
        jobs: impl IntoIterator<Item = &'a PipelineJob>,
        target: Target<'_>,
    ) -> Result<(), Report> {
        let findings: Vec<Finding> = jobs.into_iter().flat_map(|job| unfit(job, target)).collect();
        if findings.is_empty() { Ok(()) } else { Err(self.report(findings)) }
    }
}

fn unfit(job: &PipelineJob, target: Target<'_>) -> Vec<Finding> {
    let backend = target.backend;
    if target.images && job.image.is_none() {
        let finding =
            Finding::error(job.span, format!("job `{}` needs an image on the backend `{backend}`", job.name));
        return vec![finding.help("add `image: NAME`, or run it with `--backend process`")];
    }
    let lacks = |what: &str| {
        let message = format!("the backend `{backend}` cannot {what} for the job `{}`", job.name);
        Finding::error(job.span, message)
    };
    let limited = job.resources != Resources::default();
    let mut findings = Vec::new();
    if limited && !target.limits {
        let here = "limits take a container engine, or control groups that this user can make";
        findings.push(lacks("limit processors or memory").help(here));
    }
    if target.images {
        return findings;
    }
    let unfit = |service: &Service| {
        let alias = &service.alias;
        Finding::error(service.span, format!("the backend `{backend}` cannot run the service `{alias}`"))
            .help("services come from images; run it with `--backend docker`")
    };
    findings.extend(job.services.iter().map(unfit));
    if job.network.host_access {
        let finding = lacks("give the host the name `host.docker.internal`");
        findings.push(finding.help("run it with `--backend docker`"));
    }
    findings
}

/// Makes the job of the model that runs `job`. Its phases, in order:
///
/// 1. `job_bootstrap`, on [`HOST_BACKEND`]: a stage with one step for each command;
/// 2. the services, detached in a first stage on a network of their own with the job and waited for until they are ready, and the script
///    as one step;
/// 3. `after_script`, on the same backend and whatever became of the script; its failure does not count;
/// 4. `job_cleanup`, on [`HOST_BACKEND`] and whatever became of the rest.
///
/// What the model has no word for stays with `job` and is the caller's: caches, artifacts, retries, the time limits of commands on the host, `if`, `allow_failure`, `concurrency`, `parallel`.
///
/// Variables: `--env` over the job's over its `env_file`s over the pipeline's over the remote provider's; a secret counts as a variable of
/// its level and stays masked even when `--env` gives its value. A service gets its own variables and nothing else.
///
/// # Errors
/// A [`Report`] when a secret's value or an `env_file` cannot be had or the job does not fit the backend ([`Pipeline::check_for`]).
pub fn compile(pipeline: &Pipeline, job: &PipelineJob, context: &CompileContext<'_>) -> Result<Job, Report> {
    pipeline.check_jobs_for([job], context.target)?;
    let environment = Environment::of(pipeline, Some(job), context)?;
    let labels = labels(job, context);
    let phases = Phases {
        job,
        context,
        secrets: secrets(pipeline, &environment),
        steps: Steps { job, environment: &environment, labels: &labels },
    };
    let phases = [
        phases.on_the_host("job_bootstrap", job.bootstrap.as_ref(), false),
        Some(phases.script()),
        phases.after_script(),
        phases.on_the_host("job_cleanup", job.cleanup.as_ref(), true),
    ];
    let timeouts = Timeouts { total: job.timeout, silence: job.silence_timeout, ..Timeouts::default() };
    Ok(Job { name: job.name.clone(), phases: phases.into_iter().flatten().collect(), timeouts, labels })
}

/// The variables of `job` that are no secrets, all levels merged: what its condition and the keys of its caches may see.
///
/// # Errors
/// A [`Report`] when an `env_file` cannot be had.
pub fn visible_variables(
    pipeline: &Pipeline,
    job: &PipelineJob,
    context: &CompileContext<'_>,
) -> Result<BTreeMap<String, String>, Report> {
    environment::visible(pipeline, job, context)
}

fn labels(job: &PipelineJob, context: &CompileContext<'_>) -> BTreeMap<String, String> {
    BTreeMap::from([
        (labels::RUN.to_owned(), context.run.to_string()),
        (labels::STAGE.to_owned(), job.stage.clone()),
        (labels::JOB.to_owned(), job.name.clone()),
    ])
}

/// Makes one job's phases.
struct Phases<'a> {
    job: &'a PipelineJob,
    /// What is to be masked.
    secrets: Vec<Secret>,
    context: &'a CompileContext<'a>,
    steps: Steps<'a>,
}

impl Phases<'_> {
    fn script(&self) -> Phase {
        let uuid = (self.context.step_uuid)();
        let network = if self.job.services.is_empty() { String::new() } else { format!("jw_{uuid}_network") };
        let mut stages = Vec::new();
        let mut ready = BTreeMap::new();
        if !self.job.services.is_empty() {
            let mut steps = Vec::new();
            for service in &self.job.services {
                let uuid = (self.context.step_uuid)();
                ready.insert(uuid.clone(), readiness(service));
                steps.push(self.steps.service(service, uuid, &network));
            }
            stages.push(Stage { steps });
        }
        let script = self.steps.script(uuid.clone(), &network, self.context.target);
        stages.push(Stage { steps: vec![script] });
        Phase { ready, ..self.phase(self.context.target.backend, &uuid, network, stages, false) }
    }

    fn after_script(&self) -> Option<Phase> {
        if self.job.after_script.is_empty() {
            return None;
        }
        let uuid = (self.context.step_uuid)();
        let step = self.steps.after_script(uuid.clone(), self.context.target);
        let stages = vec![Stage { steps: vec![step] }];
        Some(self.phase(self.context.target.backend, &uuid, String::new(), stages, true))
    }

    fn on_the_host(&self, name: &str, commands: Option<&HostCommands>, always: bool) -> Option<Phase> {
        let commands = commands?;
        let step = |(at, command): (usize, &String)| -> Step {
            self.steps.on_the_host(format!("{name} {}", at + 1), (self.context.step_uuid)(), command)
        };
        let steps: Vec<Step> = commands.run.iter().enumerate().map(step).collect();
        let first = steps.first()?.uuid.clone();
        let stages = steps.into_iter().map(|step| Stage { steps: vec![step] }).collect();
        Some(self.phase(HOST_BACKEND, &first, String::new(), stages, always))
    }

    /// A phase whose names begin with the identity of one of its steps.
    fn phase(
        &self,
        backend: &str,
        uuid: &StepUuid,
        network: String,
        stages: Vec<Stage>,
        always: bool,
    ) -> Phase {
        let workflow = Workflow {
            stages,
            network,
            volume: if self.context.workspace { format!("jw_{uuid}_workspace") } else { String::new() },
            secrets: self.secrets.clone(),
        };
        Phase { backend: backend.to_owned(), workflow, always, ..Phase::default() }
    }
}

/// The secret part of an environment and what the remote provider was asked with.
fn secrets(pipeline: &Pipeline, environment: &Environment) -> Vec<Secret> {
    let own = environment.secrets.iter().map(|(name, value)| to_mask(name, value));
    own.chain(pipeline.access_token.clone()).collect()
}

fn readiness(service: &Service) -> Readiness {
    Readiness { command: service.ready.command.clone(), timeout: service.ready.timeout }
}
