//! One job of GitLab's in our keys. Not for which jobs there are (`mod`), when one runs (`rules`) or how often (`matrix`).

use std::collections::{HashMap, HashSet};

use super::variables::Written;
use super::{containers, is_predefined, kept, rules};
use crate::import::conditions::Condition;
use crate::import::document::{Job, Out};
use crate::import::node::{
    commands, flag, get, items, mapping, names_in, note_others, number, place, text, text_of, wrong_kind,
};
use crate::import::{Notes, duration};
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Entry, Value};

/// Keys that are read, here or by whoever calls.
pub(in crate::import) const KNOWN: [&str; 27] = [
    "stage",
    "image",
    "script",
    "before_script",
    "after_script",
    "variables",
    "services",
    "cache",
    "artifacts",
    "needs",
    "rules",
    "only",
    "except",
    "when",
    "parallel",
    "timeout",
    "retry",
    "allow_failure",
    "resource_group",
    "inherit",
    "extends",
    "trigger",
    "start_in",
    "tags",
    "interruptible",
    "environment",
    "coverage",
];

/// What holds for all jobs of the file.
pub(super) struct Setting<'a> {
    /// Variables at the top.
    pub(super) globals: &'a Written,
    /// Whether those are written at the top of the result too.
    pub(super) globals_at_top: bool,
    pub(super) workflow: &'a Condition,
    /// What the jobs are called in the result, by their names in the file; several for one whose matrix was written out.
    pub(super) names: &'a HashMap<String, Vec<String>>,
    /// The jobs, by their names in the file, that may not be part of a pipeline of GitLab's.
    pub(super) conditional: &'a HashSet<&'a str>,
}

/// The job `name` with these keys; `extra` are the variables of one combination of a matrix that is written out.
pub(super) fn write(
    called: &str,
    name: &Entry,
    keys: &[Entry],
    extra: &[(String, String)],
    setting: &Setting<'_>,
    notes: &mut Notes,
) -> Job {
    let mut job = Job::new(called);
    let whose = format!("`{}`", shown(&name.key));
    note_others(keys, &KNOWN, &whose, notes);
    note_what_is_of_the_server(keys, &whose, notes);
    let when = rules::read(keys, name, notes);
    let own = own_variables(keys, &when.variables, extra, name.key_span, notes);
    let globals = inherited(keys, setting, notes);
    let all = own.over(&globals);
    let written = if setting.globals_at_top { &own } else { &all };
    let variables = all.expanded(written, notes);
    if !variables.is_empty() {
        job.set("variables", Out::variables(&variables));
    }
    match get(keys, "image") {
        Some(image) => job.maybe("image", containers::image(image, &all, notes).map(Out::Text)),
        None => notes.note_help(
            name.key_span,
            format!("{whose} has no image: GitLab takes the runner's"),
            "add `image`, or run it on the host",
        ),
    }
    job.maybe("services", get(keys, "services").and_then(|entry| containers::services(entry, &all, notes)));
    job.maybe("cache", get(keys, "cache").and_then(|entry| kept::caches(entry, &all, notes)));
    job.maybe("artifacts", get(keys, "artifacts").and_then(|entry| kept::artifacts(entry, &all, notes)));
    script(&mut job, name, keys, &all, notes);
    job.maybe("timeout", get(keys, "timeout").and_then(|entry| timeout(entry, notes)));
    job.maybe("retry", get(keys, "retry").and_then(|entry| retry(entry, notes)));
    match get(keys, "allow_failure") {
        Some(entry) => job.maybe("allow_failure", allow_failure(entry, notes)),
        None => job.maybe("allow_failure", when.allow_failure.filter(|allowed| *allowed).map(Out::flag)),
    }
    if let Some(group) =
        get(keys, "resource_group").and_then(|entry| text_of(entry, notes).map(|group| (group, entry)))
    {
        let name: String = all.expand(group.0, group.1.value.span, notes).chars().take(100).collect();
        job.set("concurrency", Out::map([("group", Out::text(name)), ("limit", Out::number(1))]));
    }
    job.maybe("needs", get(keys, "needs").and_then(|entry| needs(entry, name, setting, notes)));
    if when.manual {
        job.comments.push("Started by hand in GitLab: runs when `--env MANUAL=1` is given.".to_owned());
    }
    job.condition(&setting.workflow.clone().and(when.condition), when.span, notes);
    job
}

fn note_what_is_of_the_server(keys: &[Entry], whose: &str, notes: &mut Notes) {
    for (key, why) in [
        ("tags", "runners are not chosen by tags here; see `backend`"),
        ("interruptible", "a newer run does not cancel an older one"),
        ("environment", "deployments are not recorded"),
        ("coverage", "coverage is not read from the output"),
        ("start_in", "the job runs at once"),
    ] {
        if let Some(entry) = get(keys, key) {
            notes.note(entry.key_span, format!("`{key}` of {whose} is not carried over: {why}"));
        }
    }
}

