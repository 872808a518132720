//! Variables: GitLab puts `$NAME` in a value, an image or a path in before anything runs; Jobwright takes them as they are written, so
//! what the file itself says is put in here. Not for scripts, whose shell does it.

use std::collections::BTreeMap;

use crate::check::{check_variable_name, describe};
use crate::import::Notes;
use crate::import::document::Variables;
use crate::import::node::{flag, get, mapping, note_others, text};
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Entry, Value};

/// How often a value may stand in another one's value.
const DEEPEST: usize = 8;
/// The longest value.
const LONGEST: usize = 64 * 1024;
/// The most variables that are put into one text.
const MOST_PARTS: usize = 5_000;

/// Variables as they are written, and where.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub(super) values: BTreeMap<String, Variable>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) value: String,
    pub(super) about: Option<String>,
    raw: bool,
    span: Span,
}

impl Written {
    /// Adds the variables of `variables:`; they win over those that are there.
    pub(super) fn add(&mut self, entry: Option<&Entry>, notes: &mut Notes) {
        let Some(entry) = entry else { return };
        if let Some(entries) = mapping(entry, notes) {
            self.add_all(entries, notes);
        }
    }

    pub(super) fn add_all(&mut self, entries: &[Entry], notes: &mut Notes) {
        for entry in entries {
            if !notes.spend(entry.key.len() + 1, entry.key_span) {
                return;
            }
            if let Err(error) = check_variable_name(&entry.key) {
                notes.wrong(entry.key_span, error.to_string());
                continue;
            }
            let variable = match entry.value.value() {
                Value::Scalar(scalar) => {
                    let value = if scalar.is_null() { String::new() } else { scalar.text.clone() };
                    Variable { value, about: None, raw: false, span: entry.value.span }
                }
                Value::Mapping(entries) => of_mapping(entry, entries, notes),
                Value::Sequence(_) => {
                    let message = format!(
                        "the variable `{}` must be a text, found {}",
                        shown(&entry.key),
                        describe(&entry.value)
                    );
                    notes.wrong(entry.value.span, message);
                    continue;
                }
            };
            self.values.insert(entry.key.clone(), variable);
        }
    }

    /// Sets one; it wins.
    pub(super) fn set(&mut self, name: &str, value: &str, span: Span) {
        let variable = Variable { value: value.to_owned(), about: None, raw: true, span };
        self.values.insert(name.to_owned(), variable);
    }

    /// Those of `self` over those of `under`.
    pub(super) fn over(&self, under: &Self) -> Self {
        let mut values = under.values.clone();
        values.extend(self.values.clone());
        Self { values }
    }

    /// The values of `own`, with what all these variables say put in.
    pub(super) fn expanded(&self, own: &Self, notes: &mut Notes) -> Variables {
        let mut all = Variables::new();
        for (name, variable) in &own.values {
            let value = if variable.raw {
                variable.value.clone()
            } else {
                self.expand(&variable.value, variable.span, notes)
            };
            if !notes.spend(name.len() + value.len(), variable.span) {
                break;
            }
            all.insert(name.clone(), value);
        }
        all
    }

    /// `text` with what these variables say put in. What they do not say stays as it is written, and is noted.
    pub(super) fn expand(&self, text: &str, span: Span, notes: &mut Notes) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        let mut unknown = Vec::new();
        let expanded = self.put_in(text, DEEPEST, &mut { MOST_PARTS }, &mut unknown);
        unknown.dedup();
        if let Some(name) = unknown.first() {
            let message =
                format!("`${}` is not put into this text: Jobwright takes it as it is written", shown(name));
            notes.note_help(span, message, "write the value");
        }
        expanded
    }

    fn put_in(&self, text: &str, depth: usize, parts: &mut usize, unknown: &mut Vec<String>) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            *parts = parts.saturating_sub(1);
            if out.len() > LONGEST || *parts == 0 {
                unknown.push("...".to_owned());
                return String::new();
            }
            if let Some(behind) = rest.strip_prefix("$$") {
                out.push('$');
                rest = behind;
                continue;
            }
            let Some((name, behind)) = name_of(rest) else {
                out.push('$');
                rest = &rest[1..];
                continue;
            };
            match self.values.get(name).filter(|_| depth > 0) {
                Some(variable) if variable.raw => out.push_str(&variable.value),
                Some(variable) => out.push_str(&self.put_in(&variable.value, depth - 1, parts, unknown)),
                None => {
                    if unknown.len() < 100 {
                        unknown.push(name.to_owned());
                    }
                    out.push_str(&rest[..rest.len() - behind.len()]);
                }
            }
            rest = behind;
        }
        if out.len() <= LONGEST {
            out.push_str(rest);
            return out;
        }
        unknown.push("...".to_owned());
        String::new()
    }
}

fn of_mapping(entry: &Entry, entries: &[Entry], notes: &mut Notes) -> Variable {
    note_others(
        entries,
        &["value", "description", "expand", "options"],
        &format!("the variable `{}`", shown(&entry.key)),
        notes,
    );
    let texts = |key| get(entries, key).and_then(|entry| text(&entry.value)).map(str::to_owned);
    let raw = get(entries, "expand").and_then(|entry| flag(&entry.value)) == Some(false);
    let options = get(entries, "options").map(|entry| crate::import::node::items(&entry.value));
    let options: Vec<&str> = options.unwrap_or_default().iter().filter_map(text).collect();
    let about = match (texts("description"), options.is_empty()) {
        (about, true) => about,
        (about, false) => {
            Some(format!("{} (one of: {})", about.unwrap_or_default(), options.join(", ")).trim().to_owned())
        }
    };
    Variable { value: texts("value").unwrap_or_default(), about, raw, span: entry.value.span }
}

/// The name behind the `$` that `text` begins with, and what is behind it.
pub(super) fn name_of(text: &str) -> Option<(&str, &str)> {
    let behind = text.strip_prefix('$')?;
    let word = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, behind) = match behind.strip_prefix('{') {
        Some(inner) => {
            let (name, behind) = inner.split_at(word(inner));
            (name, behind.strip_prefix('}')?)
        }
        None => behind.split_at(word(behind)),
    };
    (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then_some((name, behind))
}
