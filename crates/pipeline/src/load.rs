//! From a path or from bytes to a checked pipeline.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::check::check;
use crate::finding::Report;
use crate::pipeline::Pipeline;
use crate::yaml::{MAX_BYTES, decode};

/// Why there is no pipeline.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("the pipeline file `{}` cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The file is wrong.
    #[error(transparent)]
    Invalid(#[from] Report),
}

impl Pipeline {
    /// Reads and checks the file at `path`, which is also its name in messages. At most [`MAX_BYTES`] are read.
    ///
    /// # Errors
    /// [`LoadError::Unreadable`] when the system does not give the file, [`LoadError::Invalid`] when a rule is violated.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let unreadable = |reason| LoadError::Unreadable { path: path.to_owned(), reason };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(Self::parse(&path.display().to_string(), &bytes)?)
    }

    /// Checks the file that is called `name` and holds `bytes`. Whatever the bytes are, this neither panics nor takes
    /// more than a small multiple of their size.
    ///
    /// # Errors
    /// A [`Report`] with everything that is wrong.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, Report> {
        check(decode(name, bytes)?)
    }
}
