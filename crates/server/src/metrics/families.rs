//! Metrics by family, written in Prometheus' text format: a family's lines stand together, whoever told them, as the format wants it.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Of which kind the samples of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
    Untyped,
}

impl Kind {
    pub(super) fn from_word(word: &str) -> Self {
        match word {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "summary" => Self::Summary,
            _ => Self::Untyped,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Untyped => "untyped",
        }
    }
}

struct Family {
    kind: Kind,
    /// As it stands in a line `HELP`; empty for none.
    help: String,
    /// Whole lines.
    samples: String,
    /// Nobody else adds to it.
    is_own: bool,
}

/// Families by name.
#[derive(Default)]
pub(super) struct Families(BTreeMap<String, Family>);

impl Families {
    /// Adds a family that is the server's own.
    pub(super) fn own(&mut self, name: &str, kind: Kind, help: &str, samples: String) {
        let family = Family { kind, help: help.to_owned(), samples, is_own: true };
        self.0.insert(name.to_owned(), family);
    }

    /// Adds a line to a family. False when the family is the server's own, or somebody told that it is of another kind.
    pub(super) fn add(&mut self, name: &str, kind: Kind, help: &str, sample: &str) -> bool {
        if !self.0.contains_key(name) {
            let family = Family { kind, help: help.to_owned(), samples: String::new(), is_own: false };
            self.0.insert(name.to_owned(), family);
        }
        match self.0.get_mut(name) {
            Some(family) if !family.is_own && family.kind == kind => {
                family.samples.push_str(sample);
                true
            }
            _ => false,
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (name, family) in self.0.iter().filter(|(_, family)| !family.samples.is_empty()) {
            if !family.help.is_empty() {
                // Writing to a text has no way to fail.
                let _ = writeln!(text, "# HELP {name} {}", family.help);
            }
            let _ = writeln!(text, "# TYPE {name} {}", family.kind.as_str());
            text.push_str(&family.samples);
        }
        text
    }
}

/// A line with a sample.
pub(super) fn sample(name: &str, labels: &[(&str, &str)], value: &str) -> String {
    let labels: Vec<_> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{name}{{{}}} {value}\n", labels.join(","))
}

/// The value of a label as the format writes it.
pub(super) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
