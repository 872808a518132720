//! A job's files: which of a project's files a job gets, how they are copied, sent as a tar stream, unpacked and removed.
//!
//! - [`Project`] lists a tree under the rules of `.gitignore` and `.jobwrightignore`; a [`Snapshot`] tells later what changed in it;
//! - [`copy_tree`] copies it into a new directory;
//! - [`pack`] makes a [`TarStream`] of a tree or of what globs select, [`unpack`] brings one to disk safely;
//! - [`ObjectStore`] and [`Archive`] keep caches and artifacts as compressed archives;
//! - [`remove_tree`] removes a job's directory, whatever the job did to it.
//!
//! The functions that touch the disk block. [`pack`] and [`unpack`] are asynchronous and do their work on blocking
//! threads; the others have a thin asynchronous twin in [`offload`].
//!
//! Not here: where workspaces lie and who owns them (a backend's affair), and anything about pipelines or steps.
//! The crate is for Linux: it stands on directory descriptors, `openat2` and `copy_file_range`.

mod beneath;
mod copy;
mod error;
mod objects;
pub mod offload;
mod remove;
mod tar;
mod tree;

pub use copy::{CopyOptions, CopyReport, copy_tree};
pub use error::{Error, Limit, Result};
pub use objects::{
    Archive, ArchiveWriter, Contents, InvalidSize, Label, ObjectKey, ObjectStore, ObjectWriter, PrunePolicy,
    Pruned, Size, StoredObject, Written,
};
pub use remove::{RemoveReport, remove_tree};
pub use tar::{
    Limits, PackOptions, PackReport, Selection, TarStream, UnpackOptions, UnpackReport, pack, pack_into,
    pack_with_report, unpack, unpack_from,
};
pub use tree::{
    Directory, DirectoryId, Globs, Kind, Leaf, Listing, Project, RuleProblem, SkipReason, Skipped, Snapshot,
    TreeOptions, list_globs,
};

/// The user and group that files which this crate creates are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The numeric user id.
    pub uid: u32,
    /// The numeric group id.
    pub gid: u32,
}

impl Owner {
    fn ids(self) -> (Option<rustix::fs::Uid>, Option<rustix::fs::Gid>) {
        (Some(rustix::fs::Uid::from_raw(self.uid)), Some(rustix::fs::Gid::from_raw(self.gid)))
    }
}
