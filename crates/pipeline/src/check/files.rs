//! The rules for `cache`, `artifacts` and `env_file` (local-ci.md 1.3): which paths are safe to take from a person's file.

use std::path::PathBuf;

use crate::check::fields::{Field, Fields};
use crate::check::values::{describe, one_or_more, scalar, text, word};
use crate::files::{Artifacts, Cache, CacheKey, CachePolicy, KeepWhen};
use crate::finding::Finding;
use crate::findings::Findings;
use crate::job::EnvFile;
use crate::keys::{ARTIFACTS_KEYS, CACHE_KEYS};
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Node, Value};

/// The longest path, in bytes.
const LONGEST_PATH: usize = 1024;
/// The deepest `{` in a glob: each becomes a group of a regular expression, whose nesting is bounded too.
const DEEPEST_BRACES: usize = 10;

/// One cache or a list of them.
pub(super) fn caches(field: Option<&Field<'_>>, findings: &mut Findings) -> Vec<Cache> {
    let Some(field) = field else { return Vec::new() };
    let items = match field.value.value() {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(field.value),
    };
    let caches = items.iter().filter_map(|item| cache(&Field { value: item, ..*field }, findings));
    caches.collect()
}

fn cache(field: &Field<'_>, findings: &mut Findings) -> Option<Cache> {
    let fields = Fields::of(field, CACHE_KEYS, findings)?;
    let span = field.place();
    let key = match fields.get("key") {
        Some(key) => cache_key(key, findings),
        None => {
            findings.push(
                Finding::error(span, "this cache has no `key`").help("add `key:` with a text of your own"),
            );
            None
        }
    };
    let paths = paths(&fields, span, "this cache", cache_path, findings);
    let policy = fields.get("policy").and_then(|field| {
        word(
            field,
            &[("pull", CachePolicy::Pull), ("push", CachePolicy::Push), ("pull-push", CachePolicy::PullPush)],
            findings,
        )
    });
    Some(Cache { key: key?, paths, policy: policy.unwrap_or_default(), span })
}

fn cache_key(field: &Field<'_>, findings: &mut Findings) -> Option<CacheKey> {
    let text = text(field, findings)?;
    match CacheKey::parse(text) {
        Ok(key) => {
            if let Some(name) = bare_variable(text) {
                let message = format!("`${name}` is not replaced in a key");
                let help = format!("write `${{{name}}}` for the variable, or `$${name}` for the text");
                findings.push(Finding::warning(field.place(), message).help(help));
            }
            Some(key)
        }
        Err(error) => {
            let help = "write `${NAME}` for a variable, `$$` for a `$`";
            findings.push(Finding::error(field.place(), format!("this key has {error}")).help(help));
            None
        }
    }
}

/// A name behind a single `$`, which a shell would replace.
fn bare_variable(text: &str) -> Option<&str> {
    let text_of =
        |part: &'_ str| part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let behind = &rest[at + 1..];
        if let Some(behind) = behind.strip_prefix('$') {
            rest = behind;
            continue;
        }
        let name = &behind[..text_of(behind)];
        if !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) {
            return Some(name);
        }
        rest = behind;
    }
    None
}

/// A job's artifacts.
pub(super) fn artifacts(field: Option<&Field<'_>>, findings: &mut Findings) -> Option<Artifacts> {
    let field = field?;
    let fields = Fields::of(field, ARTIFACTS_KEYS, findings)?;
    let paths = paths(&fields, field.key_span, "`artifacts`", artifact_path, findings);
    let when = fields.get("when").and_then(|field| {
        let words = [
            ("on_success", KeepWhen::OnSuccess),
            ("on_failure", KeepWhen::OnFailure),
            ("always", KeepWhen::Always),
        ];
        word(field, &words, findings)
    });
    Some(Artifacts { paths, when: when.unwrap_or_default(), span: field.key_span })
}

