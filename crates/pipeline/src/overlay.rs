//! Keys over keys: what a file or a job says itself stands before what it includes or extends. Not for which of two files or templates
//! is the nearer one.

use std::collections::HashSet;

use crate::check::describe_kind;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::yaml::{Entry, Node, Value};

/// The keys of which each name counts for itself; of a name that is both, the nearer one holds, whichever it is.
const BY_NAME: [&str; 2] = ["variables", "secrets"];

/// Adds to `near` what only `far` has.
pub(crate) fn keys(near: &mut Vec<Entry>, far: &[Entry], findings: &mut Findings) {
    let taken: HashSet<String> = near
        .iter()
        .filter(|entry| is_by_name(entry))
        .flat_map(|entry| entry.value.entries().unwrap_or_default())
        .map(|entry| entry.key.clone())
        .collect();
    for entry in far {
        let own = near.iter_mut().find(|own| own.key == entry.key);
        match (own, is_by_name(entry)) {
            (Some(own), true) => by_name(own, entry, &taken, findings),
            (Some(_), false) => {}
            (None, true) if entry.value.entries().is_some() => {
                let value = Node::mapping(untaken(entry, &taken), entry.value.span);
                near.push(Entry { value, ..entry.clone() });
            }
            (None, _) => near.push(entry.clone()),
        }
    }
}

fn is_by_name(entry: &Entry) -> bool {
    BY_NAME.contains(&entry.key.as_str())
}

/// The entries of a mapping whose names are not taken.
fn untaken(entry: &Entry, taken: &HashSet<String>) -> Vec<Entry> {
    let entries = entry.value.entries().unwrap_or_default();
    entries.iter().filter(|entry| !taken.contains(&entry.key)).cloned().collect()
}

/// Adds the names of `far` to `own`. Of two values that are no mappings one would be dropped without a word, so it is reported here.
fn by_name(own: &mut Entry, far: &Entry, taken: &HashSet<String>, findings: &mut Findings) {
    if far.value.entries().is_none() {
        if !far.value.is_null() {
            let found = describe_kind(&far.value);
            let message = format!("`{}` must be a mapping, found {found}", far.key);
            findings.push(Finding::error(far.value.span, message));
            findings.hide(far.value.span);
        }
        return;
    }
    let entries = match own.value.value() {
        Value::Mapping(entries) => entries.clone(),
        Value::Scalar(scalar) if scalar.is_null() => Vec::new(),
        _ => return,
    };
    let all = entries.into_iter().chain(untaken(far, taken)).collect();
    own.value = Node::mapping(all, own.value.span);
}
