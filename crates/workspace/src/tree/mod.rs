//! Which files of a directory are a job's: under ignore rules (a [`Project`]) or by globs ([`list_globs`]).
//!
//! Not here: what is done with them.

mod files;
mod git_index;
mod globs;
mod listing;
mod project;
mod rules;
mod snapshot;
mod walk;

pub(crate) use globs::GlobHits;
pub use globs::{Globs, list_globs};
pub use listing::{Directory, Kind, Leaf, Listing, RuleProblem, SkipReason, Skipped};
pub use project::{Project, TreeOptions};
pub use snapshot::{DirectoryId, Snapshot};
