//! The texts of a pipeline's files and places in them. Not for reading files (`load`) or for drawing excerpts (`render`).

use std::ops::Index;

use serde::Serialize;

use crate::dialect::Dialect;

/// Which of a pipeline's files: the one that was asked for is the first, then those that it includes in the order in which they were
/// read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct FileId(usize);

/// A stretch of a file in bytes, `start..end`, always within the file and on character boundaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Span {
    /// The file that it is in.
    pub file: FileId,
    /// The first byte.
    pub start: usize,
    /// The byte after the last one; equal to `start` for a place between two characters.
    pub end: usize,
}

impl Span {
    /// The stretch `start..end` of `file`; an `end` before `start` is taken as `start`.
    #[must_use]
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        Self { file, start, end: end.max(start) }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
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
    id: FileId,
    dialect: Dialect,
    name: String,
    text: String,
    /// The byte at which each line begins; the first is 0.
    lines: Vec<usize>,
    /// Stretches that no excerpt may show: secret values that someone wrote into the file.
    hidden: Vec<Span>,
}

impl Source {
    /// The file `name` with `text`, the first of its pipeline. Lines end as YAML says: at `\n`, `\r\n` or a `\r` alone.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let bytes = text.as_bytes();
        let ends_line =
            |at: usize| bytes[at] == b'\n' || bytes[at] == b'\r' && bytes.get(at + 1) != Some(&b'\n');
        let lines = std::iter::once(0).chain((0..bytes.len()).filter(|at| ends_line(*at)).map(|at| at + 1));
        let lines = lines.collect();
        let (id, dialect) = (FileId::default(), Dialect::default());
        Self { id, dialect, name: name.into(), text, lines, hidden: Vec::new() }
    }

    /// The same as another file of its pipeline.
    pub(crate) fn with_id(mut self, id: FileId) -> Self {
        self.id = id;
        self
    }

    /// The same by the rules of `dialect`.
    pub(crate) fn in_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Which file it is.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Whose rules it follows where they differ.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The stretch `start..end` of this file.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.id, start, end)
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
        self.span(start, start + self.text[start..next].trim_end_matches(['\r', '\n']).len())
    }

    /// The stretches to keep out of excerpts.
    pub(crate) fn hidden(&self) -> &[Span] {
        &self.hidden
    }

    fn line_index(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).saturating_sub(1)
    }
}

/// All files of one pipeline; there is always a first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    first: Source,
    others: Vec<Source>,
}

impl Sources {
    /// A pipeline of which `first` is the file that was asked for.
    #[must_use]
    pub fn new(first: Source) -> Self {
        Self { first: first.with_id(FileId::default()), others: Vec::new() }
    }

    /// The file that was asked for.
    #[must_use]
    pub fn first(&self) -> &Source {
        &self.first
    }

    /// All files, the one that was asked for first.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The file that the next [`Sources::add`] will be.
    pub(crate) fn next_id(&self) -> FileId {
        FileId(self.others.len() + 1)
    }

    /// Adds `source`, which was given the next id.
    pub(crate) fn add(&mut self, source: Source) {
        debug_assert_eq!(source.id, self.next_id());
        self.others.push(source);
    }

    /// Keeps `span` out of every excerpt.
    pub(crate) fn hide(&mut self, span: Span) {
        let source = match span.file.0.checked_sub(1) {
            None => Some(&mut self.first),
            Some(at) => self.others.get_mut(at),
        };
        if let Some(source) = source {
            source.hidden.push(span);
        }
    }
}

/// The file of that id, which must be one of these files'; any other id stands for the first file.
impl Index<FileId> for Sources {
    type Output = Source;

    fn index(&self, id: FileId) -> &Source {
        id.0.checked_sub(1).and_then(|at| self.others.get(at)).unwrap_or(&self.first)
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
        assert_eq!(source.line_around(1), source.span(0, 3));
        assert_eq!(source.line_around(5), source.span(5, 8));
        assert_eq!(source.line_around(9), source.span(9, 12));
        assert_eq!(source.line_around(13), source.span(13, 13));
    }
}
