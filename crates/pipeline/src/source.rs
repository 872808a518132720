//! The text of a pipeline file and places in it. Not for reading files (`load`) or for drawing excerpts (`render`).

use serde::Serialize;

/// A stretch of a file in bytes, `start..end`, always within the file and on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one; equal to `start` for a place between two characters.
    pub end: usize,
}

impl Span {
    /// The stretch `start..end`; an `end` before `start` is taken as `start`.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }
}

/// A place as people and editors count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// A file's name and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    /// The byte at which each line begins; the first is 0.
    lines: Vec<usize>,
    /// Stretches that no excerpt may show: secret values that someone wrote into the file.
    hidden: Vec<Span>,
}

impl Source {
    /// The file `name` with `text`. Lines end as YAML says: at `\n`, `\r\n` or a `\r` alone.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let bytes = text.as_bytes();
        let ends_line =
            |at: usize| bytes[at] == b'\n' || bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n');
        let lines = std::iter::once(0).chain((0..bytes.len()).filter(|at| ends_line(*at)).map(|at| at + 1));
        let lines = lines.collect();
        Self { name: name.into(), text, lines, hidden: Vec::new() }
    }

    /// The file's name as the user gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where byte `at` is; what lies past the end counts as the end.
    #[must_use]
    pub fn position(&self, at: usize) -> Position {
        let at = self.text.floor_char_boundary(at);
        let line = self.line_index(at);
        Position { line: line + 1, column: self.text[self.lines[line]..at].chars().count() + 1 }
    }

    /// The line that byte `at` is on, without its line break.
    pub(crate) fn line_around(&self, at: usize) -> Span {
        let line = self.line_index(at.min(self.text.len()));
        let start = self.lines[line];
        let next = self.lines.get(line + 1).copied().unwrap_or(self.text.len());
        Span { start, end: start + self.text[start..next].trim_end_matches(['\r', '\n']).len() }
    }

    /// Keeps `span` out of every excerpt.
    pub(crate) fn hide(&mut self, span: Span) {
        self.hidden.push(span);
    }

    /// The stretches to keep out of excerpts.
    pub(crate) fn hidden(&self) -> &[Span] {
        &self.hidden
    }

    fn line_index(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let source = Source::new("p.yaml", "a: é!\r\nb\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position(5), Position { line: 1, column: 5 });
        assert_eq!(source.position(8), Position { line: 2, column: 1 });
        assert_eq!(source.position(10), Position { line: 3, column: 1 });
        assert_eq!(source.position(99), Position { line: 3, column: 1 });
    }

    #[test]
    fn a_line_is_given_without_its_line_break() {
        let source = Source::new("p.yaml", "one\r\ntwo\rsix\n");
        assert_eq!(source.line_around(1), Span { start: 0, end: 3 });
        assert_eq!(source.line_around(5), Span { start: 5, end: 8 });
        assert_eq!(source.line_around(9), Span { start: 9, end: 12 });
        assert_eq!(source.line_around(13), Span { start: 13, end: 13 });
    }
}
