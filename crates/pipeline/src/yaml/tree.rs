//! From the YAML parser's events to a tree: anchors, aliases, merges, duplicate keys, and the bounds that keep a hostile file from
//! costing more than an honest one. Not for what the tree means.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError};

use crate::finding::Finding;
use crate::findings::Findings;
use crate::source::{Source, Span};
use crate::text::shown;
use crate::yaml::merge::merge;
use crate::yaml::{Entry, Node, Scalar, Value};

/// The deepest nesting, with what aliases bring in.
const MAX_DEPTH: usize = 64;
/// The most nodes once every alias is replaced by what it stands for: room for 20,000 jobs.
const MAX_NODES: usize = 500_000;

/// The one document of `source`; `None` when there is none, or when a finding says why it could not be read. Duplicate and unusable
/// keys are findings beside a tree; of two equal keys the first one stays.
pub(crate) fn parse(source: &Source, findings: &mut Findings) -> Option<Node> {
    build(Builder::new(source, findings))
}

/// The same for a file of GitLab's, in which a list may have the tag `!reference`.
pub(crate) fn parse_with_references(source: &Source, findings: &mut Findings) -> Option<Node> {
    build(Builder { references: true, ..Builder::new(source, findings) })
}

fn build(mut builder: Builder<'_>) -> Option<Node> {
    match builder.run() {
        Ok(()) => builder.root,
        Err(fatal) => {
            builder.findings.push(*fatal);
            None
        }
    }
}

struct Builder<'a> {
    source: &'a Source,
    /// The collections that are open, outermost first.
    open: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    documents: usize,
    /// Where the last event ended: the end of a block collection that closes after it.
    last: usize,
    merges_left: usize,
    /// Whether a list may have the tag `!reference`.
    references: bool,
    findings: &'a mut Findings,
}

struct Frame {
    anchor: usize,
    start: usize,
    flow: bool,
    is_reference: bool,
    kind: Kind,
}

enum Kind {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, seen: HashMap<String, Span>, merged: Vec<(Span, Node)>, key: Option<Key> },
}

/// The key whose value comes next; one that cannot be used was reported, and its value is dropped.
enum Key {
    Named(String, Span),
    Merge(Span),
    Unusable,
}

type Fatal = Box<Finding>;

fn fatal(span: Span, message: impl Into<String>) -> Fatal {
    Box::new(Finding::error(span, message))
}

impl<'a> Builder<'a> {
    fn new(source: &'a Source, findings: &'a mut Findings) -> Self {
        Self {
            source,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            last: 0,
            merges_left: MAX_NODES,
            references: false,
            findings,
        }
    }

