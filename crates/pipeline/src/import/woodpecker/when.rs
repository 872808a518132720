//! `when`: a list of filters of which one must hold, each a mapping of which all must. Not for what becomes of a step that does not run.

use super::matrix::Variant;
use crate::check::check_glob;
use crate::import::Notes;
use crate::import::conditions::{Condition, globs, quote};
use crate::import::node::{get, items, note_others, text, texts_of};
use crate::source::Span;
use crate::text::shown;
use crate::yaml::Entry;

/// The most filters; a condition of ours would not hold more.
const MOST: usize = 30;

/// When a step or workflow runs.
pub(super) fn read(keys: &[Entry], variant: &Variant, notes: &mut Notes) -> (Condition, Option<Span>) {
    let Some(when) = get(keys, "when") else { return (Condition::Always, None) };
    let filters = items(&when.value);
    if filters.len() > MOST {
        notes.note(when.key_span, format!("more than {MOST} filters are not carried over: it does not run"));
        return (Condition::Never, Some(when.key_span));
    }
    let mut any = Condition::Never;
    for filter in filters {
        match filter.entries() {
            Some(entries) => any = any.or(one(entries, variant, notes)),
            None => notes.wrong(filter.span, "a filter must be a mapping such as `event: push`"),
        }
    }
    (if filters.is_empty() { Condition::Always } else { any }, Some(when.key_span))
}

pub(in crate::import) const KNOWN: [&str; 12] = [
    "event", "branch", "ref", "repo", "platform", "instance", "cron", "path", "status", "matrix", "evaluate",
    "local",
];

fn one(entries: &[Entry], variant: &Variant, notes: &mut Notes) -> Condition {
    note_others(entries, &KNOWN, "`when`", notes);
    let mut all = Condition::Always;
    let events = get(entries, "event").map(|entry| texts_of(entry, notes));
    if let Some(events) = &events {
        let quoted: Vec<String> = events.iter().take(MOST).map(|(event, _)| quote(event)).collect();
        all = match quoted.as_slice() {
            [] => Condition::Always,
            [event] => Condition::equals("event", event),
            events => Condition::Term(format!("event in [{}]", events.join(", "))),
        };
    }
    if let Some(branch) = get(entries, "branch") {
        let on_branch = constraint(branch, |glob| globs("branch", glob), notes);
        // Woodpecker does not look at the branch when a tag began the pipeline.
        let may_be_tag = events.as_ref().is_none_or(|events| events.iter().any(|(event, _)| event == "tag"));
        let is_tag = Condition::equals("event", "\"tag\"");
        all = all.and(if may_be_tag { on_branch.or(is_tag) } else { on_branch });
    }
    if let Some(entry) = get(entries, "ref") {
        all = all.and(constraint(entry, reference, notes));
    }
    for (key, name) in
        [("repo", "CI_REPO"), ("platform", "CI_SYSTEM_PLATFORM"), ("instance", "CI_SYSTEM_HOST")]
    {
        if let Some(entry) = get(entries, key) {
            notes.reads_foreign(name, entry.key_span);
            all = all.and(constraint(entry, |glob| globs(&format!("vars.{name}"), glob), notes));
        }
    }
    if let Some(entry) = get(entries, "path") {
        all = all.and(paths(entry, notes));
    }
    if let Some(entry) = get(entries, "matrix").and_then(|entry| entry.value.entries()) {
        let value =
            |name: &str| variant.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        if !entry.iter().all(|entry| text(&entry.value) == value(&entry.key)) {
            all = Condition::Never;
        }
    }
    if let Some(status) = get(entries, "status") {
        all = all.and(self::status(status, notes));
    }
    for key in ["cron", "evaluate"] {
        if let Some(entry) = get(entries, key) {
            notes.note(
                entry.key_span,
                format!("`{key}` of `when` is not carried over: the filter counts as not met"),
            );
            all = Condition::Never;
        }
    }
    if let Some(local) = get(entries, "local") {
        notes.note(local.key_span, "`local` of `when` is not carried over");
    }
    all
}

/// A glob, a list of them, or `include` and `exclude`, of which `exclude` wins.
fn constraint(entry: &Entry, means: impl Fn(&str) -> Option<Condition>, notes: &mut Notes) -> Condition {
    let mut any = |entry: &Entry| {
        let mut any = Condition::Never;
        for (glob, span) in texts_of(entry, notes).into_iter().take(MOST) {
            match means(&glob) {
                Some(condition) => any = any.or(condition),
                None => {
                    notes.note(span, format!("`{}` is not carried over: it counts as not met", shown(&glob)))
                }
            }
        }
        any
    };
    let Some(entries) = entry.value.entries() else { return any(entry) };
    let included = get(entries, "include").map_or(Condition::Always, &mut any);
    let excluded = get(entries, "exclude").map_or(Condition::Never, &mut any);
    note_others(entries, &["include", "exclude"], &format!("`{}`", entry.key), notes);
    included.and(excluded.not())
}

fn reference(glob: &str) -> Option<Condition> {
    if let Some(branch) = glob.strip_prefix("refs/heads/") {
        return globs("branch", branch);
    }
    globs("tag", glob.strip_prefix("refs/tags/")?)
}

fn paths(entry: &Entry, notes: &mut Notes) -> Condition {
    let included = match entry.value.entries() {
        None => texts_of(entry, notes),
        Some(entries) => {
            note_others(entries, &["include"], "`path`", notes);
            get(entries, "include").map(|entry| texts_of(entry, notes)).unwrap_or_default()
        }
    };
    let mut quoted = Vec::new();
    for (glob, span) in included {
        match check_glob(&glob) {
            Ok(()) => quoted.push(quote(&glob)),
            Err(_) => notes.note(span, format!("the path `{}` is not carried over", shown(&glob))),
        }
    }
    if quoted.is_empty() {
        Condition::Always
    } else {
        Condition::Term(format!("changed({})", quoted.join(", ")))
    }
}

fn status(entry: &Entry, notes: &mut Notes) -> Condition {
    let words = texts_of(entry, notes);
    let has = |word: &str| words.iter().any(|(known, _)| known == word);
    if has("failure") && has("success") {
        notes.note(entry.key_span, "`status: failure` is not carried over: it runs after success only");
    } else if has("failure") {
        let help = "move its commands to the `after_script` of the jobs that may fail";
        notes.note_help(entry.key_span, "`status: failure` is not carried over: it does not run", help);
        return Condition::Never;
    }
    Condition::Always
}
