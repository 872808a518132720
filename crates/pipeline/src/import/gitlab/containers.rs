//! Images and services. Not for what runs in them.

use super::variables::Written;
use crate::check::describe;
use crate::import::Notes;
use crate::import::document::{Out, Variables};
use crate::import::node::{get, note_others, text, text_of};
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Entry, Node, Value};

/// The name of a job's image.
pub(super) fn image(entry: &Entry, variables: &Written, notes: &mut Notes) -> Option<String> {
    let name = match entry.value.value() {
        Value::Mapping(entries) => {
            note_others(entries, &["name"], "`image`", notes);
            match get(entries, "name") {
                Some(name) => text_of(name, notes)?,
                None => {
                    notes.wrong(entry.key_span, "`image` has no `name`");
                    return None;
                }
            }
        }
        _ => text_of(entry, notes)?,
    };
    checked(name, entry.value.span, variables, notes)
}

fn checked(name: &str, span: Span, variables: &Written, notes: &mut Notes) -> Option<String> {
    let name = variables.expand(name, span, notes);
    let name =
        name.strip_prefix("${CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX}/").unwrap_or(&name).trim().to_owned();
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        notes.wrong(span, format!("`{}` is no name of an image", shown(&name)));
        return None;
    }
    Some(name)
}

/// A job's services. Each gets the variables of the job, as in GitLab, under its own.
pub(super) fn services(entry: &Entry, job: &Written, notes: &mut Notes) -> Option<Out> {
    let mut services = Vec::new();
    let mut aliases = std::collections::HashSet::new();
    for item in crate::import::node::items(&entry.value) {
        if let Some((alias, service)) = service(item, job, notes) {
            if aliases.insert(alias.clone()) {
                services.push(service);
            } else {
                notes.wrong(item.span, format!("two services of this job are called `{}`", shown(&alias)));
            }
        }
    }
    (!services.is_empty()).then_some(Out::List(services))
}

fn service(node: &Node, job: &Written, notes: &mut Notes) -> Option<(String, Out)> {
    let entries: &[Entry] = match node.value() {
        Value::Mapping(entries) => entries,
        Value::Scalar(_) => &[],
        Value::Sequence(_) => {
            notes.wrong(
                node.span,
                format!("a service must be an image or a mapping with `name`, found {}", describe(node)),
            );
            return None;
        }
    };
    note_others(entries, &["name", "alias", "variables"], "this service", notes);
    let name = match get(entries, "name") {
        Some(name) => text_of(name, notes)?,
        None => match text(node).filter(|text| !text.is_empty()) {
            Some(text) => text,
            None => {
                notes.wrong(node.span, "this service has no `name`");
                return None;
            }
        },
    };
    let image = checked(name, node.span, job, notes)?;
    let alias = alias(entries, &image, node.span, job, notes)?;
    let mut own = Written::default();
    own.add(get(entries, "variables"), notes);
    let all: Variables = own.over(job).expanded(&own.over(job), notes);
    let mut keys = vec![("image", Out::text(&image))];
    if derived(&image) != alias {
        keys.push(("alias", Out::text(&alias)));
    }
    if !all.is_empty() {
        keys.push(("variables", Out::variables(&all)));
    }
    let short = keys.len() == 1;
    Some((alias, if short { Out::text(image) } else { Out::map(keys) }))
}

/// The first name by which a job reaches a service in GitLab.
fn alias(entries: &[Entry], image: &str, span: Span, job: &Written, notes: &mut Notes) -> Option<String> {
    let (alias, span) = match get(entries, "alias") {
        Some(entry) => {
            let all = job.expand(text_of(entry, notes)?, entry.value.span, notes);
            let mut names = all.split([',', ' ']).filter(|name| !name.is_empty());
            let first = names.next().unwrap_or_default().to_owned();
            if let Some(second) = names.next() {
                notes.note(
                    entry.value.span,
                    format!("a service has one alias here: `{}` is not carried over", shown(second)),
                );
            }
            (first, entry.value.span)
        }
        None => {
            let path = image.split(['@']).next().unwrap_or(image);
            let (before, last) = path.rsplit_once('/').map_or(("", path), |(before, last)| (before, last));
            let last = last.split(':').next().unwrap_or(last);
            if before.is_empty() {
                (last.to_owned(), span)
            } else {
                let other = format!("{}__{last}", before.replace('/', "__"));
                notes.note(
                    span,
                    format!("a service has one alias here: `{}` is not carried over", shown(&other)),
                );
                (format!("{}-{last}", before.replace(['/', ':'], "-")), span)
            }
        }
    };
    if alias.is_empty() || !alias.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        notes.wrong(span, format!("`{}` cannot be the alias of a service", shown(&alias)));
        return None;
    }
    Some(alias)
}

/// The alias that Jobwright gives a service when none is written.
fn derived(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split([':', '@']).next().unwrap_or(last)
}
