//! The rules for `variables` and `secrets`. No message quotes a value: what is no secret by the file's word may still be one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::check::fields::{Field, Fields};
use crate::check::names::{check_variable_name, is_shell_name};
use crate::check::values::{describe_kind, scalar};
use crate::finding::Finding;
use crate::findings::Findings;
use crate::keys::{self, SECRET_KEYS};
use crate::pipeline::Secret;
use crate::secrets::SecretSource;
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Entry, Node, Value};

/// Variables and secrets of one level (the file, a job, a service). No name is both.
#[derive(Default)]
pub(super) struct Environment {
    pub(super) variables: BTreeMap<String, String>,
    pub(super) secrets: BTreeMap<String, Secret>,
}

impl Environment {
    /// Reads both keys, whichever is there.
    pub(super) fn read(fields: &Fields<'_>, findings: &mut Findings) -> Self {
        let mut environment = Self::default();
        for entry in entries(fields.get("variables"), findings) {
            if let Some(value) = variable(entry, findings) {
                environment.variables.insert(entry.key.clone(), value);
            }
        }
        for entry in entries(fields.get("secrets"), findings) {
            if environment.variables.contains_key(&entry.key) {
                let message = format!("`{}` is a variable and a secret at the same time", shown(&entry.key));
                findings.push(Finding::error(entry.key_span, message).help("keep the one under `secrets`"));
            }
            if let Some(secret) = secret(entry, findings) {
                environment.secrets.insert(entry.key.clone(), secret);
            }
        }
        environment
    }
}

/// The entries of a mapping whose keys name variables. `variables:` with nothing behind it is an empty one.
fn entries<'a>(field: Option<&Field<'a>>, findings: &mut Findings) -> &'a [Entry] {
    let Some(field) = field else { return &[] };
    let entries: &[Entry] = match field.value.value() {
        Value::Mapping(entries) => entries,
        Value::Scalar(scalar) if scalar.is_null() => &[],
        _ => {
            let Field { key, value, .. } = field;
            let message = format!("`{}` must be {}, found {}", key.name, key.holds, describe_kind(value));
            findings.push(Finding::error(field.place(), message));
            if key.name == "secrets" {
                findings.hide(value.span);
            }
            &[]
        }
    };
    for entry in entries {
        check_name(entry, findings);
    }
    entries
}

fn check_name(entry: &Entry, findings: &mut Findings) {
    if let Err(error) = check_variable_name(&entry.key) {
        findings.push(Finding::error(entry.key_span, error.to_string()).help("use letters, digits and `_`"));
    } else if !is_shell_name(&entry.key) {
        let message = format!("no shell can read a variable named `{}`", shown(&entry.key));
        findings.push(Finding::warning(entry.key_span, message).help("use letters, digits and `_`"));
    }
}

/// A scalar of any kind, as written; nothing is an empty value.
fn variable(entry: &Entry, findings: &mut Findings) -> Option<String> {
    match entry.value.value() {
        Value::Scalar(scalar) if scalar.is_null() => Some(String::new()),
        Value::Scalar(scalar) => Some(scalar.text.clone()),
        _ => {
            let found = describe_kind(&entry.value);
            let message = format!("the variable `{}` must be a text, found {found}", shown(&entry.key));
            findings.push(
                Finding::error(entry.value.span, message).help("quote a text that begins with `[` or `{`"),
            );
            None
        }
    }
}

fn secret(entry: &Entry, findings: &mut Findings) -> Option<Secret> {
    let whose = format!("the secret `{}`", shown(&entry.key));
    let Value::Mapping(sources) = entry.value.value() else {
        findings.hide(entry.value.span);
        findings.push(no_source(&whose, entry.key_span, describe_kind(&entry.value)));
        return None;
    };
    let span = entry.key_span;
    source(sources, span, &whose, findings).map(|source| Secret { source, span })
}

/// The one source that a mapping names; `whose` says of what, at `span`.
pub(super) fn source(
    sources: &[Entry],
    span: Span,
    whose: &str,
    findings: &mut Findings,
) -> Option<SecretSource> {
    let mut found = Vec::new();
    for source in sources {
        match keys::find(SECRET_KEYS, &source.key) {
            Some(_) => found.extend(source_of(source, findings)),
            None => {
                findings.hide(source.value.span);
                let message = format!("a secret has no key `{}`", shown(&source.key));
                findings.push(Finding::error(source.key_span, message).help("use `env` or `file`"));
            }
        }
    }
    match (found.len(), sources.len()) {
        (1, 1) => found.pop(),
        (_, 0) => {
            findings.push(no_source(whose, span, "an empty mapping"));
            None
        }
        (2, 2) => {
            findings
                .push(Finding::error(span, format!("{whose} has two sources")).help("keep `env` or `file`"));
            None
        }
        _ => None,
    }
}

fn no_source(whose: &str, span: Span, found: &str) -> Finding {
    Finding::error(span, format!("{whose} must say where its value comes from, found {found}"))
        .help("write `{env: VARIABLE}` or `{file: PATH}`; a value has no place in the file")
}

fn source_of(source: &Entry, findings: &mut Findings) -> Option<SecretSource> {
    let wrong = |node: &Node| {
        let holds = keys::find(SECRET_KEYS, &source.key).map_or("", |key| key.holds);
        let place = if node.span.is_empty() { source.key_span } else { node.span };
        Finding::error(place, format!("`{}` must be {holds}, found {}", source.key, describe_kind(node)))
    };
    let text = scalar(&source.value).map(|scalar| scalar.text.as_str()).filter(|text| !text.is_empty());
    let Some(text) = text else {
        findings.push(wrong(&source.value));
        return None;
    };
    if source.key == "file" {
        return Some(SecretSource::File(PathBuf::from(text)));
    }
    if let Err(error) = check_variable_name(text) {
        findings.push(Finding::error(source.value.span, error.to_string()));
        return None;
    }
    Some(SecretSource::Env(text.to_owned()))
}
