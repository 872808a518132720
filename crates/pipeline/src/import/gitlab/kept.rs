//! `cache` and `artifacts`. Not for keeping files.

use super::variables::{Written, name_of};
use crate::check::check_glob;
use crate::import::Notes;
use crate::import::document::Out;
use crate::import::node::{get, items, mapping, note_others, text, text_of, texts_of};
use crate::source::Span;
use crate::text::shown;
use crate::yaml::Entry;

/// The longest path.
const LONGEST: usize = 1024;

/// One cache or several.
pub(super) fn caches(entry: &Entry, variables: &Written, notes: &mut Notes) -> Option<Out> {
    let mut caches = Vec::new();
    for item in items(&entry.value) {
        match item.entries() {
            Some([]) => {}
            Some(entries) => caches.extend(cache(entries, entry.key_span, variables, notes)),
            None => notes.wrong(item.span, "a cache must be a mapping with `paths`"),
        }
    }
    match caches.len() {
        0 => None,
        1 => caches.pop(),
        _ => Some(Out::List(caches)),
    }
}

fn cache(entries: &[Entry], span: Span, variables: &Written, notes: &mut Notes) -> Option<Out> {
    note_others(entries, &["key", "paths", "policy"], "this cache", notes);
    let key = get(entries, "key").map_or_else(|| Some("default".to_owned()), |key| self::key(key, notes))?;
    let Some(paths) = get(entries, "paths") else {
        notes.note(span, "a cache without `paths` is not carried over");
        return None;
    };
    let mut kept = Vec::new();
    for (path, span) in paths_of(paths, variables, notes) {
        // The last part of a directory's content is all of it.
        let directory = path.trim_end_matches("/**/*").trim_end_matches("/**").trim_end_matches("/*");
        if directory.contains(['*', '?', '[']) {
            notes.note(
                span,
                format!(
                    "the cached path `{}` is not carried over: a cache here keeps whole directories",
                    shown(&path)
                ),
            );
        } else {
            kept.push(directory.to_owned());
        }
    }
    if kept.is_empty() {
        return None;
    }
    let mut cache = vec![("key", Out::text(key)), ("paths", Out::texts(kept))];
    if let Some(policy) = get(entries, "policy") {
        match text(&policy.value) {
            Some("pull-push") => {}
            Some(word @ ("pull" | "push")) => cache.push(("policy", Out::text(word))),
            Some(word) if word.contains('$') => {
                notes.note(policy.key_span, "a `policy` out of a variable is not carried over")
            }
            _ => notes.wrong(policy.value.span, "`policy` must be `pull`, `push` or `pull-push`"),
        }
    }
    Some(Out::map(cache))
}

/// A key, with `${NAME}` for a variable.
fn key(entry: &Entry, notes: &mut Notes) -> Option<String> {
    let Some(entries) = entry.value.entries() else {
        let text = text_of(entry, notes)?;
        return Some(with_braces(text, entry.value.span, notes));
    };
    note_others(entries, &["files", "files_commits", "prefix"], "`key`", notes);
    let files = get(entries, "files").or_else(|| get(entries, "files_commits"));
    let files = files.map(|files| texts_of(files, notes)).unwrap_or_default();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let help = "change the key by hand when the cache must be built anew";
    notes.note_help(
        entry.key_span,
        "`key:files` is not carried over: the key does not change with the files",
        help,
    );
    let prefix = get(entries, "prefix").and_then(|prefix| text(&prefix.value));
    let all: Vec<&str> = prefix.into_iter().chain(names).collect();
    Some(with_braces(
        if all.is_empty() { "default".to_owned() } else { all.join("-") }.as_str(),
        entry.value.span,
        notes,
    ))
}

fn with_braces(text: &str, span: Span, notes: &mut Notes) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match name_of(rest) {
            Some((name, behind)) => {
                if super::is_predefined(name) {
                    notes.reads_foreign(name, span);
                }
                out.push_str(&format!("${{{name}}}"));
                rest = behind;
            }
            None => {
                out.push_str("$$");
                rest = rest.strip_prefix("$$").unwrap_or(&rest[1..]);
            }
        }
    }
    out.push_str(rest);
    if out.trim().is_empty() { "default".to_owned() } else { out }
}

/// What a job leaves.
pub(super) fn artifacts(entry: &Entry, variables: &Written, notes: &mut Notes) -> Option<Out> {
    let entries = mapping(entry, notes)?;
    note_others(entries, &["paths", "when"], "`artifacts`", notes);
    let paths = get(entries, "paths").map(|paths| paths_of(paths, variables, notes)).unwrap_or_default();
    let mut kept = Vec::new();
    for (path, span) in paths {
        let path = path.strip_prefix("/workspace/").unwrap_or(&path);
        if path.starts_with('/') || check_glob(path).is_err() {
            notes.note(
                span,
                format!(
                    "the artifact `{}` is not carried over: it is no path within the project",
                    shown(path)
                ),
            );
        } else {
            kept.push(path.to_owned());
        }
    }
    if kept.is_empty() {
        return None;
    }
    let mut artifacts = vec![("paths", Out::texts(kept))];
    if let Some(when) = get(entries, "when") {
        match text(&when.value) {
            Some("on_success") => {}
            Some(word @ ("on_failure" | "always")) => artifacts.push(("when", Out::text(word))),
            _ => notes.wrong(when.value.span, "`when` must be `on_success`, `on_failure` or `always`"),
        }
    }
    Some(Out::map(artifacts))
}

fn paths_of(entry: &Entry, variables: &Written, notes: &mut Notes) -> Vec<(String, Span)> {
    let mut paths = Vec::new();
    for (path, span) in texts_of(entry, notes) {
        let path = ["$CI_PROJECT_DIR/", "${CI_PROJECT_DIR}/"]
            .iter()
            .find_map(|own| path.strip_prefix(own))
            .unwrap_or(&path);
        let path = variables.expand(path, span, notes);
        if path.is_empty()
            || path.len() > LONGEST
            || path.split('/').any(|part| part == "..")
            || path.contains('\0')
        {
            notes.note(span, format!("the path `{}` is not carried over", shown(&path)));
        } else if notes.spend(path.len(), span) {
            paths.push((path, span));
        }
    }
    paths
}