/// The files that `env_file` names.
pub(super) fn env_files(field: Option<&Field<'_>>, findings: &mut Findings) -> Vec<EnvFile> {
    let Some(field) = field else { return Vec::new() };
    let file = |item: &Node, findings: &mut Findings| {
        let path = path_text(field.key.name, item, findings)?;
        Some(EnvFile { path: PathBuf::from(path), span: item.span })
    };
    one_or_more(field, findings).iter().filter_map(|item| file(item, findings)).collect()
}

fn paths(
    fields: &Fields<'_>,
    span: Span,
    whose: &str,
    rule: fn(&str) -> Result<(), String>,
    findings: &mut Findings,
) -> Vec<String> {
    let items = match fields.get("paths") {
        Some(field) => one_or_more(field, findings),
        None => {
            let finding = Finding::error(span, format!("{whose} has no `paths`"));
            findings.push(finding.help("add `paths:` with a list of paths"));
            return Vec::new();
        }
    };
    if items.is_empty()
        && let Some(field) = fields.get("paths")
        && matches!(field.value.value(), Value::Sequence(_))
    {
        findings
            .push(Finding::error(field.place(), "`paths` must have at least one path, found an empty list"));
    }
    let path = |item: &Node, findings: &mut Findings| {
        let path = path_text("paths", item, findings)?;
        match rule(path) {
            Ok(()) => Some(path.to_owned()),
            Err(why) => {
                findings.push(Finding::error(item.span, format!("the path `{}` {why}", shown(path))));
                None
            }
        }
    };
    items.iter().filter_map(|item| path(item, findings)).collect()
}

fn path_text<'a>(key: &str, item: &'a Node, findings: &mut Findings) -> Option<&'a str> {
    let text = scalar(item).map(|scalar| scalar.text.as_str()).filter(|text| !text.is_empty());
    if text.is_none() {
        let message = format!("`{key}` must have paths, found {}", describe(item));
        findings.push(Finding::error(item.span, message));
    }
    text.filter(|text| {
        let fits = text.len() <= LONGEST_PATH;
        if !fits {
            let message = format!("this path is longer than {LONGEST_PATH} bytes");
            findings.push(Finding::error(item.span, message));
        }
        fits
    })
}

fn has_parent(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

fn cache_path(path: &str) -> Result<(), String> {
    if has_parent(path) { Err("must not have `..`".to_owned()) } else { Ok(()) }
}

/// A name such as `a..b` leads nowhere else, so it may be; local-ci refuses it.
fn artifact_path(path: &str) -> Result<(), String> {
    if path.starts_with('/') {
        return Err("must be relative to the job's working directory".to_owned());
    }
    if has_parent(path) {
        return Err("must not have `..`".to_owned());
    }
    check_glob(path)
}

/// Whether a glob can be understood.
pub(crate) fn check_glob(glob: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    for byte in glob.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST_BRACES {
            return Err(format!("has braces nested more than {DEEPEST_BRACES} deep"));
        }
    }
    globset::Glob::new(glob).map(drop).map_err(|error| format!("is no glob: {}", error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: local-ci 83
    #[test]
    fn an_artifact_path_leads_nowhere_else() {
        for path in ["dist", "dist/", "a/**/*.log", "a..b", "{a,b}/[a-z]?", "./x", "..."] {
            assert_eq!(artifact_path(path), Ok(()), "{path}");
        }
        for path in ["/dist", "..", "../x", "a/../b", "a/..", "{a", "[z-a]"] {
            assert!(artifact_path(path).is_err(), "{path}");
        }
        assert!(artifact_path(&"{".repeat(500)).is_err());
    }

    #[test]
    fn only_a_name_behind_one_dollar_is_a_variable_that_is_not_replaced() {
        assert_eq!(bare_variable("a-$REF_1/x"), Some("REF_1"));
        for text in ["$$REF", "${REF}", "$", "$1", "a"] {
            assert_eq!(bare_variable(text), None, "{text}");
        }
    }
}
