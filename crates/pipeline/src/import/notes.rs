//! What an importer found: what is wrong with a file, and what of it cannot be carried over. Not for showing it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::finding::{Finding, Report};
use crate::findings::Findings;
use crate::import::MOST_BYTES;
use crate::source::{Sources, Span};
use crate::text::shown;

/// The most notes that are kept; past them only their number counts.
const MOST: usize = 5_000;

/// Notes so far, the files they are about, and how large the result may still become.
pub(super) struct Notes {
    pub(super) sources: Sources,
    list: Vec<Finding>,
    seen: HashSet<(Span, String)>,
    left_out: usize,
    has_error: bool,
    spent: usize,
    /// Variables that the other system sets and nothing here does, with the first place that reads each.
    foreign: BTreeMap<String, Span>,
}

impl Notes {
    pub(super) fn new(sources: Sources) -> Self {
        Self {
            sources,
            list: Vec::new(),
            seen: HashSet::new(),
            left_out: 0,
            has_error: false,
            spent: 0,
            foreign: BTreeMap::new(),
        }
    }

    /// Something that is not carried over, or not exactly.
    pub(super) fn note(&mut self, span: Span, message: impl Into<String>) {
        self.push(Finding::warning(span, message));
    }

    /// The same, with what to do about it.
    pub(super) fn note_help(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(Finding::warning(span, message).help(help));
    }

    /// Something that is wrong with the file.
    pub(super) fn wrong(&mut self, span: Span, message: impl Into<String>) {
        self.push(Finding::error(span, message));
    }

    pub(super) fn push(&mut self, finding: Finding) {
        if !self.seen.insert((finding.span, finding.message.clone())) {
            return;
        }
        if self.list.len() >= MOST {
            self.left_out += 1;
            if self.has_error || !finding.is_error() {
                return;
            }
            self.list.pop();
        }
        self.has_error |= finding.is_error();
        self.list.push(finding);
    }

    /// What the reader of a file's YAML found.
    pub(super) fn take(&mut self, findings: Findings) {
        findings.into_parts().0.into_iter().for_each(|finding| self.push(finding));
    }

    /// Whether anything is wrong.
    pub(super) fn has_error(&self) -> bool {
        self.has_error
    }

    /// Counts `bytes` of the result. When there are too many, says so once and answers `false`: then nothing more is to be built.
    pub(super) fn spend(&mut self, bytes: usize, span: Span) -> bool {
        let fitted = self.spent <= MOST_BYTES;
        self.spent = self.spent.saturating_add(bytes);
        let fits = self.spent <= MOST_BYTES;
        if fitted && !fits {
            let most = MOST_BYTES / 1024 / 1024;
            self.wrong(span, format!("what this file stands for is larger than {most} MiB"));
        }
        fits
    }

    /// Whether [`Notes::spend`] still answers `true`.
    pub(super) fn fits(&self) -> bool {
        self.spent <= MOST_BYTES
    }

    /// Takes note that a variable is read which only the other system sets.
    pub(super) fn reads_foreign(&mut self, name: &str, span: Span) {
        if self.foreign.len() < MOST && !self.foreign.contains_key(name) {
            self.foreign.insert(name.to_owned(), span);
        }
    }

    /// Says which of those variables nothing sets; `system` is who sets them.
    pub(super) fn tell_foreign(&mut self, system: &str) {
        for (name, span) in std::mem::take(&mut self.foreign) {
            let name = shown(&name);
            self.note_help(
                span,
                format!("`{name}` is set by {system} and not by Jobwright"),
                format!("give it with `--env {name}=VALUE`, or under `variables`"),
            );
        }
    }

    /// All notes.
    ///
    /// # Errors
    /// The same with all else that was found when anything is wrong.
    pub(super) fn into_report(mut self) -> Result<Report, Report> {
        if self.left_out > 0 {
            let last = self.list.iter().map(|finding| finding.span).max().unwrap_or_default();
            self.list.push(Finding::warning(last, format!("{} more are not listed", self.left_out)));
        }
        let mut list = self.list;
        if self.has_error {
            list.retain(Finding::is_error);
            return Err(Report::new(Arc::new(self.sources), list));
        }
        Ok(Report::new(Arc::new(self.sources), list))
    }
}
