//! The rules for one job (local-ci.md 1.3).

use crate::check::conditions::Conditions;
use crate::check::extends::Resolved;
use crate::check::fields::{Field, Fields};
use crate::check::matrix::{self, Matrix};
use crate::check::names::wrong_name;
use crate::check::quantities::{duration, flag};
use crate::check::stages::{Lookup, Stages};
use crate::check::values::{describe, name, one_or_more, scalar, text};
use crate::check::variables::Environment;
use crate::check::{failures, files, hooks, limits, service};
use crate::finding::Finding;
use crate::findings::Findings;
use crate::job::PipelineJob;
use crate::keys::{self, JOB_KEYS, PIPELINE_KEYS};
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Entry, Node, Value};

/// What could be made of a job: for the needs graph also what is left of one that is wrong elsewhere.
#[derive(Default)]
pub(super) struct Read {
    pub(super) job: Option<PipelineJob>,
    pub(super) matrix: Option<Matrix>,
    pub(super) stage: Option<usize>,
    pub(super) needs: Vec<(String, Span)>,
}

/// Reads one job.
pub(super) fn read(
    job: &Resolved,
    stages: &Stages,
    conditions: &mut Conditions,
    findings: &mut Findings,
) -> Read {
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
    let matrix = fields.get("matrix").and_then(|field| matrix::read(&entry.key, field, findings));
    let name = stage.and_then(|stage| stages.names.get(stage)).cloned();
    let read = body(job, &fields, conditions, findings);
    let job = name.map(|stage| PipelineJob {
        stage,
        needs: needs.iter().map(|(name, _)| name.clone()).collect(),
        ..read
    });
    Read { job, matrix, stage, needs }
}

/// All keys but for `stage`, `needs` and `matrix`.
fn body(
    job: &Resolved,
    fields: &Fields<'_>,
    conditions: &mut Conditions,
    findings: &mut Findings,
) -> PipelineJob {
    let base = &job.entry.key;
    let script = script(job, fields, findings);
    let after_script = fields.get("after_script").map(|field| list_of_commands(field, findings));
    let environment = Environment::read(fields, findings);
    let services = service::read_all(fields.get("services"), findings);
    let network = fields.get("network").and_then(|field| limits::network(field, findings));
    service::check_network(&services, network.unwrap_or_default(), findings);
    let (bootstrap, cleanup) = hooks::read_pair(fields, "job_bootstrap", "job_cleanup", findings);
    PipelineJob {
        name: base.clone(),
        variant: None,
        stage: String::new(),
        image: fields.get("image").and_then(|field| service::image_of(field, findings)),
        script,
        after_script: after_script.unwrap_or_default(),
        workdir: fields.get("workdir").and_then(|field| workdir(field, findings)),
        variables: environment.variables,
        secrets: environment.secrets,
        env_files: files::env_files(fields.get("env_file"), findings),
        timeout: fields.get("timeout").and_then(|field| duration(field, findings)),
        silence_timeout: fields.get("silence_timeout").and_then(|field| duration(field, findings)),
        needs: Vec::new(),
        services,
        caches: files::caches(fields.get("cache"), findings),
        artifacts: files::artifacts(fields.get("artifacts"), findings),
        bootstrap,
        cleanup,
        detached: fields.get("parallel").and_then(|field| flag(field, findings)).unwrap_or_default(),
        network: network.unwrap_or_default(),
        retry: fields.get("retry").and_then(|field| failures::retry(field, findings)).unwrap_or_default(),
        allow_failure: fields
            .get("allow_failure")
            .and_then(|field| failures::allow_failure(field, findings))
            .unwrap_or_default(),
        condition: fields.get("if").and_then(|field| conditions.read(field, findings)),
        resources: fields
            .get("resources")
            .and_then(|field| limits::resources(field, findings))
            .unwrap_or_default(),
        concurrency: fields.get("concurrency").and_then(|field| limits::concurrency(field, base, findings)),
        backend: fields.get("backend").and_then(|field| backend(field, findings)),
        span: job.entry.key_span,
    }
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
    commands(field, findings)
}

/// At least one command.
pub(super) fn commands(field: &Field<'_>, findings: &mut Findings) -> Vec<String> {
    if matches!(field.value.value(), Value::Sequence(items) if items.is_empty()) {
        let message = format!("`{}` must have at least one command, found an empty list", field.key.name);
        findings.push(Finding::error(field.place(), message));
    }
    list_of_commands(field, findings)
}

fn list_of_commands(field: &Field<'_>, findings: &mut Findings) -> Vec<String> {
    one_or_more(field, findings).iter().filter_map(|item| command(item, findings)).collect()
}

fn backend(field: &Field<'_>, findings: &mut Findings) -> Option<String> {
    name(field.value, || Finding { span: field.place(), ..field.wrong() }, findings).map(str::to_owned)
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
