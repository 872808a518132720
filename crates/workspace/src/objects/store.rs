//! Archives by key: a folder with one file for each, named by a hash of the key. Not for how one is written (`archive`).
//!
//! When an object was last used is its file's modification time, set on purpose: the access time would change with every look at it.

use std::fs::{FileTimes, Metadata, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::archive::{Archive, ArchiveWriter, peek};
use super::draft::{PARTIAL, remove_abandoned};
use super::header::{Contents, Label};
use crate::offload::blocking;
use crate::{Error, Globs, Result, TarStream, Written};

/// What an object's file name ends with.
const ENDING: &str = ".tar.zst";

/// What an object is kept under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectKey {
    id: String,
    label: Label,
}

impl ObjectKey {
    /// The key `key` of `scope`, which are any texts. People are told `shown` in its place: it holds no secret.
    #[must_use]
    pub fn new(scope: &str, key: &str, shown: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update((scope.len() as u64).to_le_bytes());
        hash.update(scope);
        hash.update(key);
        let id = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { id, label: Label::new(shown, scope) }
    }

    /// The object's id: 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as people may see it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.label.name
    }
}

/// One object of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its id.
    pub id: String,
    /// Whose it is and what is in it; none when it is damaged.
    pub known: Option<(Label, Contents)>,
    /// Bytes on disk.
    pub size: u64,
    /// When it was stored.
    pub stored: SystemTime,
    /// When it was last taken or stored.
    pub used: SystemTime,
}

/// What is pruned. Damaged objects and what dead writers left always are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrunePolicy {
    /// What was not used for so long.
    pub unused_for: Option<Duration>,
    /// What is too much when all together may have so many bytes on disk: the longest unused first.
    pub total: Option<u64>,
}

/// What was pruned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The objects that are gone.
    pub objects: Vec<StoredObject>,
    /// Unfinished archives of dead writers that are gone.
    pub drafts: u64,
}

/// Objects in a folder. Any number of processes may use it at the same time.
#[derive(Debug, Clone)]
pub struct ObjectStore {
    folder: PathBuf,
}

impl ObjectStore {
    /// The store in `folder`, which is made with the first object.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}{ENDING}"))
    }

    /// Waits until nobody else writes under `key`, for the right to do so.
    ///
    /// # Errors
    /// As [`ArchiveWriter::open`].
    pub async fn writer(&self, key: &ObjectKey) -> Result<ObjectWriter> {
        let path = self.path(&key.id);
        let writer = ArchiveWriter::open(&path).await?.unless_same();
        Ok(ObjectWriter { writer, label: key.label.clone(), path })
    }

    /// What is kept under `key`, found whole; none when there is nothing. It counts as used now.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub async fn open(&self, key: &ObjectKey) -> Result<Option<Archive>> {
        let path = self.path(&key.id);
        blocking(&self.folder, move || {
            let archive = Archive::open(&path)?;
            if archive.is_some() {
                mark_used(&path);
            }
            Ok(archive)
        })
        .await
    }

    /// All objects, in the order of their scopes, names and ids.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn list(&self) -> Result<Vec<StoredObject>> {
        let mut objects = Vec::new();
        for name in self.names()? {
            let Some(id) = name.strip_suffix(ENDING) else { continue };
            let path = self.folder.join(&name);
            let Some((header, file)) = peek(&path)? else { continue };
            let metadata = file.metadata().map_err(|error| Error::reading(&path, error))?;
            let known = header.map(|header| (header.label, header.contents));
            objects.push(stored(id, known, &metadata));
        }
        objects.sort_by(|a, b| order(a).cmp(&order(b)));
        Ok(objects)
    }

    /// Removes the object `id`; false when there is none. Whoever reads it goes on.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn remove(&self, id: &str) -> Result<bool> {
        let path = self.path(id);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::writing(path, error)),
        }
    }

    /// Removes what `policy` says.
    ///
    /// # Errors
    /// As [`list`](Self::list) and [`remove`](Self::remove).
    pub fn prune(&self, policy: &PrunePolicy) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        for name in self.names()?.iter().filter(|name| name.ends_with(PARTIAL)) {
            let path = self.folder.join(name);
            pruned.drafts +=
                u64::from(remove_abandoned(&path).map_err(|error| Error::writing(&path, error))?);
        }
        let now = SystemTime::now();
        let unused = |object: &StoredObject| now.duration_since(object.used).unwrap_or_default();
        let mut objects = self.list()?;
        objects.sort_by_key(|object| std::cmp::Reverse(object.used));
        let mut total = 0_u64;
        for object in objects {
            let too_old = policy.unused_for.is_some_and(|limit| unused(&object) >= limit);
            let too_much = policy.total.is_some_and(|limit| total.saturating_add(object.size) > limit);
            if too_old || too_much || object.known.is_none() {
                if self.remove(&object.id)? {
                    pruned.objects.push(object);
                }
            } else {
                total = total.saturating_add(object.size);
            }
        }
        Ok(pruned)
    }

    fn names(&self) -> Result<Vec<String>> {
        let reading = |error| Error::reading(&self.folder, error);
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(reading(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.map_err(reading)?.file_name().into_string());
        }
        Ok(names)
    }
}

/// The right to store an object.
pub struct ObjectWriter {
    writer: ArchiveWriter,
    label: Label,
    path: PathBuf,
}

impl ObjectWriter {
    /// Stores `tar` in place of what was there, unless that is the same: then it counts as used now. With `globs`, those that it has nothing
    /// for are told.
    ///
    /// # Errors
    /// As [`ArchiveWriter::write`].
    pub async fn store(self, tar: TarStream, globs: Option<Globs>) -> Result<Written> {
        let written = self.writer.write(self.label, tar, globs, false).await?;
        if written.unchanged {
            mark_used(&self.path);
        }
        Ok(written)
    }
}

fn stored(id: &str, known: Option<(Label, Contents)>, metadata: &Metadata) -> StoredObject {
    let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let stored = known.as_ref().map_or(used, |(_, contents)| contents.stored());
    StoredObject { id: id.to_owned(), known, size: metadata.len(), stored, used }
}

fn order(object: &StoredObject) -> (Option<(&str, &str)>, &str) {
    let known = object.known.as_ref();
    (known.map(|(label, _)| (label.scope.as_str(), label.name.as_str())), &object.id)
}

/// That the moment cannot be kept costs at most an object that is pruned too early.
fn mark_used(path: &Path) {
    let times = FileTimes::new().set_modified(SystemTime::now());
    let marked = OpenOptions::new().write(true).open(path).and_then(|file| file.set_times(times));
    if let Err(error) = marked {
        tracing::debug!(path = %path.display(), %error, "the use of an object was not noted");
    }
}
