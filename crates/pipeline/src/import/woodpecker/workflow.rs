//! One workflow: its steps in their order, and what holds for all of them. Not for what a step does (`step`).

use std::collections::HashMap;

use super::matrix::{self, Variant};
use super::{step, when};
use crate::check::graph;
use crate::import::Notes;
use crate::import::conditions::Condition;
use crate::import::document::{Job, Out};
use crate::import::names::JobNames;
use crate::import::node::{get, items, mapping, text};
use crate::source::{Source, Span};
use crate::text::{is_showable, shown};
use crate::yaml::{Entry, Node, Value};

/// A workflow file.
pub(super) struct Workflow {
    pub(super) name: String,
    /// The workflows that must have run before.
    pub(super) depends_on: Vec<(String, Span)>,
    pub(super) variants: Vec<Variant>,
    pub(super) span: Span,
    root: Node,
}

/// A container with its name.
pub(super) struct Container {
    pub(super) name: String,
    pub(super) keys: Vec<Entry>,
    pub(super) span: Span,
}

pub(in crate::import) const KNOWN: [&str; 10] = [
    "when",
    "workspace",
    "steps",
    "pipeline",
    "services",
    "depends_on",
    "matrix",
    "variables",
    "$schema",
    "skip_clone",
];

impl Workflow {
    pub(super) fn read(source: &Source, root: &Node, notes: &mut Notes) -> Option<Self> {
        let Some(entries) = root.entries() else {
            notes.wrong(root.span, "a workflow must be a mapping with `steps`");
            return None;
        };
        if get(entries, "steps").or_else(|| get(entries, "pipeline")).is_none() {
            notes.wrong(source.span(0, 0), "the workflow has no `steps`");
            return None;
        }
        for entry in entries.iter().filter(|entry| !KNOWN.contains(&entry.key.as_str())) {
            let why = match entry.key.as_str() {
                "clone" => ": a job begins with the project's files",
                "labels" => ": agents are not chosen by labels here; see `backend`",
                "runs_on" => ": a workflow begins when those before it have passed",
                "concurrency" => ": `concurrency` is a job's here",
                _ => "",
            };
            notes.note(entry.key_span, format!("`{}` is not carried over{why}", shown(&entry.key)));
        }
        let depends_on = get(entries, "depends_on").map(|entry| depends_on(entry, notes)).unwrap_or_default();
        let variants = matrix::variants(get(entries, "matrix"), notes);
        let name = name_of(source.name());
        Some(Self { name, depends_on, variants, span: source.span(0, 0), root: root.clone() })
    }

    /// The jobs of one combination, and the names of those that no other of them needs. The first of them need `before`.
    pub(super) fn jobs(
        &self,
        variant: &Variant,
        before: &[String],
        several: bool,
        notes: &mut Notes,
    ) -> (Vec<Job>, Vec<String>) {
        let root = matrix::substituted(&self.root, variant, notes);
        let entries = root.entries().unwrap_or_default();
        let steps = get(entries, "steps").or_else(|| get(entries, "pipeline"));
        let steps = steps.map(|entry| containers(entry, notes)).unwrap_or_default();
        if steps.is_empty() && !notes.has_error() {
            notes.wrong(self.span, "the workflow has no steps");
        }
        let services = get(entries, "services").map(|entry| containers(entry, notes)).unwrap_or_default();
        let services = step::services(&services, notes);
        let (when, _) = when::read(entries, variant, notes);
        let workdir = get(entries, "workspace").and_then(|entry| workdir(entry, notes));
        let called = |name: &str| {
            let prefix = if several { format!("{}/", self.name) } else { String::new() };
            format!("{prefix}{name}{}", matrix::suffix(variant))
        };
        let is_graph = steps.iter().any(|step| step.keys.iter().any(|entry| entry.key == "depends_on"));
        let mut order = Order { before, is_graph, names: HashMap::new(), last: before.to_vec() };
        for step in &steps {
            order.names.entry(step.name.clone()).or_insert_with(|| Place {
                needs: Vec::new(),
                stands_for: None,
                detached: step::is_detached(step),
            });
        }
        let mut names = JobNames::new(steps.iter().map(|step| called(&step.name)));
        let mut written = Vec::new();
        for step in &steps {
            if !notes.fits() {
                break;
            }
            let (own, span) = when::read(&step.keys, variant, notes);
            if own == Condition::Never
                && get(&step.keys, "when").is_some_and(|entry| asks_for_matrix(&entry.value))
            {
                order.leave_out(step, notes);
                continue;
            }
            let called = names.called(&called(&step.name), step.span, notes);
            let mut job = step::write(&called, step, variant, &services, notes);
            job.maybe("workdir", workdir.clone().map(Out::Text));
            if !job.is_carried() {
                job.condition(&Condition::Never, step.span, notes);
                order.leave_out(step, notes);
            } else {
                let condition = when.clone().and(own);
                job.condition(&condition, span.unwrap_or(step.span), notes);
                order.put(step, &job, job.is_detached() || condition == Condition::Never, notes);
            }
            written.push((step, job));
        }
        check_order(&steps, notes);
        let mut jobs = Vec::new();
        for (step, mut job) in written {
            if job.is_carried() {
                let needs = order.needs_of(&step.name);
                if !needs.is_empty() {
                    job.set("needs", Out::texts(&needs));
                }
                job.needs = needs;
            }
            jobs.push(job);
        }
        let carried = |job: &&Job| job.is_carried() && !job.is_detached();
        let needed: std::collections::HashSet<&String> = jobs.iter().flat_map(|job| &job.needs).collect();
        let sinks = jobs
            .iter()
            .filter(carried)
            .filter(|job| !needed.contains(&job.name))
            .map(|job| job.name.clone())
            .collect();
        (jobs, sinks)
    }
}

