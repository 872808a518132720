//! Templates and `extends` (local-ci.md 1.4): every job becomes what it says itself over what its parents say, the later parent over the
//! earlier. Not for what the keys mean.

use std::collections::HashMap;

use jobwright_model::parse_duration;

use crate::check::fields::Field;
use crate::check::graph;
use crate::check::values::{describe, name, one_or_more};
use crate::dialect::Dialect;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::keys::{self, JOB_KEYS};
use crate::overlay;
use crate::source::{Sources, Span};
use crate::text::shown;
use crate::yaml::{Entry, Node, Value};

/// The most keys and variables that all jobs together may inherit.
const MOST_INHERITED: usize = 500_000;

/// A job with all that it inherits.
pub(super) struct Resolved {
    pub(super) entry: Entry,
    /// Whether something that it should have inherited is not there, so that what it lacks may be no fault of its own.
    pub(super) incomplete: bool,
}

/// Resolves the jobs and templates `entries`, whose order stays. `complete` says whether all of them are known.
pub(super) fn resolve(
    entries: Vec<Entry>,
    sources: &Sources,
    complete: bool,
    findings: &mut Findings,
) -> Vec<Resolved> {
    let names: HashMap<&str, usize> =
        entries.iter().enumerate().map(|(at, entry)| (entry.key.as_str(), at)).collect();
    let mut incomplete = vec![false; entries.len()];
    let edges: Vec<Vec<(usize, Span)>> = entries
        .iter()
        .zip(&mut incomplete)
        .map(|(entry, incomplete)| parents(entry, &names, complete, incomplete, findings))
        .collect();
    let walk = graph::walk(&edges);
    for cycle in &walk.cycles {
        let finding = graph::circle("extends", cycle, &edges, |job| &entries[job].key);
        findings.push(finding.help("take one of these names out"));
        cycle.iter().for_each(|job| incomplete[*job] = true);
    }
    let mut heritage = Heritage { left: MOST_INHERITED, exhausted: false };
    let mut resolved: Vec<Option<Entry>> = vec![None; entries.len()];
    for job in walk.order {
        let parents: Vec<&Entry> =
            edges[job].iter().rev().filter_map(|(parent, _)| resolved[*parent].as_ref()).collect();
        incomplete[job] |= edges[job].iter().any(|(parent, _)| incomplete[*parent]);
        let dialect = sources[entries[job].key_span.file].dialect();
        let entry = heritage.inherit(&entries[job], &parents, dialect, findings);
        incomplete[job] |= entry.is_none();
        resolved[job] = Some(entry.unwrap_or_else(|| entries[job].clone()));
    }
    let jobs = resolved.into_iter().zip(incomplete);
    jobs.filter_map(|(entry, incomplete)| Some(Resolved { entry: entry?, incomplete })).collect()
}

/// What a job extends, in the order of its list.
fn parents(
    job: &Entry,
    names: &HashMap<&str, usize>,
    complete: bool,
    incomplete: &mut bool,
    findings: &mut Findings,
) -> Vec<(usize, Span)> {
    let Some(field) = extends(job) else { return Vec::new() };
    *incomplete = field.value.entries().is_some();
    let mut parents = Vec::new();
    for item in one_or_more(&field, findings) {
        let wrong =
            || Finding::error(item.span, format!("`extends` must name templates, found {}", describe(item)));
        let Some(name) = name(item, wrong, findings) else {
            *incomplete = true;
            continue;
        };
        match names.get(name) {
            Some(parent) => parents.push((*parent, item.span)),
            None => {
                *incomplete = true;
                if complete {
                    findings.push_unknown_template(&job.key, name, item.span, names);
                }
            }
        }
    }
    parents
}

impl Findings {
    fn push_unknown_template(&mut self, job: &str, name: &str, span: Span, names: &HashMap<&str, usize>) {
        let help = self.suggest(name, names.keys().copied().filter(|name| *name != job), names.len());
        let message = format!("`{}` extends `{}`, but there is no such template", shown(job), shown(name));
        self.push(Finding::error(span, message).maybe_help(help));
    }
}

/// The field `extends`, unless nothing is in it.
fn extends(job: &Entry) -> Option<Field<'_>> {
    let entry = job.value.entries()?.iter().find(|entry| entry.key == "extends" && !entry.value.is_null())?;
    Some(Field { key: keys::find(JOB_KEYS, "extends")?, key_span: entry.key_span, value: &entry.value })
}

/// What may still be inherited.
struct Heritage {
    left: usize,
    exhausted: bool,
}

impl Heritage {
    /// `job` over its parents, the nearest of them first; nothing when too much was inherited already.
    fn inherit(
        &mut self,
        job: &Entry,
        parents: &[&Entry],
        dialect: Dialect,
        findings: &mut Findings,
    ) -> Option<Entry> {
        let Some(own) = job.value.entries() else { return Some(job.clone()) };
        let extends = own.iter().any(|entry| entry.key == "extends" && !entry.value.is_null());
        if !extends && dialect == Dialect::Jobwright {
            return Some(job.clone());
        }
        let (taken_back, mut entries) = spoken(own, dialect, extends);
        let parents: Vec<&[Entry]> = parents.iter().filter_map(|parent| parent.value.entries()).collect();
        let cost = parents.iter().flat_map(|entries| entries.iter()).map(weight).sum();
        let Some(left) = self.left.checked_sub(cost) else {
            if !std::mem::replace(&mut self.exhausted, true) {
                let message = "the jobs of this pipeline inherit too many keys through `extends`";
                findings.push(Finding::error(job.key_span, message));
            }
            return None;
        };
        self.left = left;
        for parent in parents {
            let parent: Vec<Entry> =
                parent.iter().filter(|entry| !taken_back.contains(&entry.key)).cloned().collect();
            overlay::keys(&mut entries, &parent, findings);
        }
        entries.retain(|entry| entry.key != "extends");
        Some(Entry { value: Node::mapping(entries, job.value.span), ..job.clone() })
    }
}

fn weight(entry: &Entry) -> usize {
    1 + entry.value.entries().map_or(0, <[Entry]>::len)
}

/// The names of the keys that a job takes back, and the keys that it says.
fn spoken(own: &[Entry], dialect: Dialect, extends: bool) -> (Vec<String>, Vec<Entry>) {
    match dialect {
        Dialect::Jobwright => {
            let (null, said): (Vec<Entry>, Vec<Entry>) =
                own.iter().cloned().partition(|entry| extends && entry.value.is_null());
            (null.into_iter().map(|entry| entry.key).collect(), said)
        }
        Dialect::LocalCi => {
            let said = own.iter().filter(|entry| !(entry.value.is_null() || extends && inherits(entry)));
            (Vec::new(), said.cloned().collect())
        }
    }
}

/// Whether local-ci takes a value for none at all when it merges: empty texts and lists, and a zero where it means no limit and no retry.
fn inherits(entry: &Entry) -> bool {
    match entry.value.value() {
        Value::Sequence(items) => items.is_empty(),
        Value::Mapping(_) => false,
        Value::Scalar(scalar) if scalar.text.is_empty() => true,
        Value::Scalar(scalar) => {
            matches!(entry.key.as_str(), "timeout" | "retry")
                && parse_duration(&scalar.text).is_ok_and(|duration| duration.is_zero())
        }
    }
}
