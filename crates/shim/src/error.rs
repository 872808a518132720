//! What can go wrong on the owner's side of the shim.

use std::path::PathBuf;

use crate::protocol::Refusal;

/// An error of finding, starting, reaching or reading a shim.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShimError {
    /// The program was found nowhere.
    #[error("jobwright-shim not found (looked in {looked_in}); set JOBWRIGHT_SHIM to its path")]
    NotFound {
        /// The places that were tried.
        looked_in: String,
    },
    /// The program ended without serving.
    #[error("jobwright-shim did not start: {message}")]
    Launch {
        /// What it said.
        message: String,
    },
    /// The socket could not be reached: no shim serves the directory.
    #[error("no shim serves {}: {source}", dir.display())]
    Unreachable {
        /// The shim's directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The connection ended: the shim is gone, or ends.
    #[error("the shim closed the connection")]
    Gone,
    /// The connection broke.
    #[error("the connection to the shim broke: {0}")]
    Connection(#[source] std::io::Error),
    /// What came is not the protocol.
    #[error("not understood from the shim: {0}")]
    Protocol(String),
    /// The shim refused the order.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A record is not what it should be.
    #[error("{} is not a record of this version: {source}", path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The output file is damaged.
    #[error("damaged output frame at byte {offset}: {why}")]
    Frame {
        /// Offset of the frame in its file.
        offset: u64,
        /// What is wrong.
        why: String,
    },
}
