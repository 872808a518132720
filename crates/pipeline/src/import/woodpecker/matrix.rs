//! A workflow's matrix: which combinations there are, and what each puts into the workflow's texts. Not for what a combination does.

use crate::import::Notes;
use crate::import::node::{get, items, mapping, text, wrong_kind};
use crate::text::{is_showable, shown};
use crate::yaml::{Entry, Node, Value};

/// The most combinations.
const MOST: usize = 1_000;

/// One combination, in the order of the names.
pub(super) type Variant = Vec<(String, String)>;

/// All combinations; one without variables when there is no matrix.
pub(super) fn variants(entry: Option<&Entry>, notes: &mut Notes) -> Vec<Variant> {
    let Some(entries) = entry.and_then(|entry| mapping(entry, notes)) else { return vec![Variant::new()] };
    let mut variants: Vec<Variant> = match get(entries, "include") {
        Some(include) => {
            items(&include.value).iter().filter_map(|item| included(item, notes)).take(MOST + 1).collect()
        }
        None => product(entries, notes),
    };
    if let Some(entry) = entry.filter(|_| variants.len() > MOST) {
        notes.wrong(entry.key_span, format!("this matrix has more than {MOST} combinations"));
        variants.clear();
    }
    variants.iter_mut().for_each(|variant| variant.sort());
    let mut seen = std::collections::HashSet::new();
    variants.retain(|variant| seen.insert(variant.clone()));
    if variants.is_empty() { vec![Variant::new()] } else { variants }
}

fn included(node: &Node, notes: &mut Notes) -> Option<Variant> {
    let Some(entries) = node.entries() else {
        notes.wrong(node.span, "an entry of `include` must be a mapping of variables to values");
        return None;
    };
    entries
        .iter()
        .map(|entry| {
            let name = can_be_named(entry, notes).then(|| entry.key.clone())?;
            value(&entry.value, entry, notes).map(|value| (name, value))
        })
        .collect()
}

/// Whether a combination can be called by the variable of that entry.
fn can_be_named(entry: &Entry, notes: &mut Notes) -> bool {
    let can = !entry.key.is_empty() && entry.key.chars().all(|c| is_showable(c) && c != '=');
    if !can {
        notes.wrong(entry.key_span, format!("`{}` cannot be the name of a variable", shown(&entry.key)));
    }
    can
}

fn value(node: &Node, entry: &Entry, notes: &mut Notes) -> Option<String> {
    match text(node).filter(|text| text.chars().count() <= 60 && text.chars().all(is_showable)) {
        Some(text) => Some(text.to_owned()),
        None => {
            wrong_kind(entry, "a short text or a list of them", notes);
            None
        }
    }
}

fn product(entries: &[Entry], notes: &mut Notes) -> Vec<Variant> {
    let mut all = vec![Variant::new()];
    let mut sorted: Vec<&Entry> = entries.iter().filter(|entry| can_be_named(entry, notes)).collect();
    sorted.sort_by(|one, other| one.key.cmp(&other.key));
    for entry in sorted {
        let values: Vec<String> =
            items(&entry.value).iter().filter_map(|item| value(item, entry, notes)).collect();
        if values.is_empty() {
            notes.note(entry.key_span, format!("`{}` has no values and is left out", shown(&entry.key)));
            continue;
        }
        if all.len().saturating_mul(values.len()) > MOST {
            return vec![Variant::new(); MOST + 1];
        }
        let with = |variant: &Variant, value: &String| {
            let mut variant = variant.clone();
            variant.push((entry.key.clone(), value.clone()));
            variant
        };
        all = all.iter().flat_map(|variant| values.iter().map(move |value| with(variant, value))).collect();
    }
    all
}

/// What stands behind the names of a combination's jobs.
pub(super) fn suffix(variant: &Variant) -> String {
    if variant.is_empty() {
        return String::new();
    }
    let values: Vec<String> = variant.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(" [{}]", values.join(", "))
}

/// `node` with the values of `variant` for every `${NAME}`, and `$` for every `$$`.
pub(super) fn substituted(node: &Node, variant: &Variant, notes: &mut Notes) -> Node {
    match node.value() {
        Value::Scalar(scalar) if scalar.text.contains('$') && notes.spend(scalar.text.len(), node.span) => {
            Node::rewritten(substitute(&scalar.text, variant), scalar, node.span)
        }
        Value::Scalar(_) => node.clone(),
        Value::Sequence(items) => {
            Node::sequence(items.iter().map(|item| substituted(item, variant, notes)).collect(), node.span)
        }
        Value::Mapping(entries) => {
            let with = |entry: &Entry, notes: &mut Notes| Entry {
                value: substituted(&entry.value, variant, notes),
                ..entry.clone()
            };
            Node::mapping(entries.iter().map(|entry| with(entry, notes)).collect(), node.span)
        }
    }
}

fn substitute(text: &str, variant: &Variant) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("$$") {
            out.push('$');
            rest = behind;
            continue;
        }
        let named = rest.strip_prefix("${").and_then(|inner| inner.split_once('}'));
        match named.and_then(|(name, behind)| {
            variant.iter().find(|(known, _)| known == name).map(|(_, value)| (value, behind))
        }) {
            Some((value, behind)) => {
                out.push_str(value);
                rest = behind;
            }
            None => {
                out.push('$');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_of_the_matrix_is_put_in_and_a_doubled_dollar_is_one() {
        let variant = vec![("GO".to_owned(), "1.24".to_owned())];
        assert_eq!(
            substitute("golang:${GO} $GO $${GO} ${OTHER} $", &variant),
            "golang:1.24 $GO ${GO} ${OTHER} $"
        );
    }
}
