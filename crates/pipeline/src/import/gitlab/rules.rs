//! When a job runs: `rules`, `only`, `except`, `when` and `workflow:rules` as one condition. Not for how a condition is written.

use super::expression::{self, pattern};
use crate::check::check_glob;
use crate::import::Notes;
use crate::import::conditions::{Condition, matches, quote};
use crate::import::node::{
    flag, get, items, mapping, note_others, place, scalar, text, texts_of, wrong_kind,
};
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Entry, Node, Value};

/// The most rules of one job; a condition of ours would not hold more.
const MOST_RULES: usize = 50;

/// When a job runs, and what its rules say beside.
pub(super) struct When {
    pub(super) condition: Condition,
    /// Where that is said.
    pub(super) span: Span,
    /// Whether a failure is allowed, when all rules agree.
    pub(super) allow_failure: Option<bool>,
    /// Variables of the only rule that can hold.
    pub(super) variables: Vec<Entry>,
    /// Whether it is started by hand.
    pub(super) manual: bool,
}

/// A job that someone has to start.
pub(super) fn by_hand() -> Condition {
    Condition::Term("vars.MANUAL != \"\"".to_owned())
}

/// What becomes of a job whose `when` has this word; nothing when there is no such word.
fn outcome(word: &str, span: Span, notes: &mut Notes) -> Option<Condition> {
    Some(match word {
        "on_success" => Condition::Always,
        "never" => Condition::Never,
        "manual" => by_hand(),
        "always" => {
            notes.note(span, "`when: always` is not carried over: the job does not run after a failure");
            Condition::Always
        }
        "delayed" => {
            notes.note(span, "`when: delayed` is not carried over: the job runs at once");
            Condition::Always
        }
        "on_failure" => {
            let help = "move its commands to the `after_script` of the jobs that may fail";
            notes.note_help(span, "`when: on_failure` is not carried over: the job does not run", help);
            Condition::Never
        }
        _ => {
            notes.wrong(span, format!("`when` cannot be `{}`", shown(word)));
            return None;
        }
    })
}

/// When the job with these keys runs.
pub(super) fn read(job: &[Entry], name: &Entry, notes: &mut Notes) -> When {
    let mut when = When {
        condition: Condition::Always,
        span: name.key_span,
        allow_failure: None,
        variables: Vec::new(),
        manual: false,
    };
    if let Some(rules) = get(job, "rules") {
        when.span = rules.key_span;
        read_rules(rules, job, &mut when, notes);
        return when;
    }
    if let Some(word) = get(job, "when") {
        when.span = word.key_span;
        when.condition = match text(&word.value) {
            Some(text) => outcome(text, word.value.span, notes).unwrap_or(Condition::Never),
            None => {
                wrong_kind(word, "a word such as `manual`", notes);
                Condition::Never
            }
        };
        when.manual = when.condition == by_hand();
        when.allow_failure = when.manual.then_some(true);
    }
    if let Some(only) = get(job, "only") {
        when.span = only.key_span;
        let only = read_refs(only, Condition::and, notes);
        when.condition = only.and(when.condition);
    }
    if let Some(except) = get(job, "except") {
        when.span = except.key_span;
        let except = read_refs(except, Condition::or, notes);
        when.condition = when.condition.and(except.not());
    }
    when
}

/// Whether a pipeline of GitLab's may lack the job with these keys.
pub(super) fn may_not_run(job: &[Entry]) -> bool {
    ["rules", "only", "except"].iter().any(|key| get(job, key).is_some())
}

struct Rule<'a> {
    holds: Condition,
    runs: Condition,
    entries: &'a [Entry],
}

fn read_rules(rules: &Entry, job: &[Entry], when: &mut When, notes: &mut Notes) {
    let job_when = get(job, "when").and_then(|entry| text(&entry.value)).unwrap_or("on_success");
    let mut read = Vec::new();
    for rule in flat(&rules.value) {
        match rule.entries() {
            Some(entries) => read.push(read_rule(entries, job_when, rule.span, notes)),
            None => notes.wrong(rule.span, "a rule must be a mapping with `if`, `changes` or `when`"),
        }
        if read.len() > MOST_RULES {
            notes.note(
                rules.key_span,
                format!("more than {MOST_RULES} rules are not carried over: the job does not run"),
            );
            when.condition = Condition::Never;
            return;
        }
    }
    let possible: Vec<&Rule<'_>> =
        read.iter().filter(|rule| rule.runs != Condition::Never && rule.holds != Condition::Never).collect();
    beside(&possible, when, notes);
    when.condition =
        read.into_iter().rev().fold(Condition::Never, |rest, rule| first_of(rule.holds, rule.runs, rest));
}

