//! From a condition's text to CEL's tree. Not for what the tree may hold.

use std::ops::Range;
use std::thread;

use cel::common::ast::{IdedExpr, SourceInfo};
use cel::parser::{ParseError, Parser};

use crate::condition::InvalidCondition;

/// The parser's own bound on nesting, above that of `bounds`.
const DEEPEST: u16 = 24;
/// The parser's stack: ten times what the largest condition was seen to need without optimisation.
const STACK: usize = 32 << 20;

/// A tree and where its nodes were written.
pub(super) struct Parsed {
    pub(super) expression: IdedExpr,
    pub(super) source: SourceInfo,
}

/// Parses `text`, on a stack of its own: how deep the generated parser recurses is not ours to know.
pub(super) fn parse(text: &str) -> Result<Parsed, InvalidCondition> {
    let run = || {
        let parser = Parser::new().max_recursion_depth(DEEPEST).error_recovery_limit(1);
        match parser.parse_with_source_info(text) {
            Ok((expression, source)) => Ok(Parsed { expression, source }),
            Err(errors) => Err(invalid(text, errors.errors.first())),
        }
    };
    let unparsed = || InvalidCondition {
        place: 0..text.len(),
        message: "this condition cannot be read".to_owned(),
        help: None,
    };
    thread::scope(|scope| match thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run) {
        Ok(thread) => thread.join().unwrap_or_else(|_| Err(unparsed())),
        Err(_) => Err(unparsed()),
    })
}

fn invalid(text: &str, error: Option<&ParseError>) -> InvalidCondition {
    let (at, message) = error.map_or((0, ""), |error| (offset(text, error.pos), error.msg.as_str()));
    let end = at + text[at..].chars().next().map_or(0, char::len_utf8);
    let quoted = message.split('\'').nth(1).unwrap_or_default();
    let message = if message.contains("ecursion") {
        "this condition is nested too deep".to_owned()
    } else if message.contains("'<EOF>'") || at >= text.len() {
        "the condition ends too early".to_owned()
    } else if quoted.is_empty() {
        "the condition is wrong here".to_owned()
    } else {
        format!("`{}` does not belong here", quoted.trim())
    };
    let help = match text[at..].chars().next() {
        Some('"' | '\'') => Some("is a closing quote missing?".to_owned()),
        Some('=' | '&' | '|') => Some("operators are `==`, `!=`, `&&`, `||`".to_owned()),
        Some('$') => Some("write `vars.NAME` for a variable".to_owned()),
        _ => None,
    };
    InvalidCondition { place: at..end, message, help }
}

/// The byte that the parser means by a line and a column, both from 1 and in characters.
fn offset(text: &str, (line, column): (isize, isize)) -> usize {
    let before = usize::try_from(line - 1).unwrap_or_default();
    let start: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    bytes(&text[start..], usize::try_from(column - 1).unwrap_or_default()) + start
}

/// How many bytes the first `characters` of `text` have.
fn bytes(text: &str, characters: usize) -> usize {
    text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at)
}

/// The part of `text` from the byte `start` to the byte `stop`, both included.
pub(super) fn place(text: &str, (start, stop): (u32, u32)) -> Range<usize> {
    let start = text.floor_char_boundary(start as usize);
    start..text.ceil_char_boundary(stop as usize + 1).max(start)
}