/// Says which steps depend on themselves.
fn check_order(steps: &[Container], notes: &mut Notes) {
    let names: HashMap<&str, usize> =
        steps.iter().enumerate().map(|(at, step)| (step.name.as_str(), at)).collect();
    let mut edges = Vec::with_capacity(steps.len());
    for step in steps {
        let before = get(&step.keys, "depends_on").map(|entry| depends_on(entry, notes)).unwrap_or_default();
        edges.push(
            before.iter().filter_map(|(name, span)| Some((*names.get(name.as_str())?, *span))).collect(),
        );
    }
    for cycle in graph::walk(&edges).cycles {
        notes.push(graph::circle("depends_on", &cycle, &edges, |step| steps[step].name.as_str()));
    }
}

/// What each step needs, while the steps are gone through.
struct Order<'a> {
    before: &'a [String],
    is_graph: bool,
    names: HashMap<String, Place>,
    /// What the next step needs when the steps follow each other.
    last: Vec<String>,
}

struct Place {
    /// Steps or, when they follow each other, jobs.
    needs: Vec<String>,
    /// The job that the step became; nothing for one that others do not wait for.
    stands_for: Option<String>,
    /// It runs beside the others, which wait at most until it has begun.
    detached: bool,
}

impl Order<'_> {
    fn needs(&self, step: &Container, notes: &mut Notes) -> Vec<String> {
        if !self.is_graph {
            return self.last.clone();
        }
        let Some(entry) = get(&step.keys, "depends_on") else { return Vec::new() };
        let mut needs = Vec::new();
        for (name, span) in depends_on(entry, notes) {
            let known = self.names.get(&name);
            let (whose, shown_name) = (shown(&step.name), shown(&name));
            match known {
                Some(known) => {
                    if known.detached {
                        let message = format!(
                            "`{whose}` depends on the detached `{shown_name}`: it waits for what that waits for, not until that has begun"
                        );
                        let help =
                            "wait in its `script` until what it needs is there, or make that a service";
                        notes.note_help(span, message, help);
                    }
                    needs.push(name);
                }
                None => notes
                    .wrong(span, format!("`{whose}` depends on `{shown_name}`, but there is no such step")),
            }
        }
        needs
    }

    fn leave_out(&mut self, step: &Container, notes: &mut Notes) {
        let needs = self.needs(step, notes);
        self.place(step, needs, None);
    }

    fn put(&mut self, step: &Container, job: &Job, aside: bool, notes: &mut Notes) {
        let needs = self.needs(step, notes);
        if !aside {
            self.last = vec![job.name.clone()];
        }
        let stands_for = (!aside).then(|| job.name.clone());
        self.place(step, needs, stands_for);
    }

    fn place(&mut self, step: &Container, needs: Vec<String>, stands_for: Option<String>) {
        let place = Place { needs, stands_for, detached: step::is_detached(step) };
        self.names.insert(step.name.clone(), place);
    }

    /// The jobs that a step needs: for one that is not waited for, those that it needs itself.
    fn needs_of(&self, step: &str) -> Vec<String> {
        let Some(place) = self.names.get(step) else { return Vec::new() };
        if !self.is_graph {
            return place.needs.clone();
        }
        let mut jobs = Vec::new();
        let mut seen = std::collections::HashSet::from([step]);
        let mut open: Vec<&str> = place.needs.iter().rev().map(String::as_str).collect();
        while let Some(name) = open.pop() {
            let Some(place) = self.names.get(name).filter(|_| seen.insert(name)) else { continue };
            match &place.stands_for {
                Some(job) => jobs.push(job.clone()),
                None => open.extend(place.needs.iter().rev().map(String::as_str)),
            }
        }
        if jobs.is_empty() { self.before.to_vec() } else { jobs }
    }
}

