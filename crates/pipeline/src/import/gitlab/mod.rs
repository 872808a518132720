//! GitLab CI files (`.gitlab-ci.yml`). Everything that GitLab puts together before it runs a job (`include`, `extends`, `!reference`,
//! `default`, variables in values) is put together here, so that the result has plain jobs that say what they do. Not for anything that
//! only a GitLab server knows.

mod containers;
mod expression;
mod files;
pub(super) mod job;
mod kept;
mod matrix;
mod resolve;
mod rules;
mod variables;

use std::collections::{HashMap, HashSet};

pub(super) use files::Input;

use crate::check::NeedsGraph;
use crate::findings::Findings;
use crate::import::conditions::Condition;
use crate::import::document::{Document, Job, Out};
use crate::import::names::JobNames;
use crate::import::node::{flag, get, items, mapping, note_others, text, texts_of};
use crate::import::{ImportError, Imported, Notes, finish};
use crate::source::Span;
use crate::text::{is_showable, shown};
use crate::yaml::Entry;
use job::Setting;
use matrix::Parallel;
use variables::Written;

/// The most entries that merging may come to in all.
const MOST_MERGED: usize = 1_000_000;
/// The most jobs.
const MOST_JOBS: usize = 20_000;

/// Keys of the file that are no jobs.
pub(super) const GLOBAL: [&str; 12] = [
    "default",
    "include",
    "stages",
    "types",
    "variables",
    "workflow",
    "image",
    "services",
    "cache",
    "before_script",
    "after_script",
    "spec",
];
/// What `default` can give a job.
const DEFAULTS: [&str; 12] = [
    "after_script",
    "artifacts",
    "before_script",
    "cache",
    "hooks",
    "id_tokens",
    "image",
    "interruptible",
    "retry",
    "services",
    "tags",
    "timeout",
];

/// Whether GitLab sets a variable of that name.
fn is_predefined(name: &str) -> bool {
    name == "CI" || name.starts_with("CI_") || name.starts_with("GITLAB_")
}

/// The file in our language.
pub(super) fn import(input: Input) -> Result<Imported, ImportError> {
    let (entries, mut notes) = files::load(input)?;
    let document = if notes.has_error() { Document::default() } else { write(&entries, &mut notes) };
    finish(&document, notes, "gitlab")
}

fn write(entries: &[Entry], notes: &mut Notes) -> Document {
    let entries = resolve::extended(entries, notes);
    let entries = resolve::referenced(&entries, notes);
    let mut document = Document::default();
    if notes.has_error() {
        return document;
    }
    note_globals(&entries, notes);
    let workflow = get(&entries, "workflow").map_or(Condition::Always, |entry| rules::workflow(entry, notes));
    let mut globals = Written::default();
    globals.add(get(&entries, "variables"), notes);
    let jobs = jobs(&entries, notes);
    if jobs.is_empty() && !notes.has_error() {
        notes.wrong(Span::default(), "the file has no jobs");
    }
    let stages = Stages::read(&entries, &jobs, notes);
    let (plans, names) = plan(&jobs, notes);
    check_needs(&plans, &stages, notes);
    let restricts = |keys: &[Entry]| {
        get(keys, "inherit").and_then(|entry| entry.value.entries()).is_some_and(|inherit| {
            get(inherit, "variables").is_some_and(|entry| flag(&entry.value) != Some(true))
        })
    };
    let globals_at_top = !plans.iter().any(|plan| restricts(&plan.keys));
    let conditional = jobs.iter().filter(|job| rules::may_not_run(&job.keys));
    let conditional = conditional.map(|job| job.entry.key.as_str()).collect();
    let setting = Setting {
        globals: &globals,
        globals_at_top,
        workflow: &workflow,
        names: &names,
        conditional: &conditional,
    };
    for plan in &plans {
        if !notes.fits() {
            break;
        }
        stages.check(plan, notes);
        document.jobs.extend(plan.write(stages.of(plan).0, &setting, notes));
    }
    document.stages = stages.names;
    if globals_at_top {
        let values = globals.expanded(&globals, notes);
        document.variables = values
            .into_iter()
            .map(|(name, value)| {
                let about = globals.values.get(&name).and_then(|variable| variable.about.clone());
                (name, value, about)
            })
            .collect();
    }
    if names.values().any(|names| !names.is_empty()) {
        document.advice.push(
            "GitLab runs the jobs of a stage side by side: `jobwright run --parallel-stages` does too."
                .to_owned(),
        );
    }
    notes.tell_foreign("GitLab");
    document
}