fn own_variables(
    keys: &[Entry],
    rule: &[Entry],
    extra: &[(String, String)],
    span: Span,
    notes: &mut Notes,
) -> Written {
    let mut own = Written::default();
    own.add(get(keys, "variables"), notes);
    own.add_all(rule, notes);
    extra.iter().for_each(|(name, value)| own.set(name, value, span));
    own
}

/// The variables at the top that the job inherits.
fn inherited(keys: &[Entry], setting: &Setting<'_>, notes: &mut Notes) -> Written {
    // Copying them for every job is what costs most in a file of many of both.
    if !notes.spend(setting.globals.values.len(), Span::default()) {
        return Written::default();
    }
    let inherit = get(keys, "inherit").and_then(|entry| mapping(entry, notes));
    let Some(variables) = inherit.and_then(|inherit| get(inherit, "variables")) else {
        return setting.globals.clone();
    };
    match flag(&variables.value) {
        Some(true) => setting.globals.clone(),
        Some(false) => Written::default(),
        None => {
            let names: Vec<&str> = items(&variables.value).iter().filter_map(text).collect();
            let mut globals = setting.globals.clone();
            globals.values.retain(|name, _| names.contains(&name.as_str()));
            globals
        }
    }
}

fn script(job: &mut Job, name: &Entry, keys: &[Entry], variables: &Written, notes: &mut Notes) {
    let mut read = |key| get(keys, key).map(|entry| commands(entry, notes)).unwrap_or_default();
    let (before, script, after) = (read("before_script"), read("script"), read("after_script"));
    if script.is_empty()
        && notes.fits()
        && get(keys, "script").is_none_or(|entry| items(&entry.value).is_empty())
    {
        notes.wrong(name.key_span, format!("the job `{}` has no `script`", shown(&name.key)));
    }
    for (command, span) in before.iter().chain(&script).chain(&after) {
        for read in
            names_in(command).filter(|name| is_predefined(name) && !variables.values.contains_key(*name))
        {
            notes.reads_foreign(read, *span);
        }
    }
    let texts = |commands: &[(String, Span)]| {
        commands.iter().map(|(command, _)| Out::text(command)).collect::<Vec<_>>()
    };
    let mut all = [texts(&before), texts(&script)].concat();
    if all.is_empty() {
        // Commands that are nothing but blanks pass.
        all.push(Out::text(":"));
    }
    job.set("script", Out::List(all));
    if !after.is_empty() {
        job.set("after_script", Out::List(texts(&after)));
    }
}

/// A duration in our words.
fn timeout(entry: &Entry, notes: &mut Notes) -> Option<Out> {
    let text = text_of(entry, notes)?;
    match duration::seconds(text) {
        Some(seconds) => Some(Out::text(duration::write(seconds))),
        None => {
            wrong_kind(entry, "a duration such as `1 hour 30 minutes` or `90s`", notes);
            None
        }
    }
}

fn codes(entry: &Entry, notes: &mut Notes) -> Option<Out> {
    let mut codes = Vec::new();
    for item in items(&entry.value) {
        match number(item).filter(|code| (1..=255).contains(code)) {
            Some(code) => codes.push(Out::number(code)),
            None => {
                notes.wrong(place(entry), "an exit code must be a number from 1 to 255");
                return None;
            }
        }
    }
    (!codes.is_empty()).then_some(Out::List(codes))
}

fn allow_failure(entry: &Entry, notes: &mut Notes) -> Option<Out> {
    if let Some(allowed) = flag(&entry.value) {
        return allowed.then(|| Out::flag(true));
    }
    let Some(entries) = entry.value.entries() else {
        wrong_kind(entry, "`true`, `false` or a mapping with `exit_codes`", notes);
        return None;
    };
    note_others(entries, &["exit_codes"], "`allow_failure`", notes);
    let codes = get(entries, "exit_codes").and_then(|entry| codes(entry, notes))?;
    Some(Out::map([("exit_codes", codes)]))
}

/// What GitLab retries for, and what that is here; nothing when it cannot happen.
const CAUSES: [(&str, &[&str]); 12] = [
    ("runner_system_failure", &["infrastructure"]),
    ("api_failure", &["infrastructure"]),
    ("unknown_failure", &["infrastructure"]),
    ("scheduler_failure", &["infrastructure"]),
    ("data_integrity_failure", &["infrastructure"]),
    ("runner_unsupported", &["infrastructure"]),
    ("stuck_or_timeout_failure", &["infrastructure", "timeout"]),
    ("job_execution_timeout", &["timeout"]),
    ("stale_schedule", &[]),
    ("archived_failure", &[]),
    ("unmet_prerequisites", &[]),
    ("forward_deployment_failure", &[]),
];

