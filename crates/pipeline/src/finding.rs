//! What is wrong with a pipeline file, as data. How a finding looks is `render`'s business; which rules there are, `check`'s.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::SerializeStruct;

use crate::source::{Position, Source, Sources, Span};
use crate::text::printable;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file does not run.
    Error,
    /// The file runs, but probably not as its author meant.
    Warning,
}

/// One violated rule at one place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: a sentence without a full stop, begun in lower case.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What would be right.
    pub help: Option<String>,
    /// A second place that belongs to it (the first of two equal keys), and what is there.
    pub related: Option<(Span, String)>,
}

impl Finding {
    /// Something that keeps the file from running.
    #[must_use]
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: printable(message.into()),
            span,
            help: None,
            related: None,
        }
    }

    /// Something that does not.
    #[must_use]
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// Whether it keeps the file from running.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The same, saying what would be right.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(printable(help.into()));
        self
    }

    /// The same with a help only when there is one.
    #[must_use]
    pub fn maybe_help(self, help: Option<String>) -> Self {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }

    /// The same, with a second place.
    #[must_use]
    pub fn related(mut self, span: Span, what: impl Into<String>) -> Self {
        self.related = Some((span, printable(what.into())));
        self
    }
}

/// Findings about a pipeline's files, in the order of their places. Its `Display` form is the plain one of [`crate::Look::Plain`].
#[derive(Debug, Clone)]
pub struct Report {
    sources: Arc<Sources>,
    findings: Vec<Finding>,
}

impl Report {
    /// `findings` about `sources`, put in order: file by file, and by place in each.
    #[must_use]
    pub fn new(sources: Arc<Sources>, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| (finding.span.file, finding.span.start, finding.severity));
        Self { sources, findings }
    }

    /// The file that was asked for.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.sources.first()
    }

    /// All files that were read.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The file that `span` is in.
    #[must_use]
    pub fn source_of(&self, span: Span) -> &Source {
        &self.sources[span.file]
    }

    /// All findings, in the order of their places.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether anything keeps the file from running.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(Finding::is_error)
    }

    /// Where a finding is.
    #[must_use]
    pub fn position(&self, finding: &Finding) -> Position {
        self.source_of(finding.span).position(finding.span.start)
    }

    /// One line per finding, `file:line:column: severity: message (help)`, showing nothing of the file but what the message quotes.
    /// This is the form for events and logs.
    #[must_use]
    pub fn summary(&self) -> String {
        let lines: Vec<String> = self.findings.iter().map(|finding| self.line_of(finding)).collect();
        lines.join("\n")
    }

    pub(crate) fn into_parts(self) -> (Arc<Sources>, Vec<Finding>) {
        (self.sources, self.findings)
    }

    fn line_of(&self, finding: &Finding) -> String {
        let Position { line, column } = self.position(finding);
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        let file = self.source_of(finding.span).name();
        format!("{file}:{line}:{column}: {severity}: {}{help}", finding.message)
    }
}

impl std::error::Error for Report {}

/// The machine form: `{file, findings: [{severity, message, help?, file, start: {line, column}, end: {line, column}, related?}]}`.
impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let findings: Vec<_> =
            self.findings.iter().map(|finding| Located { sources: &self.sources, finding }).collect();
        let mut report = serializer.serialize_struct("Report", 2)?;
        report.serialize_field("file", self.source().name())?;
        report.serialize_field("findings", &findings)?;
        report.end()
    }
}

struct Located<'a> {
    sources: &'a Sources,
    finding: &'a Finding,
}

impl Serialize for Located<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            severity: Severity,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            help: Option<&'a str>,
            #[serde(flatten)]
            place: Place<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            related: Option<Related<'a>>,
        }
        #[derive(Serialize)]
        struct Related<'a> {
            message: &'a str,
            #[serde(flatten)]
            place: Place<'a>,
        }
        let Finding { severity, message, span, help, related } = self.finding;
        Wire {
            severity: *severity,
            message,
            help: help.as_deref(),
            place: Place::of(self.sources, *span),
            related: related
                .as_ref()
                .map(|(span, message)| Related { message, place: Place::of(self.sources, *span) }),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    start: Position,
    end: Position,
}

impl<'a> Place<'a> {
    fn of(sources: &'a Sources, span: Span) -> Self {
        let source = &sources[span.file];
        Self { file: source.name(), start: source.position(span.start), end: source.position(span.end) }
    }
}
