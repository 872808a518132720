//! Where rules put what they find. Not for showing it.

use crate::finding::Finding;
use crate::keys;
use crate::source::Span;
use crate::text::shown;

/// The most findings that one report holds; past them only their number counts.
const MOST: usize = 200;
/// The most comparisons of two names that suggestions may cost in all: enough for a few in a file of many thousand jobs.
const MOST_COMPARISONS: usize = 100_000;

/// Findings so far, and what excerpts must not show.
#[derive(Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    has_error: bool,
    left_out: usize,
    comparisons: usize,
    hidden: Vec<Span>,
    every_key: bool,
}

impl Findings {
    /// With keys let through that this version does not honour yet.
    pub(crate) fn with_every_key(every_key: bool) -> Self {
        Self { every_key, ..Self::default() }
    }

    /// Whether keys are let through that this version does not honour yet.
    pub(crate) fn every_key(&self) -> bool {
        self.every_key
    }

    /// Adds one, unless it is there already: what is wrong in a template is wrong in all that extend it. When there is no room it is
    /// counted only, but the first error takes a warning's place.
    pub(crate) fn push(&mut self, finding: Finding) {
        if self.list.contains(&finding) {
            return;
        }
        if self.list.len() == MOST {
            self.left_out += 1;
            if self.has_error || !finding.is_error() {
                return;
            }
            self.list.pop();
        }
        self.has_error |= finding.is_error();
        self.list.push(finding);
    }

    /// Keeps a secret value that was written into the file out of every excerpt.
    pub(crate) fn hide(&mut self, span: Span) {
        self.hidden.push(span);
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// A help that suggests the nearest of the file's own `names`, of which there are `how_many`, when one is near.
    pub(crate) fn suggest<'a>(
        &mut self,
        word: &str,
        names: impl IntoIterator<Item = &'a str>,
        how_many: usize,
    ) -> Option<String> {
        self.comparisons += how_many;
        if self.comparisons > MOST_COMPARISONS {
            return None;
        }
        keys::nearest(word, names).map(|name| format!("did you mean `{}`?", shown(name)))
    }

    /// The findings, the last of them saying how many more there are, and the stretches to hide.
    pub(crate) fn into_parts(mut self) -> (Vec<Finding>, Vec<Span>) {
        if self.left_out > 0 {
            let last = self.list.iter().map(|finding| finding.span).max().unwrap_or_default();
            let message = format!("{} more findings are not shown", self.left_out);
            self.list.push(Finding::warning(Span::new(last.file, last.start, last.start), message));
        }
        (self.list, self.hidden)
    }
}