fn retry(entry: &Entry, notes: &mut Notes) -> Option<Out> {
    let max_of = |entry: &Entry, notes: &mut Notes| {
        let max = number(&entry.value).filter(|max| *max <= 10);
        if max.is_none() {
            wrong_kind(entry, "a number from 0 to 2", notes);
        }
        max
    };
    let Some(entries) = entry.value.entries() else { return max_of(entry, notes).map(Out::number) };
    note_others(entries, &["max", "when", "exit_codes"], "`retry`", notes);
    // GitLab tries again up to twice when nothing is said.
    let max = get(entries, "max").map_or(Some(2), |entry| max_of(entry, notes))?;
    let mut on: Vec<&str> = Vec::new();
    let mut every = false;
    for (word, span) in
        get(entries, "when").map(|entry| crate::import::node::texts_of(entry, notes)).unwrap_or_default()
    {
        match CAUSES.iter().find(|(cause, _)| *cause == word) {
            _ if word == "always" => every = true,
            _ if word == "script_failure" => {
                notes.note(span, "`retry` for a `script_failure` is a retry for every failure here");
                every = true;
            }
            Some((_, [])) => notes.note(span, format!("`retry` for `{word}` is not carried over")),
            Some((_, causes)) => {
                on.extend(causes.iter().filter(|cause| !on.contains(*cause)).collect::<Vec<_>>())
            }
            None => notes.wrong(span, format!("there is no `{}` to retry for", shown(&word))),
        }
    }
    let codes = get(entries, "exit_codes").and_then(|entry| codes(entry, notes));
    if every || on.is_empty() && codes.is_none() {
        return Some(Out::number(max));
    }
    let mut retry = vec![("max", Out::number(max))];
    if !on.is_empty() {
        retry.push(("on", Out::texts(on)));
    }
    retry.extend(codes.map(|codes| ("exit_codes", codes)));
    Some(Out::map(retry))
}

/// Another job that a job needs.
pub(super) struct Need<'a> {
    pub(super) job: &'a str,
    pub(super) span: Span,
    optional: bool,
}

/// The jobs of this pipeline that the key `needs` names.
pub(super) fn needed<'a>(entry: &'a Entry, notes: &mut Notes) -> Vec<Need<'a>> {
    let mut all = Vec::new();
    for item in items(&entry.value) {
        let span = item.span;
        match item.value() {
            Value::Scalar(scalar) => all.push(Need { job: &scalar.text, span, optional: false }),
            Value::Mapping(entries) => {
                note_others(entries, &["job", "optional"], "this need", notes);
                let Some(job) = get(entries, "job") else { continue };
                if entries.iter().any(|entry| matches!(entry.key.as_str(), "project" | "pipeline")) {
                    continue;
                }
                let optional =
                    get(entries, "optional").and_then(|entry| flag(&entry.value)).unwrap_or_default();
                all.extend(text_of(job, notes).map(|job| Need { job, span, optional }));
            }
            Value::Sequence(_) => {
                notes.wrong(span, "a need must be the name of a job or a mapping with `job`");
            }
        }
    }
    all
}

fn needs(entry: &Entry, name: &Entry, setting: &Setting<'_>, notes: &mut Notes) -> Option<Out> {
    let mut needs: Vec<String> = Vec::new();
    for Need { job: needed, span, optional } in self::needed(entry, notes) {
        match setting.names.get(needed) {
            Some(names) if names.is_empty() => {
                notes.note(
                    span,
                    format!("the need of `{}` is not carried over, as that job is not", shown(needed)),
                );
            }
            Some(names) => {
                if optional && setting.conditional.contains(needed) {
                    let message = format!(
                        "the need of `{}` is optional: when that is not to run, its own needs are still waited for",
                        shown(needed)
                    );
                    notes.note_help(span, message, "need those instead that must have passed");
                }
                for needed in names {
                    if !needs.contains(needed) && notes.spend(needed.len(), span) {
                        needs.push(needed.clone());
                    }
                }
            }
            None if optional => notes.note(
                span,
                format!("the optional need of `{}` is left out: there is no such job", shown(needed)),
            ),
            None => notes.wrong(
                span,
                format!("`{}` needs `{}`, but there is no such job", shown(&name.key), shown(needed)),
            ),
        }
    }
    if needs.is_empty() {
        let help = "put it into the first stage to let it begin at once";
        notes.note_help(
            entry.key_span,
            format!("`{}` needs nothing and waits for all earlier stages here", shown(&name.key)),
            help,
        );
        return None;
    }
    Some(Out::texts(needs))
}
