//! Where secret values come from. Not for hiding them: that is the crate `redact`'s, told what to hide by a workflow's secrets.

use std::io::Read;
use std::path::{Path, PathBuf};

use jobwright_model::Secret;

/// Where a secret's value comes from. The file only says where; the value is read when a job is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable of Jobwright's own process.
    Env(String),
    /// A file's whole content but for one line break at its end; a relative path counts from the project.
    File(PathBuf),
}

/// Why a secret's value cannot be had. No message holds any of the value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The environment variable does not exist.
    #[error("the environment variable `{0}` is not set")]
    EnvUnset(String),
    /// The environment variable is not UTF-8.
    #[error("the environment variable `{0}` is not valid UTF-8")]
    EnvNotText(String),
    /// The file cannot be read.
    #[error("the file `{}` cannot be read: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The value cannot be the value of an environment variable: not UTF-8, a NUL byte inside, or too long.
    #[error("the file `{}` cannot be used: {reason}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
}

/// Gives the value of a secret, and the files of variables that stand beside secrets.
pub trait ResolveSecret {
    /// The value behind `source`.
    ///
    /// # Errors
    /// [`SecretError`] when there is none, or none that a variable can hold.
    fn resolve(&self, source: &SecretSource) -> Result<String, SecretError>;

    /// The whole text of the file of variables at `path`. Who has no files says so, which is what it does when nothing is written here.
    ///
    /// # Errors
    /// [`SecretError`] when the file cannot be read, or is no text of reasonable size.
    fn env_file(&self, path: &Path) -> Result<String, SecretError> {
        let reason = std::io::Error::from(std::io::ErrorKind::Unsupported);
        Err(SecretError::Unreadable { path: path.to_owned(), reason })
    }
}

/// The longest value in bytes: what Linux takes as one variable of a process (`MAX_ARG_STRLEN`), less room for its name.
const LONGEST: usize = 128 * 1024 - 1024;

/// Secrets of this host: its environment and its files.
#[derive(Debug, Clone)]
pub struct HostSecrets {
    project: PathBuf,
}

impl HostSecrets {
    /// Secrets for a project in the directory `project`, from which relative paths count.
    #[must_use]
    pub fn new(project: impl Into<PathBuf>) -> Self {
        Self { project: project.into() }
    }
}

impl ResolveSecret for HostSecrets {
    fn resolve(&self, source: &SecretSource) -> Result<String, SecretError> {
        match source {
            SecretSource::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => SecretError::EnvUnset(name.clone()),
                std::env::VarError::NotUnicode(_) => SecretError::EnvNotText(name.clone()),
            }),
            SecretSource::File(path) => read(&self.project.join(path)),
        }
    }

    fn env_file(&self, path: &Path) -> Result<String, SecretError> {
        let path = self.project.join(path);
        text(&path, LARGEST_ENV_FILE, "it is longer than 1 MiB")
    }
}

/// The largest file of variables in bytes.
const LARGEST_ENV_FILE: usize = 1 << 20;

/// A file's text, when it has at most `most` bytes.
fn text(path: &Path, most: usize, too_long: &'static str) -> Result<String, SecretError> {
    let unreadable = |reason| SecretError::Unreadable { path: path.to_owned(), reason };
    let unusable = |reason| SecretError::Unusable { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > most {
        return Err(unusable(too_long));
    }
    String::from_utf8(bytes).map_err(|_| unusable("it is not valid UTF-8"))
}

fn read(path: &Path) -> Result<String, SecretError> {
    let mut value = text(path, LONGEST, "it is longer than 127 KiB")?;
    if value.contains('\0') {
        return Err(SecretError::Unusable { path: path.to_owned(), reason: "it has a NUL byte" });
    }
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    Ok(value)
}

/// The pair under which a workflow knows a secret.
pub(crate) fn to_mask(name: &str, value: &str) -> Secret {
    Secret { name: name.to_owned(), value: value.to_owned() }
}