fn asks_for_matrix(node: &Node) -> bool {
    items(node).iter().any(|filter| filter.entries().is_some_and(|entries| get(entries, "matrix").is_some()))
}

/// Steps or services: a mapping of names, or a list with `name` in each.
fn containers(entry: &Entry, notes: &mut Notes) -> Vec<Container> {
    let mut all = Vec::new();
    let mut add = |name: String, node: &Node, span: Span, notes: &mut Notes| match node.entries() {
        _ if name.trim().is_empty() || !name.chars().all(is_showable) || name.chars().count() > 100 => {
            notes.wrong(span, format!("`{}` cannot be the name of a step", shown(&name)));
        }
        Some(keys) => all.push(Container { name, keys: keys.to_vec(), span }),
        None => notes.wrong(span, format!("`{}` must be a mapping with `image`", shown(&name))),
    };
    match entry.value.value() {
        Value::Mapping(entries) => {
            entries.iter().for_each(|entry| add(entry.key.clone(), &entry.value, entry.key_span, notes));
        }
        Value::Sequence(items) => {
            for (at, item) in items.iter().enumerate() {
                let name = item
                    .entries()
                    .and_then(|entries| get(entries, "name"))
                    .and_then(|entry| text(&entry.value));
                add(name.map_or_else(|| format!("step-{at}"), str::to_owned), item, item.span, notes);
            }
        }
        Value::Scalar(_) => {
            notes.wrong(entry.key_span, format!("`{}` must be a mapping or a list of mappings", entry.key))
        }
    }
    all
}

/// A name, a list of names, or of mappings with `name`.
fn depends_on(entry: &Entry, notes: &mut Notes) -> Vec<(String, Span)> {
    let mut all = Vec::new();
    for item in items(&entry.value) {
        let named =
            item.entries().and_then(|entries| get(entries, "name")).and_then(|entry| text(&entry.value));
        match named.or_else(|| text(item)) {
            Some(name) if all.iter().any(|(known, _)| known == name) => {}
            Some(name) => all.push((name.to_owned(), item.span)),
            None => notes.wrong(item.span, "`depends_on` must name steps or workflows"),
        }
    }
    all
}

fn workdir(entry: &Entry, notes: &mut Notes) -> Option<String> {
    let entries = mapping(entry, notes)?;
    let part = |key| get(entries, key).and_then(|entry| text(&entry.value)).unwrap_or_default();
    let (base, path) = (part("base"), part("path"));
    let whole = format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'));
    let whole = whole.trim_end_matches('/');
    if base.starts_with('/')
        && whole.len() > 1
        && !whole.split('/').any(|part| part == "..")
        && !whole.contains(char::is_control)
    {
        return Some(whole.to_owned());
    }
    notes.note(entry.key_span, "`workspace` is not carried over: it is no absolute path");
    None
}

/// The name of the workflow in the file at `path`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.trim_start_matches('.').split(".y").next().unwrap_or(file);
    let stem: String = stem.chars().filter(|c| is_showable(*c)).take(80).collect();
    if stem.trim().is_empty() { "workflow".to_owned() } else { stem }
}
