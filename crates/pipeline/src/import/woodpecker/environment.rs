//! A container's `environment`, `settings` and `secrets`. Not for the rest of it.

use std::collections::BTreeMap;

use crate::check::check_variable_name;
use crate::import::Notes;
use crate::import::document::{Out, Variables};
use crate::import::node::{get, items, text};
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Entry, Node, Value};

/// What a container finds in its environment: texts, and secrets by the host's variables that hold them.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) variables: Variables,
    pub(super) secrets: BTreeMap<String, String>,
}

impl Environment {
    /// The environment of a container with these keys.
    pub(super) fn read(keys: &[Entry], notes: &mut Notes) -> Self {
        let mut environment = Self::default();
        if let Some(entry) = get(keys, "environment") {
            environment.add(entry, str::to_owned, notes);
        }
        if let Some(entry) = get(keys, "settings") {
            environment.add(entry, setting, notes);
        }
        for item in get(keys, "secrets").map(|entry| items(&entry.value)).unwrap_or_default() {
            environment.add_secret(item, notes);
        }
        environment
    }

    /// Writes it into a job.
    pub(super) fn write(&self, job: &mut crate::import::document::Job) {
        if !self.variables.is_empty() {
            job.set("variables", Out::variables(&self.variables));
        }
        if !self.secrets.is_empty() {
            let secret = |(name, of): (&String, &String)| (name.clone(), Out::map([("env", Out::text(of))]));
            job.set("secrets", Out::Map(self.secrets.iter().map(secret).collect()));
        }
    }

    fn add(&mut self, entry: &Entry, called: impl Fn(&str) -> String, notes: &mut Notes) {
        match entry.value.value() {
            Value::Mapping(entries) => {
                for entry in entries {
                    self.set(&called(&entry.key), &entry.value, entry.key_span, notes);
                }
            }
            Value::Sequence(items) => {
                for item in items {
                    match text(item).and_then(|text| text.split_once('=')) {
                        Some((name, value)) => {
                            self.variable(called(name), value.to_owned(), item.span, notes)
                        }
                        None => notes
                            .wrong(item.span, format!("an entry of `{}` must be `NAME=VALUE`", entry.key)),
                    }
                }
            }
            Value::Scalar(_) => notes.wrong(entry.key_span, format!("`{}` must be a mapping", entry.key)),
        }
    }

    fn set(&mut self, name: &str, value: &Node, span: Span, notes: &mut Notes) {
        if let Some(secret) = value.entries().and_then(|entries| get(entries, "from_secret")) {
            match text(&secret.value) {
                Some(secret) => self.secret(name.to_owned(), secret, span, notes),
                None => notes.wrong(secret.key_span, "`from_secret` must be the name of a secret"),
            }
        } else if has_secret(value) {
            let message = format!("`{}` has a secret inside of a value and is not carried over", shown(name));
            notes.note_help(span, message, "a secret is a variable of its own here");
        } else if let Some(value) = one_text(value) {
            self.variable(name.to_owned(), value, span, notes);
        }
    }

    fn add_secret(&mut self, item: &Node, notes: &mut Notes) {
        let named = item.entries().map(|entries| {
            let part = |key| get(entries, key).and_then(|entry| text(&entry.value));
            (part("source"), part("target"))
        });
        match (text(item), named) {
            (Some(name), _) => self.secret(name.to_uppercase(), name, item.span, notes),
            (_, Some((Some(source), target))) => {
                self.secret(target.unwrap_or(source).to_uppercase(), source, item.span, notes);
            }
            _ => notes.wrong(item.span, "a secret must be a name or a mapping with `source` and `target`"),
        }
    }

    fn variable(&mut self, name: String, value: String, span: Span, notes: &mut Notes) {
        if is_name(&name, span, notes)
            && !self.secrets.contains_key(&name)
            && notes.spend(name.len() + value.len(), span)
        {
            self.variables.insert(name, value);
        }
    }

    fn secret(&mut self, name: String, of: &str, span: Span, notes: &mut Notes) {
        let host: String = of
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        if host.is_empty() || !is_name(&name, span, notes) {
            return;
        }
        let help = format!("set `{}` where Jobwright runs, or name a file", shown(&host));
        notes.note_help(span, format!("the secret `{}` is not in this file", shown(of)), help);
        self.variables.remove(&name);
        self.secrets.insert(name, host);
    }
}

fn is_name(name: &str, span: Span, notes: &mut Notes) -> bool {
    let checked = check_variable_name(name);
    if let Err(error) = &checked {
        notes.wrong(span, error.to_string());
    }
    checked.is_ok()
}

/// The variable by which a plugin finds a setting.
fn setting(name: &str) -> String {
    let upper = |c: char| if matches!(c, '.' | '-') { '_' } else { c.to_ascii_uppercase() };
    format!("PLUGIN_{}", name.chars().map(upper).collect::<String>())
}

fn has_secret(node: &Node) -> bool {
    match node.value() {
        Value::Scalar(_) => false,
        Value::Sequence(items) => items.iter().any(has_secret),
        Value::Mapping(entries) => {
            entries.iter().any(|entry| entry.key == "from_secret" || has_secret(&entry.value))
        }
    }
}

/// A value as Woodpecker puts it into the environment: texts as they are, lists of texts with commas, all else as JSON.
fn one_text(node: &Node) -> Option<String> {
    match node.value() {
        Value::Scalar(scalar) if scalar.is_null() => None,
        Value::Scalar(scalar) => Some(scalar.text.clone()),
        Value::Sequence(items) if items.iter().all(|item| text(item).is_some()) => {
            Some(items.iter().filter_map(text).collect::<Vec<_>>().join(","))
        }
        _ => Some(json(node).to_string()),
    }
}

fn json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match node.value() {
        Value::Scalar(scalar) if scalar.is_null() => Json::Null,
        Value::Scalar(scalar) if scalar.is_bool() => Json::Bool(scalar.text.eq_ignore_ascii_case("true")),
        Value::Scalar(scalar) if scalar.is_number() => {
            serde_json::from_str(&scalar.text).unwrap_or_else(|_| Json::String(scalar.text.clone()))
        }
        Value::Scalar(scalar) => Json::String(scalar.text.clone()),
        Value::Sequence(items) => Json::Array(items.iter().map(json).collect()),
        Value::Mapping(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect())
        }
    }
}
