//! The rules for `stages` (local-ci.md 1.2).

use std::collections::{BTreeSet, HashMap};

use crate::check::extends::Resolved;
use crate::check::fields::{Field, Fields};
use crate::check::names::wrong_name;
use crate::check::values::{describe, name, scalar};
use crate::finding::Finding;
use crate::findings::Findings;
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Node, Value};

/// The stages, by name and in order.
pub(super) struct Stages {
    pub(super) names: Vec<String>,
    index: HashMap<String, usize>,
    /// Whether a job's unknown stage is worth a finding: not when the list itself was unusable.
    complete: bool,
}

/// What a job's `stage` turned out to be.
pub(super) enum Lookup {
    /// The stage of that number.
    Found(usize),
    /// There is none of that name.
    Unknown,
    /// The list of stages is wrong itself, so nothing can be said.
    Unclear,
}

impl Stages {
    /// Reads `stages`. When it is missing, the jobs' own stages are suggested.
    pub(super) fn read(
        fields: &Fields<'_>,
        jobs: &[Resolved],
        start: Span,
        complete: bool,
        findings: &mut Findings,
    ) -> Self {
        let mut stages = Self { names: Vec::new(), index: HashMap::new(), complete };
        match fields.get("stages") {
            None if !complete => {}
            None => stages.missing(jobs, start, findings),
            Some(field) => match field.value.value() {
                Value::Sequence(items) if !items.is_empty() => stages.take(items, findings),
                _ => stages.wrong(field, findings),
            },
        }
        stages
    }

    /// The stage of that name.
    pub(super) fn find(&self, name: &str) -> Lookup {
        match self.index.get(name) {
            Some(index) => Lookup::Found(*index),
            None if self.complete => Lookup::Unknown,
            None => Lookup::Unclear,
        }
    }

    fn missing(&mut self, jobs: &[Resolved], start: Span, findings: &mut Findings) {
        self.complete = false;
        let used: BTreeSet<&str> = jobs.iter().filter_map(|job| stage_of(&job.entry.value)).take(8).collect();
        let used: Vec<&str> =
            if used.is_empty() { vec!["build", "test"] } else { used.into_iter().collect() };
        let help = format!("add `stages: [{}]`, in the order in which they run", shown(&used.join(", ")));
        findings.push(Finding::error(start, "the file has no `stages`").help(help));
    }

    fn wrong(&mut self, field: &Field<'_>, findings: &mut Findings) {
        self.complete = false;
        let help = scalar(field.value).map(|scalar| format!("write `stages: [{}]`", shown(&scalar.text)));
        findings.push(field.wrong().maybe_help(help));
    }

    fn take(&mut self, items: &[Node], findings: &mut Findings) {
        let mut spans: HashMap<&str, Span> = HashMap::new();
        for item in items {
            let wrong =
                || Finding::error(item.span, format!("a stage must be a name, found {}", describe(item)));
            let Some(name) = name(item, wrong, findings) else {
                self.complete = false;
                continue;
            };
            if let Some(first) = spans.get(name) {
                let message = format!("the stage `{}` is listed twice", shown(name));
                findings.push(Finding::error(item.span, message).related(*first, "the first one"));
                continue;
            }
            if let Some(why) = wrong_name(name) {
                findings.push(Finding::error(item.span, format!("the name of this stage {why}")));
            }
            spans.insert(name, item.span);
            self.index.insert(name.to_owned(), self.names.len());
            self.names.push(name.to_owned());
        }
    }
}

fn stage_of(job: &Node) -> Option<&str> {
    let entry = job.entries()?.iter().find(|entry| entry.key == "stage")?;
    scalar(&entry.value).map(|scalar| scalar.text.as_str())
}
