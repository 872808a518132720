//! How findings look to people: file, line and column, the offending line with the place underlined, and the help. Not for machines:
//! a report serialises itself.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents,
    SourceCode, SourceSpan, SpanContents,
};

use crate::finding::{Finding, Report, Severity};
use crate::source::{Position, Source, Span};
use crate::text::is_showable;

/// What the reader's screen can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Frames out of ASCII, no colours, messages on one line: a file, a pipe, a log.
    Plain,
    /// Line-drawing characters, with or without colours.
    Terminal {
        /// Whether to use colours (`NO_COLOR` is the caller's to read).
        colour: bool,
        /// Columns to wrap messages at.
        width: usize,
    },
}

impl Report {
    /// All findings as `look` shows them, in the order of their places, each ended by a line break.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let handler = handler(look);
        let mut out = String::new();
        let mut shown = Shown::new(self.source());
        for finding in self.findings() {
            // Findings come file by file.
            if finding.span.file != shown.source.id() {
                shown = Shown::new(self.source_of(finding.span));
            }
            let elsewhere = self.related_elsewhere(finding);
            let diagnostic = Drawn { shown: &shown, finding, elsewhere };
            if !out.is_empty() {
                out.push('\n');
            }
            // Writing to a string fails only when a `Display` of miette's does; the bare line still says it all.
            if handler.render_report(&mut out, &diagnostic).is_err() {
                out.push_str(&finding.message);
                out.push('\n');
            }
        }
        out.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

impl Report {
    /// Where the second place of a finding is that lies in another file than the first, which no one excerpt can show.
    fn related_elsewhere(&self, finding: &Finding) -> Option<String> {
        let (span, what) = finding.related.as_ref().filter(|(span, _)| span.file != finding.span.file)?;
        let source = self.source_of(*span);
        let Position { line, column } = source.position(span.start);
        Some(format!("{what}: {}:{line}:{column}", source.name()))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Look::Plain).trim_end())
    }
}

fn handler(look: Look) -> GraphicalReportHandler {
    let (theme, width) = match look {
        Look::Plain => (GraphicalTheme::none(), 100),
        Look::Terminal { colour: true, width } => (GraphicalTheme::unicode(), width),
        Look::Terminal { colour: false, width } => (GraphicalTheme::unicode_nocolor(), width),
    };
    GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_context_lines(0)
        .with_width(width.max(40))
        .with_wrap_lines(look != Look::Plain)
        .tab_width(4)
}

/// The widest stretch of a line that is shown, in bytes; a longer line is cut around the place.
const WIDEST: usize = 160;
/// How much of a cut line is shown before the place.
const BEFORE: usize = 40;

/// A source as it may be shown: byte for byte as long as the original, without what acts on a terminal and without secret values.
struct Shown<'a> {
    source: &'a Source,
    text: String,
}

impl<'a> Shown<'a> {
    fn new(source: &'a Source) -> Self {
        let mut text: String = source.text().chars().map(harmless).collect();
        for span in source.hidden() {
            let stars: String = text[span.start..span.end]
                .chars()
                .flat_map(|c| {
                    let star = if c == '\n' { c } else { '*' };
                    std::iter::repeat_n(star, c.len_utf8())
                })
                .collect();
            text.replace_range(span.start..span.end, &stars);
        }
        Self { source, text }
    }

    /// The part of the line around `span` to show: all of it, or a window when it is long.
    fn window(&self, span: Span) -> Span {
        let line = self.source.line_around(span.start);
        if line.end - line.start <= WIDEST {
            return line;
        }
        let start = self.text.ceil_char_boundary(span.start.saturating_sub(BEFORE).max(line.start));
        self.source.span(start, self.text.floor_char_boundary(line.end.min(start + WIDEST)))
    }

    /// The part of `span` that is inside its window; the last character of the line for a place behind it, so that there is
    /// something to underline.
    fn clamp(&self, span: Span) -> Span {
        let window = self.window(span);
        let end = span.end.min(window.end);
        let last = self.text[window.start..window.end].chars().next_back().map_or(0, char::len_utf8);
        let start = if span.start >= window.end { window.end - last } else { span.start };
        self.source.span(start, end)
    }
}

/// A character of the same length in UTF-8 that does nothing to a terminal.
fn harmless(c: char) -> char {
    match (c, c.len_utf8()) {
        ('\n' | '\t', _) => c,
        ('\r', _) => ' ',
        _ if is_showable(c) => c,
        (_, 1) => '?',
        (_, 2) => '\u{bf}',
        _ => '\u{fffd}',
    }
}

impl SourceCode for Shown<'_> {
    fn read_span<'b>(
        &'b self,
        span: &SourceSpan,
        _before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'b> + 'b>, MietteError> {
        let asked = self.source.span(span.offset(), span.offset() + span.len());
        let window = self.window(asked);
        // Two marked places on neighbouring lines are asked for in one go.
        let end = window.end.max(self.clamp(self.source.span(asked.end, asked.end)).end);
        let line = self.source.position(window.start).line;
        // The column is for the heading: it is the place's, while the data begins where the line does.
        let column = self.source.position(asked.start).column;
        let data = self.text.get(window.start..end).ok_or(MietteError::OutOfBounds)?;
        Ok(Box::new(MietteSpanContents::new_named(
            self.source.name().to_owned(),
            data.as_bytes(),
            SourceSpan::from((window.start, data.len())),
            line - 1,
            column - 1,
            data.lines().count(),
        )))
    }
}

/// A finding on its way to the screen.
struct Drawn<'a> {
    shown: &'a Shown<'a>,
    finding: &'a Finding,
    /// The second place when it is in another file.
    elsewhere: Option<String>,
}

impl Drawn<'_> {
    fn label(&self, span: Span, text: &str, primary: bool) -> LabeledSpan {
        let span = self.shown.clamp(span);
        let place = SourceSpan::from((span.start, span.end - span.start));
        let text = (!text.is_empty()).then(|| text.to_owned());
        if primary {
            LabeledSpan::new_primary_with_span(text, place)
        } else {
            LabeledSpan::new_with_span(text, place)
        }
    }
}

impl fmt::Debug for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.finding, f)
    }
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.finding.message)
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.finding.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let parts = self.finding.help.iter().chain(&self.elsewhere);
        let help = parts.map(String::as_str).collect::<Vec<_>>().join("; ");
        (!help.is_empty()).then(|| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.shown)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let primary = self.label(self.finding.span, "", true);
        let here = self.finding.related.iter().filter(|(span, _)| span.file == self.finding.span.file);
        let related = here.map(|(span, what)| self.label(*span, what, false));
        Some(Box::new(std::iter::once(primary).chain(related)))
    }
}
