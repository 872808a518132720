//! The checked pipeline: what is left of a file when every rule has been applied. Not for the rules (`check`) or for what runs
//! (`compile`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::finding::{Finding, Report};
use crate::secrets::SecretSource;
use crate::source::{Source, Sources, Span};

/// A pipeline file's jobs and stages, checked: names are unique, every job's stage exists, `needs` has no cycle.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The stages, in order.
    pub stages: Vec<String>,
    /// Variables of every job; a job's own win.
    pub variables: BTreeMap<String, String>,
    /// Secrets of every job; a job's own win.
    pub secrets: BTreeMap<String, Secret>,
    /// The jobs, in the file's order; templates (`.name`) are not among them.
    pub jobs: Vec<PipelineJob>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) warnings: Vec<Finding>,
}

/// One job of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineJob {
    /// Its name, unique in the pipeline.
    pub name: String,
    /// The stage it belongs to; one of the pipeline's.
    pub stage: String,
    /// The image that its script runs in; a backend without images needs none.
    pub image: Option<String>,
    /// The commands, at least one; each runs isolated from the others' comments, `&` and here-documents.
    pub script: Vec<String>,
    /// Where the project's files lie and the commands run, an absolute path; [`crate::DEFAULT_WORKDIR`] when not given.
    pub workdir: Option<String>,
    /// Its own variables.
    pub variables: BTreeMap<String, String>,
    /// Its own secrets.
    pub secrets: BTreeMap<String, Secret>,
    /// The longest that the job may take in all; never zero.
    pub timeout: Option<Duration>,
    /// The jobs that must have passed before this one begins, none twice.
    pub needs: Vec<String>,
    /// What runs beside the script.
    pub services: Vec<Service>,
    /// Where the job's name is in the file.
    pub span: Span,
}

/// Something that runs in the background while a job's script runs, and is reached by its alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its image.
    pub image: String,
    /// The name under which the job reaches it: the given one, else the last part of the image's name without tag and digest.
    pub alias: String,
    /// Its whole environment; it does not get the job's.
    pub variables: BTreeMap<String, String>,
    /// Where it is in the file.
    pub span: Span,
}

/// A secret as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Where its value comes from.
    pub source: SecretSource,
    /// Where it is declared.
    pub span: Span,
}

impl Pipeline {
    /// The job of that name, looked for from the first one on: whoever asks for all of them keeps an index.
    #[must_use]
    pub fn job(&self, name: &str) -> Option<&PipelineJob> {
        self.jobs.iter().find(|job| job.name == name)
    }

    /// The file that the pipeline was read from.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.sources.first()
    }

    /// All files that it was read from, that one first, then what it includes.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What is doubtful in the file though it runs.
    #[must_use]
    pub fn warnings(&self) -> Report {
        Report::new(Arc::clone(&self.sources), self.warnings.clone())
    }

    /// Findings about this pipeline's file.
    pub(crate) fn report(&self, findings: Vec<Finding>) -> Report {
        Report::new(Arc::clone(&self.sources), findings)
    }
}
