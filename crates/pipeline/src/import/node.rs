//! Short ways to look at a foreign file's tree. Not for what its keys mean.

use crate::check::describe;
use crate::import::notes::Notes;
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Entry, Node, Scalar, Value};

/// The entry of that key.
pub(super) fn get<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Entry> {
    entries.iter().find(|entry| entry.key == key && !entry.value.is_null())
}

/// The scalar that `node` is, unless it is nothing.
pub(super) fn scalar(node: &Node) -> Option<&Scalar> {
    match node.value() {
        Value::Scalar(scalar) if !scalar.is_null() => Some(scalar),
        _ => None,
    }
}

/// The text that `node` is.
pub(super) fn text(node: &Node) -> Option<&str> {
    scalar(node).map(|scalar| scalar.text.as_str())
}

/// Whether `node` is that truth value; nothing when it is none.
pub(super) fn flag(node: &Node) -> Option<bool> {
    scalar(node).filter(|scalar| scalar.is_bool()).map(|scalar| scalar.text.eq_ignore_ascii_case("true"))
}

/// The whole number that `node` is.
pub(super) fn number(node: &Node) -> Option<u32> {
    let text = text(node)?;
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// The items of a list, the one item that anything else stands for, or none for nothing.
pub(super) fn items(node: &Node) -> &[Node] {
    match node.value() {
        Value::Sequence(items) => items,
        _ if node.is_null() => &[],
        _ => std::slice::from_ref(node),
    }
}

/// Where an entry's value is; where its key is when there is none.
pub(super) fn place(entry: &Entry) -> Span {
    if entry.value.span.is_empty() { entry.key_span } else { entry.value.span }
}

/// Says that an entry holds the wrong kind of thing; `holds` fits after "must be".
pub(super) fn wrong_kind(entry: &Entry, holds: &str, notes: &mut Notes) {
    let message = format!("`{}` must be {holds}, found {}", shown(&entry.key), describe(&entry.value));
    notes.wrong(place(entry), message);
}

/// The entries of the mapping that `entry` holds.
pub(super) fn mapping<'a>(entry: &'a Entry, notes: &mut Notes) -> Option<&'a [Entry]> {
    let entries = entry.value.entries();
    if entries.is_none() {
        wrong_kind(entry, "a mapping", notes);
    }
    entries
}

/// The text that `entry` holds.
pub(super) fn text_of<'a>(entry: &'a Entry, notes: &mut Notes) -> Option<&'a str> {
    let text = text(&entry.value).filter(|text| !text.is_empty());
    if text.is_none() {
        wrong_kind(entry, "a text", notes);
    }
    text
}

/// A text or a list of texts.
pub(super) fn texts_of(entry: &Entry, notes: &mut Notes) -> Vec<(String, Span)> {
    let mut texts = Vec::new();
    for item in items(&entry.value) {
        match text(item) {
            Some(text) => texts.push((text.to_owned(), item.span)),
            None => {
                let message = format!(
                    "`{}` must be a text or a list of texts, found {}",
                    shown(&entry.key),
                    describe(item)
                );
                notes.wrong(if item.span.is_empty() { entry.key_span } else { item.span }, message);
            }
        }
    }
    texts
}

/// The commands of a script, lists inside of lists flattened.
pub(super) fn commands(entry: &Entry, notes: &mut Notes) -> Vec<(String, Span)> {
    fn flatten(node: &Node, into: &mut Vec<(String, Span)>, notes: &mut Notes) {
        match node.value() {
            Value::Scalar(scalar) if scalar.is_null() => {}
            Value::Scalar(scalar) => {
                if notes.spend(scalar.text.len() + 8, node.span) && !scalar.text.trim().is_empty() {
                    into.push((scalar.text.clone(), node.span));
                }
            }
            Value::Sequence(items) => {
                for item in items.iter().take_while(|_| true) {
                    if !notes.fits() {
                        return;
                    }
                    flatten(item, into, notes);
                }
            }
            Value::Mapping(_) => {
                let message = format!("a command must be a text, found {}", describe(node));
                notes.push(
                    crate::Finding::error(node.span, message)
                        .help("quote a command that contains `: `, as in `'echo \"a: b\"'`"),
                );
            }
        }
    }
    let mut commands = Vec::new();
    flatten(&entry.value, &mut commands, notes);
    commands
}

/// Notes every key of `entries` that is not in `known`; `whose` fits after "the key `x` of".
pub(super) fn note_others(entries: &[Entry], known: &[&str], whose: &str, notes: &mut Notes) {
    for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
        notes.note(entry.key_span, format!("`{}` of {whose} is not carried over", shown(&entry.key)));
    }
}

/// Every variable that `text` reads, as a shell would.
pub(super) fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('$').filter_map(|(at, _)| {
        let behind = &text[at + 1..];
        let behind = behind.strip_prefix('{').unwrap_or(behind);
        let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
        Some(&behind[..end]).filter(|name| !name.is_empty())
    })
}
