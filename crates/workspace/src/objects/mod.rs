//! Archives that outlive a job: caches and artifacts as compressed tar files, each whole or not there at all.
//!
//! - [`ArchiveWriter`] brings a [`TarStream`](crate::TarStream) to disk under a lock and shows it by a rename when it is whole;
//! - [`Archive`] is one that was found sound, to be streamed or unpacked;
//! - [`ObjectStore`] keeps archives by key, and lists, removes and prunes them.
//!
//! Not here: which files of which job go in, and who gets them (the engine's affair).

mod archive;
mod audit;
mod digest;
mod draft;
mod header;
mod size;
mod store;

pub use archive::{Archive, ArchiveWriter, Written};
pub use header::{Contents, Label};
pub use size::{InvalidSize, Size};
pub use store::{ObjectKey, ObjectStore, ObjectWriter, PrunePolicy, Pruned, StoredObject};
