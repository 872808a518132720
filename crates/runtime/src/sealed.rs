//! Documents that a Jobwright leaves to whoever takes over what it began (DESIGN rule 3): written once, whole or not at all, and without
//! any secret. Each text that holds one is left out, and lies in the vault (`jobwright_journal::Vault`) under its place. Not for what
//! such a document says.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jobwright_journal::Vault;
use jobwright_model::{Job, RunId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::masking::secrets_of;

/// Why a document cannot be written, or not be read again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// It is no such document.
    #[error("{} is damaged: {source}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It is another version's.
    #[error(
        "{} was written by Jobwright {version} (format {found}); this one reads format {wanted}: resume the run with the program \
         that began it, or remove what it left with `jobwright clean`",
        .path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format that is read.
        wanted: u32,
        /// The program that wrote it.
        version: String,
    },
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    version: String,
    /// How many texts are left out.
    #[serde(default)]
    hidden: usize,
    manifest: Value,
}

/// Where a document lies, in which format, and where what it leaves out.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    /// The file.
    pub path: &'a Path,
    /// Whose it is.
    pub run: &'a RunId,
    /// Without one, what is left out is lost with this process.
    pub vault: Option<&'a Vault>,
    /// The version of what is in it; another one is not read.
    pub format: u32,
}

/// A document that was read, and whether what it left out was still there.
pub struct Unsealed<T> {
    /// What it says.
    pub content: T,
    /// The values of its secrets are gone; they are empty in `content`.
    pub secrets_are_gone: bool,
}

impl Sealed<'_> {
    /// Writes `content` without the texts that hold one of `secrets`.
    ///
    /// # Errors
    /// [`DocumentError`]; nothing is at the path then that was not there before.
    pub fn write<T: Serialize>(&self, content: &T, secrets: &[String]) -> Result<(), DocumentError> {
        let path = self.path.to_owned();
        let damaged = |source| DocumentError::Damaged { path: path.clone(), source };
        let mut manifest = serde_json::to_value(content).map_err(damaged)?;
        let mut hidden = BTreeMap::new();
        if !secrets.is_empty() {
            hide(&mut manifest, secrets, &mut String::new(), &mut hidden);
        }
        if let Some(vault) = self.vault.filter(|_| !hidden.is_empty()) {
            let values = serde_json::to_vec(&hidden).map_err(damaged)?;
            let failed =
                |source| DocumentError::Io { path: vault.dir().to_owned(), action: "write into", source };
            vault.keep(self.run, &values).map_err(failed)?;
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let document = Document { format: self.format, version, hidden: hidden.len(), manifest };
        let text = serde_json::to_vec(&document).map_err(damaged)?;
        write(&path, &text).map_err(|source| DocumentError::Io { path, action: "write", source })
    }

    /// Reads what was written; none when nothing ever was.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<Unsealed<T>>, DocumentError> {
        let path = self.path.to_owned();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DocumentError::Io { path, action: "read", source }),
        };
        let damaged = |source| DocumentError::Damaged { path: path.clone(), source };
        let Document { format, version, hidden, mut manifest } =
            serde_json::from_slice(&text).map_err(damaged)?;
        if format != self.format {
            return Err(DocumentError::Version { path, found: format, wanted: self.format, version });
        }
        let values = if hidden == 0 { Some(BTreeMap::new()) } else { values(self.vault, self.run) };
        let secrets_are_gone = values.as_ref().is_none_or(|values| values.len() != hidden);
        for (place, value) in values.into_iter().flatten() {
            if let Some(hole) = manifest.pointer_mut(&place) {
                *hole = Value::String(value);
            }
        }
        let content = serde_json::from_value(manifest).map_err(damaged)?;
        Ok(Some(Unsealed { content, secrets_are_gone }))
    }
}

/// The values in `jobs` that no disk may hold.
pub fn secret_values<'j>(jobs: impl Iterator<Item = &'j Job>) -> Vec<String> {
    let workflows = jobs.flat_map(|job| &job.phases).map(|phase| &phase.workflow);
    let values = workflows.flat_map(secrets_of).map(|(_, value)| value).filter(|value| !value.is_empty());
    let mut values: Vec<String> = values.map(str::to_owned).collect();
    values.sort();
    values.dedup();
    values
}

/// What the vault has of the run; none when it is gone or cannot be read, which is told and no reason to show anything.
fn values(vault: Option<&Vault>, run: &RunId) -> Option<BTreeMap<String, String>> {
    let kept = vault?.fetch(run).unwrap_or_else(|error| {
        tracing::warn!(%run, %error, "the values of the run's secrets cannot be read");
        None
    })?;
    serde_json::from_slice(&kept).ok()
}

/// Takes the texts out that hold a secret, and notes them under their places (JSON pointers).
fn hide(value: &mut Value, secrets: &[String], place: &mut String, hidden: &mut BTreeMap<String, String>) {
    let length = place.len();
    match value {
        Value::String(text)
            if secrets.iter().any(|secret| text.contains(secret) && !is_chance(text, secret)) =>
        {
            hidden.insert(place.clone(), std::mem::take(text));
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                place.push_str(&format!("/{index}"));
                hide(item, secrets, place, hidden);
                place.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                place.push_str(&format!("/{}", name.replace('~', "~0").replace('/', "~1")));
                hide(item, secrets, place, hidden);
                place.truncate(length);
            }
        }
        _ => {}
    }
}

/// Whether `text` is an id that only happens to hold the digits of `secret`.
fn is_chance(text: &str, secret: &str) -> bool {
    text.len() == 32 && secret.len() < text.len() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The file is readable by this user alone, and never seen half-written.
fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text)?;
    fs::rename(draft, path)
}
