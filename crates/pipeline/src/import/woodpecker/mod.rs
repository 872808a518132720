//! Woodpecker workflows (`.woodpecker.yaml`, `.woodpecker/*.yaml`). A step becomes a job; the order of the steps becomes `needs`; what a
//! step leaves in the workspace goes to the next as artifacts. A matrix is written out, as Woodpecker puts its variables into every text.
//! Not for what only a Woodpecker server knows.

mod environment;
mod matrix;
pub(super) mod step;
pub(super) mod when;
pub(super) mod workflow;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::finding::Report;
use crate::findings::Findings;
use crate::import::document::{Document, Job, Out};
use crate::import::{ImportError, Imported, Notes, finish};
use crate::source::{FileId, Sources, Span};
use crate::text::shown;
use crate::yaml::{self, MAX_BYTES, decode};
use workflow::Workflow;

/// The most files of a directory.
pub(super) const MOST_FILES: usize = 200;
/// The most jobs.
const MOST_JOBS: usize = 10_000;

/// The file at `path`, or those of the directory there in the order of their names.
pub(super) fn read(path: &Path) -> Result<Vec<(String, Vec<u8>)>, ImportError> {
    let unreadable = |path: &Path, reason| ImportError::Unreadable { path: path.to_owned(), reason };
    let one = |path: &Path| -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(
            &mut std::io::Read::take(std::fs::File::open(path)?, MAX_BYTES as u64 + 1),
            &mut bytes,
        )?;
        Ok(bytes)
    };
    if !path.is_dir() {
        let bytes = one(path).map_err(|reason| unreadable(path, reason))?;
        return Ok(vec![(path.display().to_string(), bytes)]);
    }
    let listing = std::fs::read_dir(path).map_err(|reason| unreadable(path, reason))?;
    let is_yaml =
        |path: &Path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let mut paths: Vec<_> =
        listing.flatten().map(|entry| entry.path()).filter(|path| is_yaml(path) && path.is_file()).collect();
    paths.sort();
    match paths.len() {
        0 => return Err(ImportError::NoFiles(path.to_owned())),
        count if count > MOST_FILES => {
            return Err(ImportError::TooManyFiles { directory: path.to_owned(), count });
        }
        _ => {}
    }
    paths
        .iter()
        .map(|path| Ok((path.display().to_string(), one(path).map_err(|reason| unreadable(path, reason))?)))
        .collect()
}

/// The workflows in our language.
pub(super) fn import(files: &[(String, Vec<u8>)]) -> Result<Imported, ImportError> {
    let Some(((first, bytes), others)) = files.split_first() else {
        return Err(ImportError::NoFiles("".into()));
    };
    let refused = |refused: Box<crate::yaml::NotText>| {
        ImportError::Invalid(Report::new(Arc::new(Sources::new(refused.source)), vec![refused.finding]))
    };
    let source = decode(FileId::default(), first, bytes).map_err(refused)?;
    let mut notes = Notes::new(Sources::new(source));
    for (name, bytes) in others {
        let id = notes.sources.next_id();
        match decode(id, name, bytes) {
            Ok(source) => notes.sources.add(source),
            Err(refused) => {
                notes.sources.add(refused.source);
                notes.push(refused.finding);
            }
        }
    }
    let document = write(&mut notes);
    finish(&document, notes, "woodpecker")
}