/// `rules` may have lists inside of the list, by `!reference`.
fn flat(node: &Node) -> Vec<&Node> {
    let mut all = Vec::new();
    for item in items(node) {
        match item.value() {
            Value::Sequence(inner) => all.extend(inner.iter().take(MOST_RULES + 1)),
            _ => all.push(item),
        }
        if all.len() > MOST_RULES {
            break;
        }
    }
    all
}

/// When the first rule holds it decides, else the rest does.
fn first_of(holds: Condition, runs: Condition, rest: Condition) -> Condition {
    match runs {
        Condition::Always => holds.or(rest),
        Condition::Never => holds.not().and(rest),
        runs if rest == Condition::Never => holds.and(runs),
        runs => holds.clone().and(runs).or(holds.not().and(rest)),
    }
}

fn read_rule<'a>(entries: &'a [Entry], job_when: &str, span: Span, notes: &mut Notes) -> Rule<'a> {
    note_others(
        entries,
        &["if", "changes", "exists", "when", "allow_failure", "variables"],
        "this rule",
        notes,
    );
    let mut holds = Condition::Always;
    let mut unclear = false;
    // What cannot be decided must not make a job run.
    let never = get(entries, "when").and_then(|when| text(&when.value)).unwrap_or(job_when) == "never";
    let counts = if never { "the rule counts as met without it" } else { "the rule counts as not met" };
    if let Some(condition) = get(entries, "if") {
        match text(&condition.value) {
            Some(text) => match expression::read(text, condition.value.span, notes) {
                Ok(condition) => holds = condition,
                Err(why) => {
                    let message =
                        format!("`if: {}` is not carried over because {why}: {counts}", shown(text));
                    notes.note(condition.value.span, message);
                    unclear = true;
                }
            },
            None => wrong_kind(condition, "an expression such as `$CI_COMMIT_TAG`", notes),
        }
    }
    if let Some(changes) = get(entries, "changes") {
        match read_changes(changes, counts, notes) {
            Some(changed) => holds = holds.and(changed),
            None => unclear = true,
        }
    }
    if let Some(exists) = get(entries, "exists") {
        notes.note(exists.key_span, format!("`exists` is not carried over: {counts}"));
        unclear = true;
    }
    let runs = match get(entries, "when") {
        Some(when) => match text(&when.value) {
            Some(word) => outcome(word, when.value.span, notes).unwrap_or(Condition::Never),
            None => {
                wrong_kind(when, "a word such as `never`", notes);
                Condition::Never
            }
        },
        None => outcome(job_when, span, notes).unwrap_or(Condition::Never),
    };
    let holds = if unclear && !never { Condition::Never } else { holds };
    Rule { holds, runs, entries }
}

