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
    #[error("the file `{}` cannot be a variable's value: {reason}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
}

/// Gives the value of a secret.
pub trait ResolveSecret {
    /// The value behind `source`.
    ///
    /// # Errors
    /// [`SecretError`] when there is none, or none that a variable can hold.
    fn resolve(&self, source: &SecretSource) -> Result<String, SecretError>;
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
}

fn read(path: &Path) -> Result<String, SecretError> {
    let unreadable = |reason| SecretError::Unreadable { path: path.to_owned(), reason };
    let unusable = |reason| SecretError::Unusable { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > LONGEST {
        return Err(unusable("it is longer than 127 KiB"));
    }
    let mut value = String::from_utf8(bytes).map_err(|_| unusable("it is not valid UTF-8"))?;
    if value.contains('\0') {
        return Err(unusable("it has a NUL byte"));
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
