//! The rules of a pipeline file. Every rule is applied to everything, so that a reader learns all that is wrong at once; what a
//! rule could not make sense of is left out of the model, and as there is then an error, nobody sees that model.

mod conditions;
mod expand;
mod extends;
mod failures;
mod fields;
mod files;
pub(crate) mod graph;
mod hooks;
mod job;
mod limits;
mod matrix;
mod names;
mod needs;
mod quantities;
mod remote;
mod service;
mod stages;
mod values;
mod variables;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub(crate) use files::check_glob;
pub use names::{InvalidVariableName, check_variable_name};
pub(crate) use needs::NeedsGraph;
pub(crate) use values::{describe, describe_kind};

use crate::check::conditions::Conditions;
use crate::check::expand::Expansion;
use crate::check::extends::Resolved;
use crate::check::fields::Fields;
use crate::check::limits::Groups;
use crate::check::stages::Stages;
use crate::finding::{Finding, Report};
use crate::findings::Findings;
use crate::include::{SMALLEST, Whole};
use crate::job::{HostCommands, PipelineJob};
use crate::keys::PIPELINE_KEYS;
use crate::pipeline::Pipeline;
use crate::remote::RemoteProvider;
use crate::source::{Sources, Span};

/// The checked pipeline of `whole`, about whose reading there may be findings already.
///
/// # Errors
/// A [`Report`] of everything found, warnings too, when an error is among it.
pub(crate) fn check(whole: Whole, mut findings: Findings) -> Result<Pipeline, Report> {
    let Whole { sources, own, jobs, start, complete, readable } = whole;
    let draft = if readable {
        let fields = Fields::read(&own, PIPELINE_KEYS, &mut findings);
        let jobs = extends::resolve(jobs, &sources, complete, &mut findings);
        Checker { start, complete, findings: &mut findings }.file(&fields, &jobs)
    } else {
        Draft::default()
    };
    finish(sources, draft, findings)
}

#[derive(Default)]
struct Draft {
    stages: Vec<String>,
    shared: variables::Environment,
    jobs: Vec<PipelineJob>,
    bootstrap: Option<HostCommands>,
    cleanup: Option<HostCommands>,
    remote_provider: Option<RemoteProvider>,
}

fn finish(mut sources: Sources, draft: Draft, findings: Findings) -> Result<Pipeline, Report> {
    let (findings, hidden) = findings.into_parts();
    hidden.into_iter().for_each(|span| sources.hide(span));
    let report = Report::new(Arc::new(sources), findings);
    if report.has_errors() {
        return Err(report);
    }
    let (sources, warnings) = report.into_parts();
    let Draft { stages, shared, jobs, bootstrap, cleanup, remote_provider } = draft;
    Ok(Pipeline {
        stages,
        variables: shared.variables,
        secrets: shared.secrets,
        jobs,
        bootstrap,
        cleanup,
        remote_provider,
        remote_variables: BTreeMap::new(),
        access_token: None,
        sources,
        warnings,
    })
}

/// What the rules for one file need beside its keys.
struct Checker<'a> {
    start: Span,
    complete: bool,
    findings: &'a mut Findings,
}

impl Checker<'_> {
    fn file(self, fields: &Fields<'_>, jobs: &[Resolved]) -> Draft {
        let stages = Stages::read(fields, jobs, self.start, self.complete, self.findings);
        let shared = variables::Environment::read(fields, self.findings);
        let (bootstrap, cleanup) = hooks::read_pair(fields, "bootstrap", "cleanup", self.findings);
        let remote = fields.get("remote_provider").and_then(|field| remote::read(field, self.findings));
        let jobs = self.all_jobs(jobs, &stages);
        Draft { stages: stages.names, shared, jobs, bootstrap, cleanup, remote_provider: remote }
    }

    /// Templates (`.name`) are dropped: they only hold what jobs take from them.
    fn all_jobs(self, jobs: &[Resolved], stages: &Stages) -> Vec<PipelineJob> {
        let jobs: Vec<&Resolved> = jobs.iter().filter(|job| !job.entry.key.starts_with('.')).collect();
        if jobs.is_empty() && self.complete {
            self.findings.push(Finding::error(self.start, "the file has no jobs").help(SMALLEST));
        }
        let names: HashMap<&str, usize> =
            jobs.iter().enumerate().map(|(at, job)| (job.entry.key.as_str(), at)).collect();
        let mut graph = NeedsGraph::new(&names, &stages.names, self.complete);
        let mut conditions = Conditions::default();
        let mut groups = Groups::default();
        let mut expansion = Expansion::default();
        for job in &jobs {
            let read = job::read(job, stages, &mut conditions, self.findings);
            graph.add(&job.entry.key, read.stage, read.needs);
            let Some(job) = read.job else { continue };
            if let Some(concurrency) = &job.concurrency {
                groups.add(concurrency, job.span, self.findings);
            }
            expansion.add(job, read.matrix, self.findings);
        }
        graph.check(self.findings);
        expansion.finish(self.findings)
    }
}
