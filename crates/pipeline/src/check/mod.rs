//! The rules of a pipeline file. Every rule is applied to everything, so that a reader learns all that is wrong at once; what a
//! rule could not make sense of is left out of the model, and as there is then an error, nobody sees that model.

mod extends;
mod fields;
mod graph;
mod job;
mod names;
mod needs;
mod service;
mod stages;
mod values;
mod variables;

use std::collections::HashMap;
use std::sync::Arc;

pub use names::{InvalidVariableName, check_variable_name};
pub(crate) use values::{describe, describe_kind};

use crate::check::extends::Resolved;
use crate::check::fields::Fields;
use crate::check::needs::NeedsGraph;
use crate::check::stages::Stages;
use crate::finding::{Finding, Report};
use crate::findings::Findings;
use crate::include::{SMALLEST, Whole};
use crate::keys::PIPELINE_KEYS;
use crate::pipeline::{Pipeline, PipelineJob};
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
}

fn finish(mut sources: Sources, draft: Draft, findings: Findings) -> Result<Pipeline, Report> {
    let (findings, hidden) = findings.into_parts();
    hidden.into_iter().for_each(|span| sources.hide(span));
    let report = Report::new(Arc::new(sources), findings);
    if report.has_errors() {
        return Err(report);
    }
    let (sources, warnings) = report.into_parts();
    let Draft { stages, shared, jobs } = draft;
    Ok(Pipeline { stages, variables: shared.variables, secrets: shared.secrets, jobs, sources, warnings })
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
        let jobs = self.all_jobs(jobs, &stages);
        Draft { stages: stages.names, shared, jobs }
    }

    /// Templates (`.name`) are dropped: they only hold what jobs take from them.
    fn all_jobs(self, jobs: &[Resolved], stages: &Stages) -> Vec<PipelineJob> {
        let jobs: Vec<&Resolved> = jobs.iter().filter(|job| !job.entry.key.starts_with('.')).collect();
        if jobs.is_empty() && self.complete {
            self.findings.push(Finding::error(self.start, "the file has no jobs").help(SMALLEST));
        }
        let names: HashMap<&str, usize> =
            jobs.iter().enumerate().map(|(at, job)| (job.entry.key.as_str(), at)).collect();
        let mut graph = NeedsGraph::new(&names, stages, self.complete);
        let mut all = Vec::new();
        for job in &jobs {
            let read = job::read(job, stages, self.findings);
            graph.add(&job.entry.key, read.stage, read.needs);
            all.extend(read.job);
        }
        graph.check(self.findings);
        all
    }
}