fn note_globals(entries: &[Entry], notes: &mut Notes) {
    if let Some(spec) = get(entries, "spec") {
        notes.note(spec.key_span, "`spec` is not carried over");
    }
    if let Some(default) = get(entries, "default").and_then(|entry| mapping(entry, notes)) {
        note_others(default, &DEFAULTS, "`default`", notes);
    }
}

/// A job with all its keys.
struct Found {
    entry: Entry,
    keys: Vec<Entry>,
}

/// All jobs that run, with what `default` gives them.
fn jobs(entries: &[Entry], notes: &mut Notes) -> Vec<Found> {
    let own: Vec<Entry> =
        get(entries, "default").and_then(|entry| entry.value.entries()).unwrap_or_default().to_vec();
    let legacy = ["image", "services", "cache", "before_script", "after_script"];
    let legacy = entries
        .iter()
        .filter(|entry| legacy.contains(&entry.key.as_str()) && get(&own, &entry.key).is_none());
    let defaults: Vec<Entry> = own.iter().cloned().chain(legacy.cloned()).collect();
    let mut found = Vec::new();
    for entry in
        entries.iter().filter(|entry| !GLOBAL.contains(&entry.key.as_str()) && !entry.key.starts_with('.'))
    {
        let Some(keys) = entry.value.entries() else {
            let message = format!("`{}` must be a job (a mapping with `script`)", shown(&entry.key));
            notes.wrong(entry.key_span, message);
            continue;
        };
        if found.len() >= MOST_JOBS {
            notes.wrong(entry.key_span, format!("the file has more than {MOST_JOBS} jobs"));
            break;
        }
        let mut keys = keys.to_vec();
        let inherits = inherits(&keys);
        for default in defaults
            .iter()
            .filter(|default| DEFAULTS.contains(&default.key.as_str()) && inherits(&default.key))
        {
            if !keys.iter().any(|entry| entry.key == default.key)
                && notes.spend(default.key.len() + 8, entry.key_span)
            {
                keys.push(default.clone());
            }
        }
        found.push(Found { entry: entry.clone(), keys });
    }
    found
}

/// Which keys of `default` a job takes.
fn inherits(keys: &[Entry]) -> impl Fn(&str) -> bool + use<> {
    let default = get(keys, "inherit")
        .and_then(|entry| entry.value.entries())
        .and_then(|inherit| get(inherit, "default"));
    let none = default.is_some_and(|entry| flag(&entry.value) == Some(false));
    let only: Option<Vec<String>> = default
        .filter(|entry| flag(&entry.value).is_none())
        .map(|entry| items(&entry.value).iter().filter_map(text).map(str::to_owned).collect());
    move |key| !none && only.as_ref().is_none_or(|only| only.iter().any(|name| name == key))
}

/// A job with how often it runs and what it is called.
struct Plan<'a> {
    entry: &'a Entry,
    keys: Vec<Entry>,
    called: String,
    parallel: Parallel,
}

/// What each job becomes, and what each is called in the result; nothing for one that is not carried over.
fn plan<'a>(jobs: &'a [Found], notes: &mut Notes) -> (Vec<Plan<'a>>, HashMap<String, Vec<String>>) {
    let mut plans = Vec::new();
    let mut names: HashMap<String, Vec<String>> = HashMap::new();
    let mut called = JobNames::new(jobs.iter().map(|job| job.entry.key.clone()));
    for Found { entry, keys } in jobs {
        let name = &entry.key;
        if let Some(trigger) = get(keys, "trigger") {
            let message = format!("`{}` triggers another pipeline and is not carried over", shown(name));
            notes.note_help(trigger.key_span, message, "a job can run `jobwright run` in its script");
            names.insert(name.clone(), Vec::new());
            continue;
        }
        let called = called.called(name, entry.key_span, notes);
        let parallel = matrix::read(keys, notes);
        let all = match &parallel {
            Parallel::WrittenOut(combinations) => {
                combinations.iter().map(|(behind, _)| format!("{called}{behind}")).collect()
            }
            _ => vec![called.clone()],
        };
        if let Some(long) = all.iter().find(|name| name.chars().count() > 200) {
            notes.wrong(entry.key_span, format!("the name `{}` is longer than 200 characters", shown(long)));
        }
        names.insert(name.clone(), all);
        plans.push(Plan { entry, keys: keys.clone(), called, parallel });
    }
    (plans, names)
}

