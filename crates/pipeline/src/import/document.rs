//! A pipeline file on its way to paper: jobs and their keys as values, in the order in which people write them. Not for how YAML writes
//! a text (`write`).

use crate::finding::Report;
use crate::import::conditions::Condition;
use crate::import::notes::Notes;
use crate::import::write;
use crate::source::Span;
use crate::text::shown;

/// A value of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Out {
    /// A text, quoted where YAML would take it for something else.
    Text(String),
    /// A number or truth value.
    Bare(String),
    /// A list.
    List(Vec<Out>),
    /// A mapping, in order.
    Map(Vec<(String, Out)>),
}

impl Out {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn flag(flag: bool) -> Self {
        Self::Bare(flag.to_string())
    }

    pub(super) fn number(number: impl std::fmt::Display) -> Self {
        Self::Bare(number.to_string())
    }

    pub(super) fn texts(texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    pub(super) fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Out)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// Names with texts, in the order of the names.
    pub(super) fn variables(variables: &Variables) -> Self {
        Self::Map(variables.iter().map(|(name, value)| (name.clone(), Self::text(value))).collect())
    }
}

/// Variables by their names.
pub(super) type Variables = std::collections::BTreeMap<String, String>;

/// Keys of a job in the order in which they are written.
const ORDER: [&str; 17] = [
    "stage",
    "image",
    "if",
    "needs",
    "parallel",
    "matrix",
    "workdir",
    "variables",
    "secrets",
    "services",
    "cache",
    "script",
    "after_script",
    "artifacts",
    "network",
    "timeout",
    "retry",
];

/// A job.
#[derive(Debug, Clone, Default)]
pub(super) struct Job {
    pub(super) name: String,
    /// Lines above it.
    pub(super) comments: Vec<String>,
    /// The jobs that it needs, for whoever puts jobs in an order.
    pub(super) needs: Vec<String>,
    keys: Vec<(String, Out)>,
    left_out: bool,
    detached: bool,
}

impl Job {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Sets a key; what was there goes.
    pub(super) fn set(&mut self, key: &str, value: Out) {
        self.keys.retain(|(known, _)| known != key);
        self.keys.push((key.to_owned(), value));
    }

    /// Sets a key when there is something to set.
    pub(super) fn maybe(&mut self, key: &str, value: Option<Out>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// The job stands in the file and never runs: nothing waits for it.
    pub(super) fn leave_out(&mut self) {
        self.left_out = true;
    }

    /// Whether it is more than a place for something that could not be carried over.
    pub(super) fn is_carried(&self) -> bool {
        !self.left_out
    }

    /// The job runs beside all others.
    pub(super) fn detach(&mut self) {
        self.detached = true;
    }

    /// Whether it runs beside all others.
    pub(super) fn is_detached(&self) -> bool {
        self.detached
    }

    /// Sets the condition. One that our language cannot hold is noted, and the job does not run: to run what its author kept from
    /// running would be worse.
    pub(super) fn condition(&mut self, condition: &Condition, span: Span, notes: &mut Notes) {
        let text = match condition {
            Condition::Always => return,
            Condition::Never => "false".to_owned(),
            condition => condition.text().unwrap_or_else(|| {
                let message = format!(
                    "the condition of `{}` is too large for `if`: the job does not run",
                    shown(&self.name)
                );
                notes.note_help(span, message, "decide it in the script");
                "false".to_owned()
            }),
        };
        let value = if text == "false" { Out::Bare(text) } else { Out::Text(text) };
        self.set("if", value);
    }

    fn ordered(&self) -> Vec<(String, Out)> {
        let rank = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
        let mut keys = self.keys.clone();
        keys.sort_by_key(|(key, _)| rank(key));
        keys
    }
}

/// A whole file.
#[derive(Debug, Clone, Default)]
pub(super) struct Document {
    pub(super) stages: Vec<String>,
    pub(super) variables: Vec<(String, String, Option<String>)>,
    pub(super) jobs: Vec<Job>,
    /// Advice at the top that is about the whole file.
    pub(super) advice: Vec<String>,
}

impl Document {
    /// The file, with `notes` at its top; `command` is what wrote it.
    pub(super) fn write(&self, notes: &Report, command: &str) -> String {
        let mut text = String::new();
        let mut comment = |line: &str| write::comment(&mut text, line);
        comment(&format!("Written by `jobwright import {command}` from {}.", notes.source().name()));
        self.advice.iter().for_each(|line| comment(line));
        if !notes.is_empty() {
            comment("");
            comment("Not carried over, or not exactly:");
            notes
                .summary()
                .lines()
                .for_each(|line| comment(&format!("  {}", line.replacen(": warning: ", ": ", 1))));
        }
        text.push('\n');
        write::entry(&mut text, "stages", &Out::texts(&self.stages), 0);
        if !self.variables.is_empty() {
            text.push_str("\nvariables:\n");
            for (name, value, about) in &self.variables {
                if let Some(about) = about {
                    text.push_str("  ");
                    write::comment(&mut text, about);
                }
                write::entry(&mut text, name, &Out::text(value), 1);
            }
        }
        for job in &self.jobs {
            text.push('\n');
            job.comments.iter().for_each(|line| write::comment(&mut text, line));
            write::entry(&mut text, &job.name, &Out::Map(job.ordered()), 0);
        }
        text
    }
}
