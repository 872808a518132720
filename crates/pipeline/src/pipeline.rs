//! The checked pipeline: what is left of a file when every rule has been applied. Not for the rules (`check`) or for what runs
//! (`compile`).

use std::collections::BTreeMap;
use std::sync::Arc;

use jobwright_model::Secret as Masked;

use crate::finding::{Finding, Report};
use crate::job::{HostCommands, PipelineJob};
use crate::remote::{RemoteProvider, RemoteVariable};
use crate::secrets::{ResolveSecret, SecretSource};
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
    /// The jobs, in the file's order; templates (`.name`) are not among them, and every job with a matrix is there as its variants.
    pub jobs: Vec<PipelineJob>,
    /// Commands on the host before the first job.
    pub bootstrap: Option<HostCommands>,
    /// Commands on the host after the last job; never without `bootstrap`.
    pub cleanup: Option<HostCommands>,
    /// Where further variables of every job come from; the file's own win.
    pub remote_provider: Option<RemoteProvider>,
    /// What it gave: empty until whoever runs the pipeline has asked it.
    pub remote_variables: BTreeMap<String, RemoteVariable>,
    /// What it was asked with, to be masked in every job.
    pub access_token: Option<Masked>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) warnings: Vec<Finding>,
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

    /// The jobs that a person means by `name`: the job that is called so, or all variants of the job with a matrix that was.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &PipelineJob> {
        self.jobs.iter().filter(move |job| job.name == name || job.base() == name)
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

    /// The token to ask the remote provider with; none without a provider.
    ///
    /// # Errors
    /// A [`Report`] when it has no value, or an empty one.
    pub fn token_for_provider(&self, secrets: &dyn ResolveSecret) -> Result<Option<String>, Report> {
        let Some(provider) = &self.remote_provider else { return Ok(None) };
        let missing = |why: String| {
            let finding = Finding::error(provider.span, format!("no value for the access token: {why}"));
            self.report(vec![finding.help(provider.access_token.help())])
        };
        match provider.access_token.resolve(secrets) {
            Ok(token) if token.is_empty() => Err(missing("it is empty".to_owned())),
            Ok(token) => Ok(Some(token)),
            Err(error) => Err(missing(error.to_string())),
        }
    }

    /// Findings about this pipeline's file.
    pub(crate) fn report(&self, findings: Vec<Finding>) -> Report {
        Report::new(Arc::clone(&self.sources), findings)
    }
}