fn write(notes: &mut Notes) -> Document {
    let mut workflows = Vec::new();
    for source in notes.sources.clone().iter() {
        let mut findings = Findings::default();
        let root = yaml::parse(source, &mut findings);
        notes.take(findings);
        match root {
            Some(root) => workflows.extend(Workflow::read(source, &root, notes)),
            None if notes.has_error() => {}
            None => notes.wrong(source.span(0, 0), "the file is empty"),
        }
    }
    let mut document = Document::default();
    if notes.has_error() {
        return document;
    }
    let order = levels(&workflows, notes);
    document.stages = stage_names(&workflows, &order);
    let several = workflows.len() > 1;
    let mut last: HashMap<String, Vec<String>> = HashMap::new();
    let mut names: HashSet<String> = HashSet::new();
    let mut by_level: Vec<usize> = (0..workflows.len()).collect();
    by_level.sort_by_key(|at| order[*at]);
    for at in by_level {
        let workflow = &workflows[at];
        let before: Vec<String> =
            workflow.depends_on.iter().filter_map(|(name, _)| last.get(name)).flatten().cloned().collect();
        let stage = document.stages[order[at]].clone();
        let mut ends = Vec::new();
        for variant in &workflow.variants {
            if !notes.fits() || document.jobs.len() > MOST_JOBS {
                break;
            }
            let (jobs, sinks) = workflow.jobs(variant, &before, several, notes);
            ends.extend(sinks);
            for mut job in jobs {
                if !names.insert(job.name.clone()) {
                    notes.wrong(workflow.span, format!("two steps are called `{}`", shown(&job.name)));
                }
                job.set("stage", Out::text(&stage));
                document.jobs.push(job);
            }
        }
        last.insert(workflow.name.clone(), if ends.is_empty() { before } else { ends });
    }
    if share_workspaces(&mut document.jobs) {
        let span = workflows.first().map_or_else(Span::default, |workflow| workflow.span);
        notes.note_help(
            span,
            "steps share one workspace: here all that a job leaves is packed, as artifacts, for the jobs that need it",
            "name fewer `paths` under `artifacts` to make that cheaper, or take `artifacts` out where nothing is handed on",
        );
    }
    if document.jobs.is_empty() && !notes.has_error() {
        notes.wrong(Span::default(), "there is no step that could run");
    }
    notes.tell_foreign("Woodpecker");
    document
}

/// What a job leaves goes on to those that need it. Answers whether there are any.
fn share_workspaces(jobs: &mut [Job]) -> bool {
    let needed: HashSet<String> = jobs.iter().flat_map(|job| job.needs.clone()).collect();
    let mut share = false;
    for job in jobs.iter_mut().filter(|job| needed.contains(&job.name)) {
        job.set("artifacts", Out::map([("paths", Out::texts(["**"]))]));
        share = true;
    }
    share
}

/// How many workflows must have run before each, one after the other.
fn levels(workflows: &[Workflow], notes: &mut Notes) -> Vec<usize> {
    let index: HashMap<&str, usize> =
        workflows.iter().enumerate().map(|(at, workflow)| (workflow.name.as_str(), at)).collect();
    for workflow in workflows {
        for (name, span) in workflow.depends_on.iter().filter(|(name, _)| !index.contains_key(name.as_str()))
        {
            notes.note_help(
                *span,
                format!(
                    "the workflow `{}` is not among those that were read: it is not waited for",
                    shown(name)
                ),
                "import the whole directory",
            );
        }
    }
    let mut levels = vec![0_usize; workflows.len()];
    for _ in 0..=workflows.len() {
        let mut changed = false;
        for (at, workflow) in workflows.iter().enumerate() {
            let above = workflow
                .depends_on
                .iter()
                .filter_map(|(name, _)| index.get(name.as_str()))
                .map(|at| levels[*at] + 1);
            let level = above.max().unwrap_or_default();
            changed |= level != levels[at];
            levels[at] = level;
        }
        if !changed {
            return levels;
        }
    }
    let span = workflows
        .iter()
        .find_map(|workflow| workflow.depends_on.first())
        .map_or_else(Span::default, |(_, span)| *span);
    notes.wrong(span, "the workflows wait for each other in a circle");
    vec![0; workflows.len()]
}

/// A stage for each level, called as its only workflow or by its number.
fn stage_names(workflows: &[Workflow], levels: &[usize]) -> Vec<String> {
    let count = levels.iter().max().map_or(0, |most| most + 1);
    let name = |level: usize| {
        let mut here =
            workflows.iter().zip(levels).filter(|(_, at)| **at == level).map(|(workflow, _)| &workflow.name);
        match (here.next(), here.next()) {
            (Some(only), None) => only.clone(),
            _ => format!("level {}", level + 1),
        }
    };
    let mut names: Vec<String> = Vec::new();
    for level in 0..count {
        let mut called = name(level);
        while names.contains(&called) {
            called.push('_');
        }
        names.push(called);
    }
    names
}
