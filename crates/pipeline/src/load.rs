//! From a path or from bytes to a checked pipeline. Not for the files that it includes (`include`) or for the rules (`check`).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::check::check;
use crate::dialect::Dialect;
use crate::finding::Report;
use crate::findings::Findings;
use crate::include::{self, OpenError, Place, Reach};
use crate::pipeline::Pipeline;
use crate::source::{FileId, Sources};
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
    /// The file lies outside of the directory that the loader is confined to. Whether it is there was not looked at.
    #[error("the pipeline file `{}` lies outside of `{}`, the directory that files may come from", path.display(), root.display())]
    Outside {
        /// Which file.
        path: PathBuf,
        /// Where it has to lie.
        root: PathBuf,
    },
    /// The file is wrong, or one that it includes.
    #[error(transparent)]
    Invalid(#[from] Report),
}

/// How a pipeline is loaded. [`Pipeline::load`] and [`Pipeline::parse`] are what most need.
#[derive(Debug, Clone, Default)]
pub struct Loader {
    base: Option<PathBuf>,
    reach: Reach,
    every_key: bool,
}

impl Loader {
    /// Bytes cannot include files, and keys that this version does not honour are refused.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The paths that the bytes given to [`Loader::parse`] include count from `directory`.
    #[must_use]
    pub fn base(mut self, directory: impl Into<PathBuf>) -> Self {
        self.base = Some(directory.into());
        self
    }

    /// Reads no file but those beneath the directory `root`, whatever a path or a link says: for files that others wrote, as a message
    /// shows lines of the files that it is about. What lies outside is refused without a look at whether it is there. A
    /// relative `root` counts from the working directory. What jobs read when they are compiled (`env_file`, secrets) is
    /// up to who answers for it, [`crate::ResolveSecret`].
    #[must_use]
    pub fn confined_to(mut self, root: impl Into<PathBuf>) -> Self {
        self.reach = Reach::Beneath(root.into());
        self
    }

    /// Takes keys as well that this version does not honour yet ([`crate::Support::Later`]): what comes of it must not be run.
    /// For the tests of the language.
    #[must_use]
    pub fn every_key(mut self) -> Self {
        self.every_key = true;
        self
    }

    /// Reads and checks the file at `path`, which is also its name in messages, and all files that it includes. At most
    /// [`MAX_BYTES`] of each are read.
    ///
    /// # Errors
    /// [`LoadError::Unreadable`] when the system does not give the file or it is no regular one, [`LoadError::Outside`] when it lies where
    /// no file may come from, [`LoadError::Invalid`] when a rule is violated, that of included files among them.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Pipeline, LoadError> {
        let path = path.as_ref();
        let unreadable = |reason| LoadError::Unreadable { path: path.to_owned(), reason };
        let (file, canonical) = match &self.reach {
            // Whoever names a file may name a pipe.
            Reach::Everywhere => (File::open(path).map_err(unreadable)?, std::fs::canonicalize(path).ok()),
            Reach::Beneath(root) => match self.reach.open(path) {
                Ok(opened) => (opened.file, Some(opened.canonical)),
                Err(OpenError::Io(reason)) => return Err(unreadable(reason)),
                Err(OpenError::Outside) => {
                    return Err(LoadError::Outside { path: path.to_owned(), root: root.clone() });
                }
            },
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        let place = Place { directory, canonical, reach: self.reach.clone() };
        Ok(self.read(&path.display().to_string(), &bytes, Some(place))?)
    }

    /// Checks the file that is called `name` and holds `bytes`. Whatever the bytes are, this neither panics nor takes
    /// more than a small multiple of their size.
    ///
    /// # Errors
    /// A [`Report`] with everything that is wrong.
    pub fn parse(&self, name: &str, bytes: &[u8]) -> Result<Pipeline, Report> {
        let place = self.base.clone().map(|directory| Place {
            directory,
            canonical: None,
            reach: self.reach.clone(),
        });
        self.read(name, bytes, place)
    }

    fn read(&self, name: &str, bytes: &[u8], place: Option<Place>) -> Result<Pipeline, Report> {
        let source = decode(FileId::default(), name, bytes).map_err(|not_text| {
            let sources = Sources::new(not_text.source);
            Report::new(Arc::new(sources), vec![not_text.finding])
        })?;
        let source = source.in_dialect(Dialect::of(Path::new(name), Dialect::default()));
        let mut findings = Findings::with_every_key(self.every_key);
        let whole = include::assemble(source, place, &mut findings);
        check(whole, findings)
    }
}

impl Pipeline {
    /// Reads and checks the file at `path` with all that it includes, as [`Loader::load`] does.
    ///
    /// # Errors
    /// Those of [`Loader::load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        Loader::new().load(path)
    }

    /// Checks the file that is called `name` and holds `bytes`, as [`Loader::parse`] does. As nobody knows where such a file lies, it
    /// cannot include others.
    ///
    /// # Errors
    /// Those of [`Loader::parse`].
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, Report> {
        Loader::new().parse(name, bytes)
    }
}