    fn run(&mut self) -> Result<(), Fatal> {
        let mut options = granit_parser::options! {
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        options.set_emit_comments(false);
        let mut parser = Parser::new_from_str_with_options(self.source.text(), options);
        while let Some(event) = parser.next_event() {
            let (event, place) = event.map_err(|error| self.syntax(&error))?;
            let span = self.bytes(place);
            self.check_tag(&event, place.tag_span().map_or(span, |span| self.bytes(span)))?;
            self.take(event, span)?;
            self.last = span.end;
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fatal> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let finding = fatal(span, "the file has more than one YAML document");
                    return Err(Box::new(
                        finding.help("keep what comes before the second `---`; a pipeline is one document"),
                    ));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(at) = text.find('\0') {
                    return Err(fatal(
                        span,
                        format!("a NUL character (`\\0`) after {at} bytes of this text"),
                    ));
                }
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let text = if plain && span.start == span.end { String::new() } else { text.into_owned() };
                let verbatim_at = self.verbatim_at(&text, span);
                let scalar = Scalar { text, plain, verbatim_at };
                let node = Node::new(Value::Scalar(scalar), self.trimmed(span));
                self.place(node, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(anchor, span, Kind::Sequence(Vec::new()))?;
                let is_reference = tag.is_some_and(|tag| tag.core_suffix().is_none());
                self.open.iter_mut().last().into_iter().for_each(|frame| frame.is_reference = is_reference);
            }
            Event::MappingStart(_, anchor, _) => {
                let kind = Kind::Mapping {
                    entries: Vec::new(),
                    seen: HashMap::new(),
                    merged: Vec::new(),
                    key: None,
                };
                self.begin(anchor, span, kind)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span)?,
            Event::Alias(anchor) => self.alias(anchor, span)?,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, span: Span, kind: Kind) -> Result<(), Fatal> {
        // A flow collection has its bracket as its start, a block collection nothing.
        let flow = span.end > span.start;
        self.open.push(Frame { anchor, start: span.start, flow, is_reference: false, kind });
        self.check_depth(0, span)
    }

    fn end(&mut self, span: Span) -> Result<(), Fatal> {
        let Some(frame) = self.open.pop() else { return Ok(()) };
        let end = if frame.flow { span.end } else { self.last };
        let whole = self.trimmed(self.source.span(frame.start, end));
        let value = match frame.kind {
            Kind::Sequence(items) => Value::Sequence(items),
            Kind::Mapping { mut entries, merged, .. } => {
                merge(&mut entries, &merged, &mut self.merges_left)?;
                Value::Mapping(entries)
            }
        };
        let node = Node { is_reference: frame.is_reference, ..Node::new(value, whole) };
        self.place(node, frame.anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Fatal> {
        if self.open.iter().any(|frame| frame.anchor == anchor) {
            let name = shown(&self.source.text()[span.start..span.end]);
            return Err(fatal(span, format!("the alias `{name}` stands inside of what it stands for")));
        }
        // The parser refuses an alias without an anchor, and an anchored node is stored when it is complete.
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(fatal(span, "an alias without an anchor"));
        };
        self.check_depth(node.depth, span)?;
        self.place(node, 0)
    }

    /// Puts a complete node where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Fatal> {
        if node.size > MAX_NODES {
            let message = format!("the aliases here stand for more than {MAX_NODES} values in all");
            return Err(fatal(node.span, message));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|frame| &mut frame.kind) {
            None => self.root = Some(node),
            Some(Kind::Sequence(items)) => items.push(node),
            Some(Kind::Mapping { entries, seen, merged, key }) => match key.take() {
                None => *key = Some(take_key(&node, seen, self.findings)),
                Some(Key::Named(key, key_span)) => entries.push(Entry { key, key_span, value: node }),
                Some(Key::Merge(key_span)) => merged.push((key_span, node)),
                Some(Key::Unusable) => {}
            },
        }
        Ok(())
    }

    fn check_depth(&self, more: usize, span: Span) -> Result<(), Fatal> {
        if self.open.len() + more <= MAX_DEPTH {
            return Ok(());
        }
        Err(fatal(span, format!("nested more than {MAX_DEPTH} levels deep")))
    }

    fn check_tag(&self, event: &Event<'_>, span: Span) -> Result<(), Fatal> {
        match event.tag() {
            Some(tag) if self.references && is_reference(event, tag.original()) => Ok(()),
            Some(tag) if tag.core_suffix().is_none() => {
                let finding = fatal(
                    span,
                    format!("the YAML tag `{}` means nothing in a pipeline file", tag.original()),
                );
                Err(Box::new(finding.help("write the value without a tag")))
            }
            _ => Ok(()),
        }
    }

    /// `span` without the blanks and line breaks at its end, which a block text and a block collection reach over.
    fn trimmed(&self, span: Span) -> Span {
        let text = self.source.text().get(span.start..span.end).unwrap_or_default();
        self.source.span(span.start, span.start + text.trim_end().len())
    }

    /// Where `text` begins within `span`, when it stands there as it is, with a quote around it or without.
    fn verbatim_at(&self, text: &str, span: Span) -> Option<usize> {
        let written = &self.source.text()[span.start..span.end];
        let at = if written.starts_with(['"', '\'']) { 1 } else { 0 };
        written.get(at..).is_some_and(|written| written.starts_with(text)).then_some(span.start + at)
    }

    /// Texts know their places in bytes; a place without them would be the start of the file.
    fn bytes(&self, span: granit_parser::Span) -> Span {
        let range = span.byte_range().unwrap_or_default();
        self.source.span(range.start, range.end)
    }

    fn syntax(&self, error: &ScanError) -> Fatal {
        let text = self.source.text();
        let at = text.floor_char_boundary(error.marker().byte_offset().unwrap_or(self.last));
        let next = text[at..].chars().next().filter(|c| !matches!(c, '\n' | '\r'));
        let span = self.source.span(at, at + next.map_or(0, char::len_utf8));
        let mut finding = match error.kind() {
            ErrorKind::RecursionLimitExceeded => {
                return fatal(span, format!("nested more than {MAX_DEPTH} levels deep"));
            }
            ErrorKind::UnknownAnchor => {
                let name: String =
                    text[at..].chars().take_while(|c| !c.is_whitespace() && !",]}".contains(*c)).collect();
                return fatal(
                    self.source.span(at, at + name.len()),
                    format!("no anchor for the alias `{}` above it", shown(&name)),
                );
            }
            _ => Finding::error(span, format!("not valid YAML: {}", error.info())),
        };
        finding = finding.maybe_help(advice(error.kind()).map(str::to_owned));
        if let Some(frame) = self.open.iter().rev().find(|frame| frame.flow) {
            let bracket = self.source.span(frame.start, frame.start + 1);
            finding = finding
                .related(bracket, "this bracket is still open there")
                .help("is its closing bracket missing?");
        }
        Box::new(finding)
    }
}

fn is_reference(event: &Event<'_>, tag: impl AsRef<str>) -> bool {
    matches!(event, Event::SequenceStart(..)) && tag.as_ref() == "!reference"
}

/// The key that `node` is. Of two equal keys the second one is reported and dropped.
fn take_key(node: &Node, seen: &mut HashMap<String, Span>, findings: &mut Findings) -> Key {
    let Value::Scalar(scalar) = node.value() else {
        findings.push(Finding::error(node.span, "a key must be a text, found a list or a mapping"));
        return Key::Unusable;
    };
    if scalar.is_null() {
        findings.push(Finding::error(node.span, "a key is missing here").help("write it before the `:`"));
        return Key::Unusable;
    }
    if let Some(first) = seen.get(&scalar.text) {
        let help = if scalar.text == "<<" { "merge a list: `<<: [*a, *b]`" } else { "keep one of them" };
        let message = format!("the key `{}` is here twice", shown(&scalar.text));
        findings.push(Finding::error(node.span, message).related(*first, "the first one").help(help));
        return Key::Unusable;
    }
    seen.insert(scalar.text.clone(), node.span);
    if scalar.plain && scalar.text == "<<" {
        Key::Merge(node.span)
    } else {
        Key::Named(scalar.text.clone(), node.span)
    }
}

/// What usually went wrong when the parser says `kind`.
fn advice(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => "indent with spaces, YAML takes no tabs there",
        ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::UnclosedQuotedScalar
        | ErrorKind::DocumentIndicatorInQuotedScalar => "is a closing quote missing above?",
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            "quote a text that contains `: `, and check the indentation"
        }
        ErrorKind::UnexpectedCharacter { .. } => "quote a text that begins with this character",
        ErrorKind::UnknownQuotedScalarEscape => "write `\\\\` for a backslash, or use single quotes",
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry => "check the indentation of this line and the one above",
        _ => return None,
    })
}
