//! A pipeline's file and all that it includes become one set of keys and jobs (local-ci.md 1.5). The including file wins over what it
//! includes, a later include over an earlier one; jobs come in that order too. Not for what the keys mean.

mod files;
mod merge;
mod placeholders;
mod reach;

use std::path::PathBuf;

use crate::finding::Finding;
use crate::findings::Findings;
use crate::source::{Source, Sources, Span};
use crate::yaml::Entry;

pub(crate) use reach::{OpenError, Reach};

/// Where a file lies, as far as that is known.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// From where the paths that it includes count.
    pub(crate) directory: PathBuf,
    /// The file itself, to know it again when it is included.
    pub(crate) canonical: Option<PathBuf>,
    /// From where it may include others.
    pub(crate) reach: Reach,
}

/// All that a pipeline's files say.
pub(crate) struct Whole {
    pub(crate) sources: Sources,
    /// The keys of the whole file.
    pub(crate) own: Vec<Entry>,
    /// Jobs and templates, in the order in which the jobs run within a stage.
    pub(crate) jobs: Vec<Entry>,
    /// The start of the first file.
    pub(crate) start: Span,
    /// Whether all files could be read: what is not found in some of them may be in the others.
    pub(crate) complete: bool,
    /// Whether the first file says anything at all.
    pub(crate) readable: bool,
}

/// Reads what `source`, the file that was asked for, includes, and puts all of it together. Without a `place` it cannot include anything.
pub(crate) fn assemble(source: Source, place: Option<Place>, findings: &mut Findings) -> Whole {
    let start = source.span(0, 0);
    let mut files = files::Files::read(source, place, findings);
    placeholders::refuse_in_included(&files, findings);
    let merged = merge::merge(&mut files, findings);
    Whole {
        own: merged.own,
        jobs: merged.jobs,
        start: files.start().unwrap_or(start),
        complete: files.complete,
        readable: files.start().is_some(),
        sources: files.sources,
    }
}

/// What is said of a file that says nothing.
pub(crate) fn empty_file(span: Span) -> Finding {
    Finding::error(span, "the file is empty").help(SMALLEST)
}

/// What a file needs.
pub(crate) const SMALLEST: &str =
    "a pipeline needs at least `stages: [test]` and a job with a `stage` and a `script`";
