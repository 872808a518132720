//! Merge keys (`<<`): the entries of other mappings, where a mapping has no entry of its own. Not for `extends`, which is the
//! pipeline's own inheritance.

use crate::finding::Finding;
use crate::source::Span;
use crate::yaml::{Entry, Node, Value};

/// Puts the entries of `merged` behind `entries`. An entry of the mapping itself wins, then one of the earlier mapping.
/// `budget` is how many entries may still be merged in the whole file.
///
/// # Errors
/// A finding when `merged` is neither a mapping nor a list of mappings, or when the budget is used up.
pub(super) fn merge(
    entries: &mut Vec<Entry>,
    merged: &[(Span, Node)],
    budget: &mut usize,
) -> Result<(), Box<Finding>> {
    let mut known: std::collections::HashSet<String> =
        entries.iter().map(|entry| entry.key.clone()).collect();
    for (span, node) in merged {
        for mapping in mappings(*span, node)? {
            *budget = budget.checked_sub(mapping.len()).ok_or_else(|| {
                Box::new(Finding::error(*span, "the merges (`<<`) of this file add up to too many entries"))
            })?;
            for entry in mapping {
                if known.insert(entry.key.clone()) {
                    entries.push(entry.clone());
                }
            }
        }
    }
    Ok(())
}

fn mappings(span: Span, node: &Node) -> Result<Vec<&[Entry]>, Box<Finding>> {
    let wrong = || {
        let finding = Finding::error(span, "`<<` must be followed by a mapping or a list of mappings");
        Box::new(finding.help("write `<<: *anchor`, with `&anchor` on a mapping above"))
    };
    match node.value() {
        Value::Mapping(entries) => Ok(vec![entries]),
        Value::Sequence(items) => {
            let entries = items.iter().map(|item| match item.value() {
                Value::Mapping(entries) => Ok(entries.as_slice()),
                _ => Err(wrong()),
            });
            entries.collect()
        }
        Value::Scalar(_) => Err(wrong()),
    }
}
