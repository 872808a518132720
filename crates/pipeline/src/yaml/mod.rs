//! YAML as a tree of our own with source positions. It knows nothing of pipelines: which keys there are and what they hold is
//! `check`'s business. All values are texts; what a plain text means (`1`, `true`) is for whoever reads it.

mod decode;
mod merge;
mod tree;

use std::rc::Rc;

pub use decode::MAX_BYTES;
pub(crate) use decode::{NotText, decode};
pub(crate) use tree::{parse, parse_with_references};

use crate::source::Span;

/// A value and where it was written; one that came through an alias says where its anchor is. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    value: Rc<Value>,
    /// Where it is.
    pub(crate) span: Span,
    /// Nodes in it with itself, every alias counted as often as it is used.
    size: usize,
    /// Levels in it; 1 for a scalar.
    depth: usize,
    /// Whether it is a list with the tag `!reference`, which only [`parse_with_references`] lets through.
    pub(crate) is_reference: bool,
}

/// What a node holds.
#[derive(Debug)]
pub(crate) enum Value {
    /// A text.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with values, in order, no key twice, merges (`<<`) applied.
    Mapping(Vec<Entry>),
}

/// A text after YAML's own escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// The text as written, for a plain one: `1.50` stays `1.50`.
    pub(crate) text: String,
    /// Whether it was written without quotes, so that `1`, `true` and nothing at all are not texts to YAML.
    pub(crate) plain: bool,
    /// Where the text begins in the file, when it stands there as it is: on one line, without escapes.
    pub(crate) verbatim_at: Option<usize>,
}

/// One key of a mapping with its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The key's text.
    pub(crate) key: String,
    /// Where the key is.
    pub(crate) key_span: Span,
    /// Its value.
    pub(crate) value: Node,
}

impl Node {
    fn new(value: Value, span: Span) -> Self {
        let (size, depth) = match &value {
            Value::Scalar(_) => (0, 0),
            Value::Sequence(items) => measure(items.iter()),
            Value::Mapping(entries) => measure(entries.iter().map(|entry| &entry.value)),
        };
        Self {
            value: Rc::new(value),
            span,
            size: size.saturating_add(1),
            depth: depth + 1,
            is_reference: false,
        }
    }

    /// A text that stands for another one, which was written at `span`; nothing of it stands there as it is.
    pub(crate) fn rewritten(text: String, of: &Scalar, span: Span) -> Self {
        Self::new(Value::Scalar(Scalar { text, plain: of.plain, verbatim_at: None }), span)
    }

    /// A list that was put together from the parts of others; `span` is the place to name for it.
    pub(crate) fn sequence(items: Vec<Self>, span: Span) -> Self {
        Self::new(Value::Sequence(items), span)
    }

    /// A mapping that was put together from the parts of others, no key twice.
    pub(crate) fn mapping(entries: Vec<Entry>, span: Span) -> Self {
        Self::new(Value::Mapping(entries), span)
    }

    /// Whether nothing is written there, or one of YAML's words for it.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value(), Value::Scalar(scalar) if scalar.is_null())
    }

    /// The entries, when it is a mapping.
    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match self.value() {
            Value::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// Nodes in it with itself, however often each of them is shared.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// What it holds.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }
}

fn measure<'a>(children: impl Iterator<Item = &'a Node>) -> (usize, usize) {
    children.fold((0, 0), |(size, depth), child| (child.size.saturating_add(size), child.depth.max(depth)))
}

impl Scalar {
    /// Whether nothing is written, or one of YAML's words for it.
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// Whether it is one of YAML's truth values.
    pub(crate) fn is_bool(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
    }

    /// Whether it is a number to YAML.
    pub(crate) fn is_number(&self) -> bool {
        self.plain
            && self.text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
            && self.text.ends_with(|c: char| c.is_ascii_digit() || c == '.')
            && self.text.parse::<f64>().is_ok()
    }
}
