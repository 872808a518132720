//! From a checked job to a job of the model: one workflow on one backend. Not for running it, nor for choosing the backend.

use std::collections::BTreeMap;

use jobwright_model::{Conn, Job, Phase, RunId, Stage, Step, StepType, StepUuid, Timeouts, Workflow};

use crate::finding::{Finding, Report};
use crate::job::{PipelineJob, Service};
use crate::pipeline::{Pipeline, Secret};
use crate::secrets::{ResolveSecret, SecretError, SecretSource, to_mask};

/// Where a job's files lie and its commands run when it says nothing. local-ci's default is `/`, where no engine can mount a
/// volume; a script finds the project relative to its working directory either way.
pub const DEFAULT_WORKDIR: &str = "/workspace";

/// The label of the run.
pub const RUN_LABEL: &str = "dev.jobwright.run";
/// The label of the stage.
pub const STAGE_LABEL: &str = "dev.jobwright.stage";
/// The label of the job.
pub const JOB_LABEL: &str = "dev.jobwright.job";

/// What a host shell is called where a backend without images is asked to run a script.
const HOST_SHELL: &str = "sh";
/// Images that are also names of host shells: a job that asks for one of them gets it on a backend without images too.
const HOST_SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "ksh", "ash"];

/// The backend that a job is compiled for, as far as the file's rules depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The backend's name.
    pub backend: &'a str,
    /// Whether its steps run in images (`Capabilities::images`).
    pub images: bool,
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
    /// Checks what depends on the backend: on one with images every job needs an image; on one without, no job can have services.
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
    if target.images {
        return Vec::new();
    }
    let unfit = |service: &Service| {
        let alias = &service.alias;
        Finding::error(service.span, format!("the backend `{backend}` cannot run the service `{alias}`"))
            .help("services come from images; run it with `--backend docker`")
    };
    job.services.iter().map(unfit).collect()
}

/// Makes the job of the model that runs `job`: one phase, a workflow whose first stage holds the services (detached, on a network
/// of their own with the job) when there are any, and whose last stage is the script as one step.
///
/// Variables: `--env` over the job's over the pipeline's; a secret counts as a variable of its level and stays masked even when `--env`
/// gives its value. A service gets its own variables and nothing else.
///
/// # Errors
/// A [`Report`] when a secret's value cannot be had or the job does not fit the backend ([`Pipeline::check_for`]).
pub fn compile(pipeline: &Pipeline, job: &PipelineJob, context: &CompileContext<'_>) -> Result<Job, Report> {
    pipeline.check_jobs_for([job], context.target)?;
    let environment = Environment::of(pipeline, job, context)?;
    let script = (context.step_uuid)();
    let network = if job.services.is_empty() { String::new() } else { format!("jw_{script}_network") };
    let volume = if context.workspace { format!("jw_{script}_workspace") } else { String::new() };
    let labels = labels(job, context);

    let mut stages = Vec::new();
    if !job.services.is_empty() {
        let steps = job.services.iter().map(|service| service_step(service, &network, &labels, context));
        stages.push(Stage { steps: steps.collect() });
    }
    let secrets = environment.secrets.iter().map(|(name, value)| to_mask(name, value)).collect();
    stages.push(Stage {
        steps: vec![script_step(job, script, environment, &network, &labels, context.target)],
    });

    let workflow = Workflow { stages, network, volume, secrets };
    Ok(Job {
        name: job.name.clone(),
        phases: vec![Phase { backend: context.target.backend.to_owned(), workflow, always: false }],
        timeouts: Timeouts { total: job.timeout, ..Timeouts::default() },
        labels,
    })
}

/// A job's environment and the secret part of it.
struct Environment {
    all: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
}

