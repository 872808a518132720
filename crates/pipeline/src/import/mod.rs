//! Files of other systems in our language: GitLab's and Woodpecker's are read, what they mean is said in our keys, and what cannot be
//! said is listed. Not for running anything, and not for the rules of our own language: the result is checked like any person's file.

#[cfg(test)]
mod book;
mod conditions;
mod document;
mod duration;
mod gitlab;
mod names;
mod node;
mod notes;
mod woodpecker;
mod write;

use std::path::{Path, PathBuf};

use crate::finding::Report;
use crate::load::Loader;
use notes::Notes;

/// The most bytes of a result; a file that says more by aliases and references is refused.
const MOST_BYTES: usize = crate::MAX_BYTES;

/// A file of another system in our language.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The pipeline file, with what was not carried over as comments at its top.
    pub text: String,
    /// What was not carried over, at its places in the files that were read.
    pub notes: Report,
}

/// Why a file was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file or directory cannot be read.
    #[error("`{}` cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A directory has no workflow files.
    #[error("`{}` has no workflow files (`*.yaml` or `*.yml`)", .0.display())]
    NoFiles(PathBuf),
    /// A directory has more workflow files than one pipeline can be made of.
    #[error(
        "`{}` has {count} workflow files, which is more than {}; import them one by one",
        directory.display(),
        woodpecker::MOST_FILES
    )]
    TooManyFiles {
        /// The directory.
        directory: PathBuf,
        /// How many.
        count: usize,
    },
    /// A file is wrong.
    #[error(transparent)]
    Invalid(Report),
    /// The result is not valid in our own language, which is a mistake of the importer; what it wrote is in the report.
    #[error("internal error: the importer wrote a file that is not valid; please report it\n{0}")]
    Internal(Report),
}

/// Reads the GitLab file at `path` and all local files that it includes, and says the same in our language.
///
/// Paths of local includes count from the nearest directory above the file that has a `.git`, else from the file's own.
///
/// # Errors
/// [`ImportError`] when a file cannot be read or is wrong.
pub fn import_gitlab(path: &Path) -> Result<Imported, ImportError> {
    gitlab::import(gitlab::Input::read(path)?)
}

/// The same for a file that is called `name` and holds `bytes`; it cannot include others.
///
/// # Errors
/// [`ImportError`] when it is wrong.
pub fn import_gitlab_bytes(name: &str, bytes: &[u8]) -> Result<Imported, ImportError> {
    gitlab::import(gitlab::Input::bytes(name, bytes))
}

/// Reads the Woodpecker workflow at `path`, or all workflows of the directory there, and says the same in our language.
///
/// # Errors
/// [`ImportError`] when a file cannot be read or is wrong.
pub fn import_woodpecker(path: &Path) -> Result<Imported, ImportError> {
    woodpecker::import(&woodpecker::read(path)?)
}

/// The same for files given as their names and bytes.
///
/// # Errors
/// [`ImportError`] when one is wrong.
pub fn import_woodpecker_bytes(files: &[(String, Vec<u8>)]) -> Result<Imported, ImportError> {
    woodpecker::import(files)
}

/// The result, once it has been shown to be a valid file of our language.
fn finish(document: &document::Document, notes: Notes, command: &str) -> Result<Imported, ImportError> {
    let notes = notes.into_report().map_err(ImportError::Invalid)?;
    let text = document.write(&notes, command);
    match Loader::new().every_key().parse(".jobwright.yaml", text.as_bytes()) {
        Ok(_) => Ok(Imported { text, notes }),
        Err(report) => Err(ImportError::Internal(report)),
    }
}
