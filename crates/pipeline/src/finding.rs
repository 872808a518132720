//! What is wrong with a pipeline file, as data. How a finding looks is `render`'s business; which rules there are, `check`'s.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::SerializeStruct;

use crate::source::{Position, Source, Span};
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

/// Findings about one file, in the order of their places. Its `Display` form is the plain one of [`crate::Look::Plain`].
#[derive(Debug, Clone)]
pub struct Report {
    source: Arc<Source>,
    findings: Vec<Finding>,
}

impl Report {
    /// `findings` about `source`, put in order.
    #[must_use]
    pub fn new(source: Arc<Source>, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| (finding.span.start, finding.severity));
        Self { source, findings }
    }

    /// The file.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
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
        self.source.position(finding.span.start)
    }

    /// One line per finding, `file:line:column: severity: message (help)`, showing nothing of the file but what the message quotes.
    /// This is the form for events and logs.
    #[must_use]
    pub fn summary(&self) -> String {
        let lines: Vec<String> = self.findings.iter().map(|finding| self.line_of(finding)).collect();
        lines.join("\n")
    }

    pub(crate) fn into_parts(self) -> (Arc<Source>, Vec<Finding>) {
        (self.source, self.findings)
    }

    fn line_of(&self, finding: &Finding) -> String {
        let Position { line, column } = self.position(finding);
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}:{line}:{column}: {severity}: {}{help}", self.source.name(), finding.message)
    }
}

impl std::error::Error for Report {}

/// The machine form: `{file, findings: [{severity, message, help?, start: {line, column}, end: {line, column}, related?}]}`.
impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let findings: Vec<_> =
            self.findings.iter().map(|finding| Located { source: &self.source, finding }).collect();
        let mut report = serializer.serialize_struct("Report", 2)?;
        report.serialize_field("file", self.source.name())?;
        report.serialize_field("findings", &findings)?;
        report.end()
    }
}

struct Located<'a> {
    source: &'a Source,
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
            place: Place,
            #[serde(skip_serializing_if = "Option::is_none")]
            related: Option<Related<'a>>,
        }
        #[derive(Serialize)]
        struct Related<'a> {
            message: &'a str,
            #[serde(flatten)]
            place: Place,
        }
        let Finding { severity, message, span, help, related } = self.finding;
        Wire {
            severity: *severity,
            message,
            help: help.as_deref(),
            place: Place::of(self.source, *span),
            related: related
                .as_ref()
                .map(|(span, message)| Related { message, place: Place::of(self.source, *span) }),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct Place {
    start: Position,
    end: Position,
}

impl Place {
    fn of(source: &Source, span: Span) -> Self {
        Self { start: source.position(span.start), end: source.position(span.end) }
    }
}
