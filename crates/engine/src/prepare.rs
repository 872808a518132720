//! The first of a run's two steps: find and check the file, select the jobs. Nothing runs yet.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobwright_events::RunMode;
use jobwright_model::Cause;
use jobwright_pipeline::{LoadError, Pipeline, PipelineJob};
use jobwright_runtime::Scope;
use serde::{Deserialize, Serialize};

use crate::git::{self, CloneError, Head};
use crate::job::PreparedJob;
use crate::select::select;
use crate::spec::Spec;

/// What a run is about to do.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The checked file.
    pub pipeline: Arc<Pipeline>,
    /// The jobs to run and how.
    pub plan: RunPlan,
}

impl Prepared {
    /// The selected jobs as the file has them, in the plan's order.
    #[must_use]
    pub fn selected(&self) -> Vec<&PipelineJob> {
        let jobs = self.pipeline.jobs.iter();
        let index: HashMap<&str, &PipelineJob> = jobs.map(|job| (job.name.as_str(), job)).collect();
        self.plan.jobs.iter().filter_map(|job| index.get(&*job.name).copied()).collect()
    }

    /// Those of them that are to run.
    pub(crate) fn due(&self) -> Vec<&PipelineJob> {
        let with_plan = self.selected().into_iter().zip(&self.plan.jobs);
        with_plan.filter(|(_, planned)| planned.unmet.is_none()).map(|(job, _)| job).collect()
    }
}

/// The jobs of a run and how to go through them, whatever they were made from.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RunPlan {
    /// The file, absolute.
    pub config_path: PathBuf,
    /// The project's directory, absolute.
    pub project: PathBuf,
    /// The commit that is checked out; empty outside a repository.
    pub commit: String,
    /// The branch; `HEAD` when detached.
    pub branch: String,
    /// How to go through the jobs, unless one has needs.
    pub mode: RunMode,
    /// All stages, in order.
    pub stages: Vec<String>,
    /// The selected jobs: by stage and then in the file's order, or in the file's order when jobs or stages were named.
    pub jobs: Vec<PreparedJob>,
}

/// Why a run cannot be prepared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// There is no pipeline file.
    #[error("no pipeline file in {}: write a .jobwright.yaml, or name one with -c", .0.display())]
    NoConfig(PathBuf),
    /// There are several, and none is the usual one.
    #[error("several pipeline files in {}: name one with -c ({})", .directory.display(), .found.join(", "))]
    ManyConfigs {
        /// Where.
        directory: PathBuf,
        /// Their names.
        found: Vec<String>,
    },
    /// The project's directory cannot be used.
    #[error("project directory {}: {source}", .path.display())]
    Project {
        /// The directory.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The file cannot be read or breaks rules.
    #[error("{0}")]
    Config(Box<LoadError>),
    /// A job that was asked for is not in the file.
    #[error("there is no job {name:?} in {}{}; its jobs are: {}", .config.display(), suggestion(name, known), .known.join(", "))]
    UnknownJob {
        /// What was asked for.
        name: String,
        /// The file.
        config: PathBuf,
        /// The jobs that there are.
        known: Vec<String>,
    },
    /// One job was asked for, by the name of a job with a matrix.
    #[error("job {job:?} has a matrix; name the variant that you mean: {}", .variants.join(", "))]
    SeveralVariants {
        /// The job.
        job: String,
        /// The names of its variants.
        variants: Vec<String>,
    },
    /// A stage that was asked for is not in the file.
    #[error("Requested stage {name:?} is not present in config file: {:?}; its stages are: {}", .config.display().to_string(), .known.join(", "))]
    UnknownStage {
        /// What was asked for.
        name: String,
        /// The file.
        config: PathBuf,
        /// The stages that there are.
        known: Vec<String>,
    },
    /// No job is left.
    #[error("Job list is empty, nothing to run: no job of {} was selected", .0.display())]
    NothingSelected(PathBuf),
    /// The remote repository could not be fetched.
    #[error(transparent)]
    Clone(#[from] CloneError),
    /// It was cancelled meanwhile.
    #[error("the run was cancelled before it began")]
    Cancelled(Cause),
}

fn suggestion(name: &str, known: &[String]) -> String {
    let near = jobwright_pipeline::nearest(name, known.iter().map(String::as_str));
    near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}

impl PrepareError {
    /// The cause of the run's ending.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Cancelled(cause) => cause.clone(),
            Self::Clone(_) | Self::Project { .. } => Cause::Workspace,
            _ => Cause::StartFailure,
        }
    }
}

/// Finds and checks the file and selects the jobs that `spec` asks for. A remote repository is cloned to `clone_to`, which must not
/// exist.
///
/// # Errors
/// [`PrepareError`]; nothing was done then that has to be undone.
pub async fn prepare(spec: &Spec, clone_to: &Path, scope: &Scope) -> Result<Prepared, PrepareError> {
    tokio::select! {
        biased;
        cause = scope.cancelled() => Err(PrepareError::Cancelled(cause)),
        prepared = prepare_whole(spec, clone_to) => prepared,
    }
}

async fn prepare_whole(spec: &Spec, clone_to: &Path) -> Result<Prepared, PrepareError> {
    let project = match &spec.remote {
        Some(url) => {
            git::clone(url, clone_to).await?;
            clone_to.to_owned()
        }
        None => spec.project.clone(),
    };
    let project =
        std::fs::canonicalize(&project).map_err(|source| PrepareError::Project { path: project, source })?;
    let config_path = match (&spec.config_file, &spec.remote) {
        (Some(file), Some(_)) => project.join(file),
        (Some(file), None) => std::path::absolute(file)
            .map_err(|source| PrepareError::Project { path: file.clone(), source })?,
        (None, _) => find_config(&project)?,
    };
    let pipeline = Pipeline::load(&config_path).map_err(|error| PrepareError::Config(Box::new(error)))?;
    let jobs = select(&pipeline, spec, &config_path)?;
    let Head { commit, branch } = git::head(&project).await;
    let stages = pipeline.stages.clone();
    let plan = RunPlan { config_path, project, commit, branch, mode: spec.mode, stages, jobs };
    Ok(Prepared { pipeline: Arc::new(pipeline), plan })
}

/// The pipeline file of the directory `project`: the usual name wins; otherwise there must be exactly one.
///
/// # Errors
/// [`PrepareError::NoConfig`], [`PrepareError::ManyConfigs`], [`PrepareError::Project`].
pub fn find_config(project: &Path) -> Result<PathBuf, PrepareError> {
    let found = jobwright_pipeline::discover(project)
        .map_err(|source| PrepareError::Project { path: project.to_owned(), source })?;
    match found.as_slice() {
        [] => Err(PrepareError::NoConfig(project.to_owned())),
        [only] => Ok(project.join(only)),
        [first, ..] if is_usual(first) => Ok(project.join(first)),
        several => Err(PrepareError::ManyConfigs {
            directory: project.to_owned(),
            found: several.iter().map(|path| path.display().to_string()).collect(),
        }),
    }
}

/// Whether a file has one of the names that are taken without asking.
fn is_usual(file: &Path) -> bool {
    let usual = [".jobwright.yaml", ".jobwright.yml", ".local-ci.yaml", ".local-ci.yml"];
    usual.iter().any(|name| file.ends_with(name))
}
