//! The rules of a pipeline file. Every rule is applied to everything, so that a reader learns all that is wrong at once; what a
//! rule could not make sense of is left out of the model, and as there is then an error, nobody sees that model.

mod fields;
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

use crate::check::fields::Fields;
use crate::check::needs::NeedsGraph;
use crate::check::stages::Stages;
use crate::finding::{Finding, Report};
use crate::findings::Findings;
use crate::keys::{self, PIPELINE_KEYS};
use crate::pipeline::{Pipeline, PipelineJob};
use crate::source::{Source, Span};
use crate::yaml::{self, Entry, Node, Value};

/// The checked pipeline in `source`.
///
/// # Errors
/// A [`Report`] of everything found, warnings too, when an error is among it.
pub(crate) fn check(source: Source) -> Result<Pipeline, Report> {
    let mut findings = Findings::default();
    let root = yaml::parse(&source, &mut findings);
    let draft = match root {
        Some(root) => file(&root, &source, &mut findings),
        None => {
            if findings.is_empty() {
                findings.push(empty_file());
            }
            Draft::default()
        }
    };
    finish(source, draft, findings)
}

#[derive(Default)]
struct Draft {
    stages: Vec<String>,
    shared: variables::Environment,
    jobs: Vec<PipelineJob>,
}

fn finish(mut source: Source, draft: Draft, findings: Findings) -> Result<Pipeline, Report> {
    let (findings, hidden) = findings.into_parts();
    hidden.into_iter().for_each(|span| source.hide(span));
    let report = Report::new(Arc::new(source), findings);
    if report.has_errors() {
        return Err(report);
    }
    let (source, warnings) = report.into_parts();
    let Draft { stages, shared, jobs } = draft;
    Ok(Pipeline { stages, variables: shared.variables, secrets: shared.secrets, jobs, source, warnings })
}

fn empty_file() -> Finding {
    Finding::error(Span::default(), "the file is empty").help(SMALLEST)
}

const SMALLEST: &str = "a pipeline needs at least `stages: [test]` and a job with a `stage` and a `script`";

fn file(root: &Node, source: &Source, findings: &mut Findings) -> Draft {
    let entries = match root.value() {
        Value::Mapping(entries) => entries,
        Value::Scalar(scalar) if scalar.is_null() => {
            findings.push(empty_file());
            return Draft::default();
        }
        _ => {
            let message =
                format!("a pipeline file must be a mapping of keys, found {}", values::describe(root));
            findings.push(Finding::error(root.span, message).help(SMALLEST));
            return Draft::default();
        }
    };
    let (own, jobs): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| keys::find(PIPELINE_KEYS, &entry.key).is_some());
    let fields = Fields::read(own, PIPELINE_KEYS, findings);
    let stages = Stages::read(&fields, &jobs, source, findings);
    let shared = variables::Environment::read(&fields, findings);
    let jobs = all_jobs(&jobs, &stages, root, findings);
    Draft { stages: stages.names, shared, jobs }
}

/// Templates (`.name`) are dropped: in this version they only hold what anchors and merges take from them.
fn all_jobs(entries: &[&Entry], stages: &Stages, root: &Node, findings: &mut Findings) -> Vec<PipelineJob> {
    let entries: Vec<&Entry> = entries.iter().copied().filter(|entry| !entry.key.starts_with('.')).collect();
    if entries.is_empty() {
        let place = Span::new(root.span.start, root.span.start);
        findings.push(Finding::error(place, "the file has no jobs").help(SMALLEST));
    }
    let names: HashMap<&str, usize> =
        entries.iter().enumerate().map(|(at, entry)| (entry.key.as_str(), at)).collect();
    let mut graph = NeedsGraph::new(&names, stages);
    let mut jobs = Vec::new();
    for entry in &entries {
        let read = job::read(entry, stages, findings);
        graph.add(&entry.key, entry.key_span, read.stage, read.needs);
        jobs.extend(read.job);
    }
    graph.check(findings);
    jobs
}
