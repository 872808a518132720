//! How YAML writes our values so that it reads them again as they were, and as a person would have written them. Not for what they mean.

use std::fmt::Write;

use crate::import::document::Out;
use crate::text::is_showable;

/// A line that is for people only.
pub(super) fn comment(into: &mut String, line: &str) {
    let line: String = line.chars().map(|c| if is_showable(c) { c } else { ' ' }).collect();
    into.push_str(format!("# {line}").trim_end());
    into.push('\n');
}

/// A key with its value, `depth` levels deep.
pub(super) fn entry(into: &mut String, key: &str, value: &Out, depth: usize) {
    indent(into, depth);
    into.push_str(&flow_text(key));
    into.push(':');
    behind(into, value, depth);
}

/// What stands behind a `:`, its line break included.
fn behind(into: &mut String, value: &Out, depth: usize) {
    match value {
        Out::Map(entries) if !entries.is_empty() => {
            into.push('\n');
            entries.iter().for_each(|(key, value)| entry(into, key, value, depth + 1));
        }
        Out::List(items) if !items.is_empty() && !is_short(items) => {
            into.push('\n');
            items.iter().for_each(|item| self::item(into, item, depth + 1));
        }
        value => {
            into.push(' ');
            inline(into, value, depth);
            into.push('\n');
        }
    }
}

fn item(into: &mut String, value: &Out, depth: usize) {
    indent(into, depth);
    into.push('-');
    match value {
        Out::Map(entries) if !entries.is_empty() => {
            for (at, (key, value)) in entries.iter().enumerate() {
                if at == 0 {
                    write!(into, " {}:", flow_text(key)).unwrap_or_default();
                    behind(into, value, depth + 1);
                } else {
                    entry(into, key, value, depth + 1);
                }
            }
        }
        value => {
            into.push(' ');
            inline(into, value, depth);
            into.push('\n');
        }
    }
}

/// A value that begins on the line it stands on.
fn inline(into: &mut String, value: &Out, depth: usize) {
    match value {
        Out::Bare(text) => into.push_str(text),
        Out::Text(text) => into.push_str(&block_text(text, depth)),
        Out::List(items) => {
            into.push('[');
            for (at, item) in items.iter().enumerate() {
                into.push_str(if at > 0 { ", " } else { "" });
                flow(into, item);
            }
            into.push(']');
        }
        Out::Map(entries) => {
            into.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                into.push_str(if at > 0 { ", " } else { "" });
                into.push_str(&flow_text(key));
                into.push_str(": ");
                flow(into, value);
            }
            into.push('}');
        }
    }
}

fn flow(into: &mut String, value: &Out) {
    match value {
        Out::Text(text) => into.push_str(&flow_text(text)),
        value => inline(into, value, 0),
    }
}

/// Whether a list fits on one line and reads well there: names, not commands.
fn is_short(items: &[Out]) -> bool {
    let width = |item: &Out| match item {
        Out::Text(text) if is_word(text) => Some(text.len() + 2),
        Out::Bare(text) => Some(text.len() + 2),
        _ => None,
    };
    items
        .iter()
        .try_fold(0, |sum: usize, item| width(item).map(|width| sum + width))
        .is_some_and(|sum| sum <= 80)
}

fn indent(into: &mut String, depth: usize) {
    into.extend(std::iter::repeat_n("  ", depth));
}

/// A text where a bracket, a comma or a `:` would end it.
fn flow_text(text: &str) -> String {
    if is_word(text) { text.to_owned() } else { quoted(text) }
}

fn block_text(text: &str, depth: usize) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if let Some(block) = block(text, depth + 1) {
        return block;
    }
    quoted(text)
}

/// Whether YAML takes it for a text, in a flow collection as well.
fn is_word(text: &str) -> bool {
    text.len() <= 200
        && is_plain(text)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./@+=:^~".contains(&byte))
        && !text.ends_with(':')
}

/// Whether YAML takes it for a text where it stands alone behind a key or a `-`.
fn is_plain(text: &str) -> bool {
    let first_is_safe = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/' | '$'))
        || text.starts_with("./")
        || text.starts_with("../");
    first_is_safe
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !is_other_word(text)
}

/// Words that some YAML takes for something else than a text.
fn is_other_word(text: &str) -> bool {
    ["true", "false", "yes", "no", "on", "off", "y", "n", "null"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// Several lines as they stand.
fn block(text: &str, depth: usize) -> Option<String> {
    let (body, sign) = match text.strip_suffix('\n') {
        Some(body) => (body, "|"),
        None => (text, "|-"),
    };
    let is_line = |line: &str| {
        line.is_empty() || !line.trim().is_empty() && line.chars().all(|c| is_showable(c) || c == '\t')
    };
    let begins_well = body.starts_with(|c: char| !c.is_whitespace());
    if !body.contains('\n') || !begins_well || body.ends_with('\n') || !body.split('\n').all(is_line) {
        return None;
    }
    let mut block = sign.to_owned();
    for line in body.split('\n') {
        block.push('\n');
        if !line.is_empty() {
            indent(&mut block, depth);
            block.push_str(line);
        }
    }
    Some(block)
}

/// In single quotes where they do, else in double ones.
fn quoted(text: &str) -> String {
    if text.chars().all(|c| is_showable(c) && c != '\u{85}') {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if is_showable(c) => quoted.push(c),
            c => write!(quoted, "\\U{:08X}", u32::from(c)).unwrap_or_default(),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::findings::Findings;
    use crate::source::Source;
    use crate::yaml::{self, Value};

    fn read_again(text: &str, as_item: bool) -> Option<String> {
        let mut written = String::new();
        let value = Out::List(vec![Out::text(text), Out::text("x y")]);
        let value = if as_item { value } else { Out::map([("k", Out::text(text))]) };
        entry(&mut written, "top", &value, 0);
        let mut findings = Findings::default();
        let root = yaml::parse(&Source::new("p", &*written), &mut findings)?;
        let inner = &root.entries()?.first()?.value;
        let node = match inner.value() {
            Value::Sequence(items) => items.first()?,
            Value::Mapping(entries) => &entries.first()?.value,
            Value::Scalar(_) => return None,
        };
        match node.value() {
            Value::Scalar(scalar) if !scalar.is_null() && !scalar.is_bool() && !scalar.is_number() => {
                Some(scalar.text.clone())
            }
            _ => None,
        }
    }

    #[test]
    fn what_looks_like_something_else_is_quoted() {
        for text in [
            "", "1", "true", "No", "null", "~", "1e3", "0x1f", "a: b", "a #b", "- a", " a", "a ", "a:", "'a",
            "{a}", "<<", "é", "a\tb",
        ] {
            for as_item in [true, false] {
                assert_eq!(read_again(text, as_item).as_deref(), Some(text), "{text:?}");
            }
        }
    }

    #[test]
    fn several_lines_stay_several_lines() {
        assert_eq!(block_text("if a; then\n  b\nfi\n", 0), "|\n  if a; then\n    b\n  fi");
        assert_eq!(block_text("a\n\nb", 0), "|-\n  a\n\n  b");
    }

    proptest! {
        #[test]
        fn any_text_is_read_again_as_it_was(text in "[^\0]{0,40}", as_item: bool) {
            prop_assert_eq!(read_again(&text, as_item), Some(text));
        }

        #[test]
        fn any_lines_are_read_again_as_they_were(text in "[ -~\n\t]{0,60}", as_item: bool) {
            prop_assert_eq!(read_again(&text, as_item), Some(text));
        }
    }
}