impl Environment {
    fn of(pipeline: &Pipeline, job: &PipelineJob, context: &CompileContext<'_>) -> Result<Self, Report> {
        let mut all = BTreeMap::new();
        let mut declared: BTreeMap<&str, &Secret> = BTreeMap::new();
        for (variables, secrets) in [(&pipeline.variables, &pipeline.secrets), (&job.variables, &job.secrets)]
        {
            for (name, value) in variables {
                declared.remove(name.as_str());
                all.insert(name.clone(), value.clone());
            }
            declared.extend(secrets.iter().map(|(name, secret)| (name.as_str(), secret)));
        }
        let secrets = resolve(pipeline, &declared, context)?;
        all.extend(secrets.clone());
        all.extend(context.environment.clone());
        Ok(Self { all, secrets })
    }
}

/// The values of the declared secrets; one that `--env` gives is not asked for elsewhere.
fn resolve(
    pipeline: &Pipeline,
    declared: &BTreeMap<&str, &Secret>,
    context: &CompileContext<'_>,
) -> Result<BTreeMap<String, String>, Report> {
    let mut values = BTreeMap::new();
    let mut findings = Vec::new();
    for (name, secret) in declared {
        let given = context.environment.get(*name).cloned().map(Ok);
        match given.unwrap_or_else(|| context.secrets.resolve(&secret.source)) {
            Ok(value) => {
                values.insert((*name).to_owned(), value);
            }
            Err(error) => findings.push(missing(name, secret, &error)),
        }
    }
    if findings.is_empty() { Ok(values) } else { Err(pipeline.report(findings)) }
}

/// The help does not speak of `--env`, although it would do: what is on a command line, everyone on the host can read.
fn missing(name: &str, secret: &Secret, error: &SecretError) -> Finding {
    let help = match &secret.source {
        SecretSource::Env(variable) => format!("set `{variable}` where jobwright is started"),
        SecretSource::File(_) => "put the file there; a relative path counts from the project".to_owned(),
    };
    Finding::error(secret.span, format!("no value for the secret `{name}`: {error}")).help(help)
}

fn labels(job: &PipelineJob, context: &CompileContext<'_>) -> BTreeMap<String, String> {
    BTreeMap::from([
        (RUN_LABEL.to_owned(), context.run.to_string()),
        (STAGE_LABEL.to_owned(), job.stage.clone()),
        (JOB_LABEL.to_owned(), job.name.clone()),
    ])
}

fn service_step(
    service: &Service,
    network: &str,
    labels: &BTreeMap<String, String>,
    context: &CompileContext<'_>,
) -> Step {
    let mut step = Step::new(&service.alias, (context.step_uuid)());
    step.kind = StepType::Service;
    step.detached = true;
    step.image.clone_from(&service.image);
    step.environment.clone_from(&service.variables);
    step.networks = vec![Conn { name: network.to_owned(), aliases: vec![service.alias.clone()] }];
    step.workflow_labels.clone_from(labels);
    step
}

fn script_step(
    job: &PipelineJob,
    uuid: StepUuid,
    environment: Environment,
    network: &str,
    labels: &BTreeMap<String, String>,
    target: Target<'_>,
) -> Step {
    let workdir = job.workdir.as_deref().unwrap_or(DEFAULT_WORKDIR);
    let mut step = Step::new(&job.name, uuid);
    step.kind = StepType::Commands;
    step.image = image(job, target);
    step.commands.clone_from(&job.script);
    step.working_dir = workdir.to_owned();
    step.workspace_base = workdir.to_owned();
    step.environment = environment.all;
    step.secret_mapping = environment.secrets;
    if !network.is_empty() {
        step.networks = vec![Conn { name: network.to_owned(), aliases: Vec::new() }];
    }
    step.workflow_labels.clone_from(labels);
    step
}

/// On a backend without images the field names the shell.
fn image(job: &PipelineJob, target: Target<'_>) -> String {
    let given = job.image.as_deref().unwrap_or_default();
    if target.images || HOST_SHELLS.contains(&given) { given.to_owned() } else { HOST_SHELL.to_owned() }
}