/// Says which jobs cannot need what they need: the graph has the rules that ours has.
fn check_needs(plans: &[Plan<'_>], stages: &Stages, notes: &mut Notes) {
    let names: HashMap<&str, usize> =
        plans.iter().enumerate().map(|(at, plan)| (plan.entry.key.as_str(), at)).collect();
    let mut graph = NeedsGraph::new(&names, &stages.names, false);
    for plan in plans {
        let needs = get(&plan.keys, "needs").map(|entry| job::needed(entry, notes)).unwrap_or_default();
        let needs = needs.into_iter().map(|need| (need.job.to_owned(), need.span)).collect();
        let (stage, _) = stages.of(plan);
        graph.add(&plan.entry.key, stages.names.iter().position(|known| known == stage), needs);
    }
    let mut findings = Findings::default();
    graph.check(&mut findings);
    notes.take(findings);
}

impl Plan<'_> {
    fn write(&self, stage: &str, setting: &Setting<'_>, notes: &mut Notes) -> Vec<Job> {
        let with_stage = |mut job: Job| {
            job.set("stage", Out::text(stage));
            job
        };
        match &self.parallel {
            Parallel::Once => {
                vec![with_stage(job::write(&self.called, self.entry, &self.keys, &[], setting, notes))]
            }
            Parallel::Matrix(matrix, beside) => {
                let mut job = job::write(&self.called, self.entry, &self.keys, beside, setting, notes);
                job.set("matrix", matrix.clone());
                vec![with_stage(job)]
            }
            Parallel::WrittenOut(combinations) => {
                let mut jobs = Vec::new();
                for (behind, values) in combinations {
                    if notes.fits() {
                        let called = format!("{}{behind}", self.called);
                        jobs.push(with_stage(job::write(
                            &called, self.entry, &self.keys, values, setting, notes,
                        )));
                    }
                }
                jobs
            }
        }
    }
}

/// The stages of the result.
struct Stages {
    names: Vec<String>,
    /// What a stage is called here, where that is not its own name.
    renamed: HashMap<String, String>,
}

impl Stages {
    fn read(entries: &[Entry], jobs: &[Found], notes: &mut Notes) -> Self {
        let written = get(entries, "stages").or_else(|| get(entries, "types"));
        let mut names: Vec<String> = match written {
            Some(entry) => {
                let mut names = Vec::new();
                for (name, span) in texts_of(entry, notes) {
                    if name.trim().is_empty() || !name.chars().all(is_showable) || name.chars().count() > 200
                    {
                        notes.wrong(span, format!("`{}` is no name of a stage", shown(&name)));
                    } else if !names.contains(&name) {
                        names.push(name);
                    }
                    if names.len() > 1_000 {
                        notes.wrong(span, "the file has more than 1000 stages");
                        break;
                    }
                }
                names
            }
            None => ["build", "test", "deploy"].map(str::to_owned).to_vec(),
        };
        names.retain(|name| name != ".pre" && name != ".post");
        let used: HashSet<&str> = jobs
            .iter()
            .filter_map(|job| get(&job.keys, "stage"))
            .filter_map(|entry| text(&entry.value))
            .collect();
        let mut renamed = HashMap::new();
        let dotted: Vec<String> = names.iter().filter(|name| name.starts_with('.')).cloned().collect();
        let edges = [".pre", ".post"].into_iter().filter(|name| used.contains(name)).map(str::to_owned);
        for name in dotted.into_iter().chain(edges) {
            let mut other = name.trim_start_matches('.').to_owned();
            while other.trim().is_empty() || names.contains(&other) {
                other.push('_');
            }
            match name.as_str() {
                ".pre" => names.insert(0, other.clone()),
                ".post" => names.push(other.clone()),
                name => {
                    names.iter_mut().filter(|known| *known == name).for_each(|known| known.clone_from(&other))
                }
            }
            renamed.insert(name, other);
        }
        if names.is_empty() {
            names.push("test".to_owned());
        }
        Self { names, renamed }
    }

    /// The stage of a job, `test` when it says none, and where it says so.
    fn of<'a>(&'a self, plan: &'a Plan<'_>) -> (&'a str, Span) {
        let (name, span) = match get(&plan.keys, "stage") {
            Some(entry) => (text(&entry.value).unwrap_or_default(), entry.value.span),
            None => ("test", plan.entry.key_span),
        };
        (self.renamed.get(name).map_or(name, String::as_str), span)
    }

    fn check(&self, plan: &Plan<'_>, notes: &mut Notes) {
        let (name, span) = self.of(plan);
        if !self.names.iter().any(|known| known == name) && notes.fits() {
            let known = shown(&self.names.join(", "));
            notes.push(
                crate::Finding::error(
                    span,
                    format!("the stage `{}` of `{}` is not in `stages`", shown(name), shown(&plan.entry.key)),
                )
                .help(format!("the stages are: {known}")),
            );
        }
    }
}
