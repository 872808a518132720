//! Findings as SARIF 2.1.0, which code hosts and editors show beside the lines. Only what its schema asks for and what findings have:
//! a finding has no rule of its own yet, so there are two, by what a finding means for the file.

use std::path::Path;

use jobwright_pipeline::{Finding, Position, Report, Severity, Span};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// What may stand in a path of a URI as it is.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A log with one run.
#[derive(Serialize)]
pub(crate) struct Sarif {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    /// How columns count: in characters.
    column_kind: &'static str,
    results: Vec<Finished>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: [Rule; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: &'static str,
    short_description: Text,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Configuration {
    level: Severity,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finished {
    rule_id: &'static str,
    rule_index: usize,
    level: Severity,
    message: Text,
    locations: [Location; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: PhysicalLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Text>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    region: Region,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

/// `end_column` is the column after the last character, in SARIF as in a span.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    end_line: usize,
    end_column: usize,
}

impl Sarif {
    /// `report` as a log. Files below the current directory are named from there on, as code hosts want it.
    pub(crate) fn of(report: &Report) -> Self {
        let driver = Driver { name: "jobwright", version: env!("CARGO_PKG_VERSION"), rules: rules() };
        let results = report.findings().iter().map(|finding| result(report, finding)).collect();
        let run = Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results };
        Self { schema: SCHEMA, version: "2.1.0", runs: [run] }
    }
}

/// By [`Severity`]: the error first.
fn rules() -> [Rule; 2] {
    let rule = |level, about: &str| Rule {
        id: rule_of(level).0,
        short_description: Text { text: about.to_owned() },
        default_configuration: Configuration { level },
    };
    [
        rule(Severity::Error, "The pipeline file breaks a rule and does not run."),
        rule(Severity::Warning, "The pipeline file runs, but probably not as its author meant."),
    ]
}

/// The rule's id and its place among the rules.
fn rule_of(severity: Severity) -> (&'static str, usize) {
    match severity {
        Severity::Error => ("invalid-pipeline", 0),
        Severity::Warning => ("doubtful-pipeline", 1),
    }
}

fn result(report: &Report, finding: &Finding) -> Finished {
    let (rule_id, rule_index) = rule_of(finding.severity);
    let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
    let related = finding.related.iter().map(|(span, what)| {
        let message = Some(Text { text: what.clone() });
        Location { physical_location: place(report, *span), message }
    });
    Finished {
        rule_id,
        rule_index,
        level: finding.severity,
        message: Text { text: format!("{}{help}", finding.message) },
        locations: [Location { physical_location: place(report, finding.span), message: None }],
        related_locations: related.collect(),
    }
}

fn place(report: &Report, span: Span) -> PhysicalLocation {
    let source = report.source_of(span);
    let Position { line: start_line, column: start_column } = source.position(span.start);
    let Position { line: end_line, column: end_column } = source.position(span.end);
    PhysicalLocation {
        artifact_location: ArtifactLocation { uri: uri(Path::new(source.name())) },
        region: Region { start_line, start_column, end_line, end_column },
    }
}

/// A relative reference for a file below the current directory, else a `file:` URI.
fn uri(path: &Path) -> String {
    let encoded = |path: &Path| utf8_percent_encode(&path.to_string_lossy(), IN_PATH).to_string();
    let here = std::env::current_dir().unwrap_or_default();
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match absolute.strip_prefix(&here) {
        Ok(below) => encoded(below),
        Err(_) => format!("file://{}", encoded(&absolute)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_reference_from_here_on_or_a_whole_uri() {
        assert_eq!(uri(Path::new("ci/a b#é%.yaml")), "ci/a%20b%23%C3%A9%25.yaml");
        assert_eq!(uri(Path::new("./p.yaml")), "p.yaml");
        assert_eq!(uri(Path::new("/no such/p.yaml")), "file:///no%20such/p.yaml");
    }
}