/// What the rules that can hold say beside.
fn beside(possible: &[&Rule<'_>], when: &mut When, notes: &mut Notes) {
    let allowed = |rule: &Rule<'_>| get(rule.entries, "allow_failure").and_then(|entry| flag(&entry.value));
    when.manual = possible.iter().any(|rule| rule.runs == by_hand());
    let first = possible.first().and_then(|rule| allowed(rule));
    if possible.iter().all(|rule| allowed(rule) == first) {
        when.allow_failure = first;
    } else {
        for entry in possible.iter().filter_map(|rule| get(rule.entries, "allow_failure")) {
            notes.note(entry.key_span, "`allow_failure` of one rule of several is not carried over");
        }
    }
    let with_variables = possible.iter().filter_map(|rule| get(rule.entries, "variables"));
    for entry in with_variables {
        match (possible, entry.value.entries()) {
            ([_], Some(variables)) => when.variables = variables.to_vec(),
            _ => notes.note(entry.key_span, "`variables` of one rule of several are not carried over"),
        }
    }
}

/// `changes`, as a list or with `paths`.
fn read_changes(changes: &Entry, counts: &str, notes: &mut Notes) -> Option<Condition> {
    let globs = match changes.value.entries() {
        None => texts_of(changes, notes),
        Some(entries) => {
            note_others(entries, &["paths"], "`changes`", notes);
            get(entries, "paths").map(|paths| texts_of(paths, notes)).unwrap_or_default()
        }
    };
    changed(&globs, counts, notes)
}

/// Whether any of these files changed; nothing, and a note, when that cannot be said.
fn changed(globs: &[(String, Span)], counts: &str, notes: &mut Notes) -> Option<Condition> {
    let mut quoted = Vec::new();
    for (glob, span) in globs {
        if glob.contains('$') || check_glob(glob).is_err() {
            notes.note(*span, format!("`changes` with `{}` is not carried over: {counts}", shown(glob)));
            continue;
        }
        quoted.push(quote(glob));
    }
    (!quoted.is_empty()).then(|| Condition::Term(format!("changed({})", quoted.join(", "))))
}

/// `only` or `except`: a list of refs, or a mapping whose parts `join` puts together.
fn read_refs(entry: &Entry, join: fn(Condition, Condition) -> Condition, notes: &mut Notes) -> Condition {
    let Some(entries) = entry.value.entries() else {
        return any_ref(&texts_of(entry, notes), notes);
    };
    note_others(entries, &["refs", "variables", "changes"], &format!("`{}`", entry.key), notes);
    let mut parts = Vec::new();
    if let Some(refs) = get(entries, "refs") {
        parts.push(any_ref(&texts_of(refs, notes), notes));
    }
    if let Some(variables) = get(entries, "variables") {
        let mut any = Condition::Never;
        for (text, span) in texts_of(variables, notes) {
            match expression::read(&text, span, notes) {
                Ok(condition) => any = any.or(condition),
                Err(why) => notes.note(span, format!("`{}` is not carried over because {why}", shown(&text))),
            }
        }
        parts.push(any);
    }
    if let Some(changes) = get(entries, "changes") {
        parts.push(
            changed(&texts_of(changes, notes), "it counts as not changed", notes).unwrap_or(Condition::Never),
        );
    }
    parts.into_iter().reduce(join).unwrap_or(if entry.key == "only" {
        Condition::Always
    } else {
        Condition::Never
    })
}

/// Words that stand for what began a pipeline.
const SOURCES: [(&str, &str); 10] = [
    ("merge_requests", "merge_request_event"),
    ("external_pull_requests", "external_pull_request_event"),
    ("pushes", "push"),
    ("schedules", "schedule"),
    ("triggers", "trigger"),
    ("pipelines", "pipeline"),
    ("web", "web"),
    ("api", "api"),
    ("chat", "chat"),
    ("external", "external"),
];

fn any_ref(refs: &[(String, Span)], notes: &mut Notes) -> Condition {
    let mut any = Condition::Never;
    for (name, span) in refs.iter().take(MOST_RULES) {
        any = any.or(one_ref(name, *span, notes));
    }
    if let Some((_, span)) = refs.get(MOST_RULES) {
        notes.note(*span, format!("refs after the first {MOST_RULES} are not carried over"));
    }
    any
}

fn one_ref(name: &str, span: Span, notes: &mut Notes) -> Condition {
    if let Some((_, source)) = SOURCES.iter().find(|(word, _)| *word == name) {
        return Condition::equals("event", &quote(source));
    }
    if name == "branches" {
        return Condition::Term("branch != \"\"".to_owned());
    }
    if name == "tags" {
        return Condition::Term("tag != \"\"".to_owned());
    }
    if let Some(regex) = name.strip_prefix('/') {
        return match pattern(regex) {
            Ok((regex, behind)) => {
                if !behind.is_empty() {
                    notes.note(span, format!("`{}` behind the pattern is not carried over", shown(behind)));
                }
                let condition = matches("branch", &regex).or(matches("tag", &regex));
                if condition.text().is_some() {
                    return condition;
                }
                notes.note(span, format!("`{}` is not carried over: it counts as not met", shown(name)));
                Condition::Never
            }
            Err(why) => {
                notes.wrong(span, format!("`{}` is no pattern: {why}", shown(name)));
                Condition::Never
            }
        };
    }
    let (plain, path) = name.split_once('@').unwrap_or((name, ""));
    if !path.is_empty() {
        notes.note(span, format!("the project `{}` of this ref is not carried over", shown(path)));
    }
    Condition::equals("branch", &quote(plain)).or(Condition::equals("tag", &quote(plain)))
}

/// When the pipeline runs at all, by `workflow`.
pub(super) fn workflow(entry: &Entry, notes: &mut Notes) -> Condition {
    let Some(entries) = mapping(entry, notes) else { return Condition::Always };
    note_others(entries, &["rules"], "`workflow`", notes);
    let Some(rules) = get(entries, "rules") else { return Condition::Always };
    let mut condition = Condition::Never;
    let all = flat(&rules.value);
    if all.len() > MOST_RULES {
        notes.note(place(rules), "`workflow:rules` has too many rules and is not carried over");
        return Condition::Always;
    }
    for rule in all.into_iter().rev() {
        let Some(entries) = rule.entries() else {
            notes.wrong(rule.span, "a rule must be a mapping with `if`, `changes` or `when`");
            continue;
        };
        if let Some(variables) = get(entries, "variables") {
            notes.note(variables.key_span, "`variables` of `workflow:rules` are not carried over");
        }
        let never = get(entries, "when")
            .and_then(|when| scalar(&when.value))
            .is_some_and(|word| word.text == "never");
        let rule = read_rule(entries, "on_success", rule.span, notes);
        let runs = if never { Condition::Never } else { Condition::Always };
        condition = first_of(rule.holds, runs, condition);
    }
    condition
}
