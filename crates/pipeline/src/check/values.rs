//! Values of the kind a rule expects, or a finding that says what is there instead.

use crate::check::fields::Field;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::keys;
use crate::text::shown;
use crate::yaml::{Node, Scalar, Value};

/// What is there, for after "found".
pub(crate) fn describe(node: &Node) -> String {
    match node.value() {
        Value::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
        Value::Scalar(scalar) if scalar.is_bool() => format!("the truth value `{}`", shown(&scalar.text)),
        Value::Scalar(scalar) if scalar.is_number() => format!("the number `{}`", shown(&scalar.text)),
        Value::Scalar(scalar) if scalar.text.is_empty() => "an empty text".to_owned(),
        Value::Scalar(scalar) => format!("the text `{}`", shown(&scalar.text)),
        _ => describe_kind(node).to_owned(),
    }
}

/// The same without the value, where that may be secret.
pub(crate) fn describe_kind(node: &Node) -> &'static str {
    match node.value() {
        Value::Scalar(scalar) if scalar.is_null() => "nothing",
        Value::Scalar(_) => "a text",
        Value::Sequence(items) if items.is_empty() => "an empty list",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
    }
}

/// The scalar that `node` is, unless it is nothing.
pub(super) fn scalar(node: &Node) -> Option<&Scalar> {
    match node.value() {
        Value::Scalar(scalar) if !scalar.is_null() => Some(scalar),
        _ => None,
    }
}

/// A text that is not empty; numbers and truth values count as the text that was written.
pub(super) fn text<'a>(field: &Field<'a>, findings: &mut Findings) -> Option<&'a str> {
    let text = scalar(field.value).map(|scalar| scalar.text.as_str()).filter(|text| !text.trim().is_empty());
    if text.is_none() {
        findings.push(field.wrong());
    }
    text
}

/// A name: a text that YAML does not take for a number or a truth value, as `1` and `"1"` look alike only to people.
pub(super) fn name<'a>(
    node: &'a Node,
    wrong: impl FnOnce() -> Finding,
    findings: &mut Findings,
) -> Option<&'a str> {
    match scalar(node) {
        Some(scalar) if scalar.is_bool() || scalar.is_number() => {
            findings.push(wrong().help(format!("write it with quotes: `\"{}\"`", shown(&scalar.text))));
            None
        }
        Some(scalar) if !scalar.text.is_empty() => Some(&scalar.text),
        _ => {
            findings.push(wrong());
            None
        }
    }
}

/// The items of a list, or the one item that a scalar stands for.
pub(super) fn one_or_more<'a>(field: &Field<'a>, findings: &mut Findings) -> &'a [Node] {
    match field.value.value() {
        Value::Sequence(items) => items,
        Value::Scalar(scalar) if !scalar.is_null() => std::slice::from_ref(field.value),
        _ => {
            findings.push(field.wrong());
            &[]
        }
    }
}

/// One of the `words`, as what it stands for; any other text gets the nearest word as help.
pub(super) fn word<T: Copy>(
    field: &Field<'_>,
    words: &[(&'static str, T)],
    findings: &mut Findings,
) -> Option<T> {
    let given = scalar(field.value).map(|scalar| scalar.text.as_str());
    let found = given.and_then(|given| words.iter().find(|(word, _)| *word == given));
    if found.is_none() {
        let nearest = keys::nearest(given.unwrap_or_default(), words.iter().map(|(word, _)| *word));
        findings.push(field.wrong().maybe_help(nearest.map(|word| format!("did you mean `{word}`?"))));
    }
    found.map(|(_, meaning)| *meaning)
}
