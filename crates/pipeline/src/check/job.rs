//! The rules for one job (local-ci.md 1.3).

use std::time::Duration;

use jobwright_model::parse_duration;

use crate::check::extends::Resolved;
use crate::check::fields::{Field, Fields};
use crate::check::names::wrong_name;
use crate::check::service;
use crate::check::stages::{Lookup, Stages};
use crate::check::values::{describe, name, one_or_more, scalar, text};
use crate::check::variables::Environment;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::keys::{self, JOB_KEYS, PIPELINE_KEYS};
use crate::pipeline::PipelineJob;
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Entry, Node, Value};

/// What could be made of a job: for the needs graph also what is left of one that is wrong elsewhere.
#[derive(Default)]
pub(super) struct Read {
    pub(super) job: Option<PipelineJob>,
    pub(super) stage: Option<usize>,
    pub(super) needs: Vec<(String, Span)>,
}

/// Reads one job.
pub(super) fn read(job: &Resolved, stages: &Stages, findings: &mut Findings) -> Read {
    let entry = &job.entry;
    if let Some(why) = wrong_name(&entry.key) {
        findings.push(Finding::error(entry.key_span, format!("the name of this job {why}")));
    }
    let Value::Mapping(entries) = entry.value.value() else {
        findings.push(not_a_job(entry));
        return Read::default();
    };
    let fields = Fields::read(entries, JOB_KEYS, findings);
    let stage = stage(job, &fields, stages, findings);
    let needs = needs(fields.get("needs"), findings);
    let script = script(job, &fields, findings);
    let environment = Environment::read(&fields, findings);
    let image = fields.get("image").and_then(|field| service::image_of(field, findings));
    let workdir = fields.get("workdir").and_then(|field| workdir(field, findings));
    let timeout = fields.get("timeout").and_then(|field| timeout(field, findings));
    let services = service::read_all(fields.get("services"), findings);
    let job = stage.and_then(|stage| stages.names.get(stage)).map(|stage| PipelineJob {
        name: entry.key.clone(),
        stage: stage.clone(),
        image,
        script,
        workdir,
        variables: environment.variables,
        secrets: environment.secrets,
        timeout,
        needs: needs.iter().map(|(name, _)| name.clone()).collect(),
        services,
        span: entry.key_span,
    });
    Read { job, stage, needs }
}

/// Whatever is not one of the file's own keys is taken for a job; what does not look like one may be a misspelt key.
fn not_a_job(entry: &Entry) -> Finding {
    let message = format!(
        "`{}` must be a job (a mapping with `stage` and `script`), found {}",
        shown(&entry.key),
        describe(&entry.value)
    );
    let nearest = keys::nearest(&entry.key, PIPELINE_KEYS.iter().map(|key| key.name));
    Finding::error(entry.key_span, message).maybe_help(nearest.map(|name| format!("did you mean `{name}`?")))
}

impl Findings {
    /// A key that every job needs is missing, unless the job may have been meant to inherit it.
    fn push_missing(&mut self, job: &Resolved, key: &str, help: String) {
        if !job.incomplete {
            let message = format!("the job `{}` has no `{key}`", shown(&job.entry.key));
            self.push(Finding::error(job.entry.key_span, message).help(help));
        }
    }
}

fn stage(job: &Resolved, fields: &Fields<'_>, stages: &Stages, findings: &mut Findings) -> Option<usize> {
    let known = || shown(&stages.names.join(", "));
    let Some(field) = fields.get("stage") else {
        findings.push_missing(job, "stage", format!("add `stage:` with one of: {}", known()));
        return None;
    };
    let name = name(field.value, || Finding { span: field.place(), ..field.wrong() }, findings)?;
    match stages.find(name) {
        Lookup::Found(stage) => Some(stage),
        Lookup::Unclear => None,
        Lookup::Unknown => {
            let help = findings.suggest(name, stages.names.iter().map(String::as_str), stages.names.len());
            let help = help.unwrap_or_else(|| format!("the stages are: {}", known()));
            findings.push(
                Finding::error(field.value.span, format!("there is no stage `{}`", shown(name))).help(help),
            );
            None
        }
    }
}

fn script(job: &Resolved, fields: &Fields<'_>, findings: &mut Findings) -> Vec<String> {
    let Some(field) = fields.get("script") else {
        findings.push_missing(job, "script", "add `script:` with a list of commands".to_owned());
        return Vec::new();
    };
    let items = one_or_more(field, findings);
    if items.is_empty() && matches!(field.value.value(), Value::Sequence(_)) {
        findings.push(Finding::error(
            field.place(),
            "`script` must have at least one command, found an empty list",
        ));
    }
    items.iter().filter_map(|item| command(item, findings)).collect()
}

fn command(item: &Node, findings: &mut Findings) -> Option<String> {
    if let Some(scalar) = scalar(item).filter(|scalar| !scalar.text.trim().is_empty()) {
        return Some(scalar.text.clone());
    }
    let finding = Finding::error(item.span, format!("a command must be a text, found {}", describe(item)));
    findings.push(match item.value() {
        Value::Mapping(_) => finding.help("quote a command that contains `: `, as in `'echo \"a: b\"'`"),
        Value::Sequence(_) => {
            finding.help("write the commands one below the other, without a list inside of the list")
        }
        Value::Scalar(_) => finding,
    });
    None
}

/// An absolute path without `..`. `/` is what local-ci means by no path at all; no engine can mount a workspace there.
fn workdir(field: &Field<'_>, findings: &mut Findings) -> Option<String> {
    let path = text(field, findings)?;
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") || path.contains(char::is_control) {
        findings.push(field.wrong().help("begin it with `/`, without `..`"));
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() {
        let message = format!("the workspace cannot lie at `/`; `{}` is used", crate::DEFAULT_WORKDIR);
        findings.push(Finding::warning(field.place(), message).help("leave `workdir` out"));
        return None;
    }
    Some(format!("/{}", parts.join("/")))
}

/// `0` means no limit.
fn timeout(field: &Field<'_>, findings: &mut Findings) -> Option<Duration> {
    match scalar(field.value).map(|scalar| parse_duration(&scalar.text)) {
        Some(Ok(duration)) => (!duration.is_zero()).then_some(duration),
        _ => {
            findings.push(field.wrong());
            None
        }
    }
}

fn needs(field: Option<&Field<'_>>, findings: &mut Findings) -> Vec<(String, Span)> {
    let Some(field) = field else { return Vec::new() };
    let mut needs: Vec<(String, Span)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for item in one_or_more(field, findings) {
        let wrong = || Finding::error(item.span, format!("`needs` must name jobs, found {}", describe(item)));
        let Some(name) = name(item, wrong, findings) else { continue };
        if seen.insert(name) {
            needs.push((name.to_owned(), item.span));
        } else {
            findings
                .push(Finding::warning(item.span, format!("`{}` is listed twice in `needs`", shown(name))));
        }
    }
    needs
}
