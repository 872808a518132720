//! Environments of failed jobs that are kept on purpose: which, what is written down so that somebody can go into one later, and going into
//! it. What is secret lies apart from the rest, in memory (`/dev/shm`), and is gone with the machine's next start. Not for asking whether
//! failures are to be kept, nor for removing what was kept.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jobwright_backend::Backend;
use jobwright_journal::Journal;
use jobwright_model::{Auth, Ending, Step, StepUuid, TaskUuid, Timeouts};
use jobwright_redact::Masker;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::limits::Limits;
use crate::observer::Observer;
use crate::record::Record;
use crate::scope::Scope;
use crate::shared::Shared;
use crate::step::{Start, StepLife};
use crate::visit::{Visitor, WAITING};

/// Says of a failure that is about to end its job whether the environment is kept.
pub type KeepWhen = Arc<dyn Fn(&Ending) -> bool + Send + Sync>;

/// Where values lie that must not be on a disk.
const IN_MEMORY: &str = "/dev/shm";

/// Why an environment cannot be kept, or gone into.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeptError {
    /// A file cannot be written or read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// What is written there is not of this version.
    #[error("{}: not what this version writes: {source}", .path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// A step whose environment is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptStep {
    /// The step as it ran, without what is secret.
    pub step: Step,
    /// The names of the variables that are.
    #[serde(default)]
    secret: Vec<String>,
}

/// The values of the variables of a kept step that are secret, by their names.
type Values = BTreeMap<String, String>;

impl KeptStep {
    /// Divides `step`: what `masker` would change in a value is not for a disk.
    fn of(step: &Step, masker: &Masker) -> (Self, Values) {
        let mut step = step.clone();
        let mut values = std::mem::take(&mut step.secret_mapping);
        let hidden = |name: &String, value: &mut String| {
            values.contains_key(name) || masker.mask_str(value) != value.as_str()
        };
        values.extend(step.environment.extract_if(.., hidden).collect::<Vec<_>>());
        // The image is here.
        step.auth_config = Auth::default();
        // It has run.
        step.commands.clear();
        (Self { step, secret: values.keys().cloned().collect() }, values)
    }

    /// Writes down what it takes to go into the environment of `step`, in the run's `folder`.
    pub(crate) fn write(
        folder: &Path,
        task: &TaskUuid,
        step: &Step,
        masker: &Masker,
    ) -> Result<(), KeptError> {
        let (kept, values) = Self::of(step, masker);
        if !values.is_empty() {
            write_private(&values_file(task), &values)?;
        }
        let dir = kept_dir(folder);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .map_err(|source| KeptError::Io { path: dir, source })?;
        write_private(&kept_file(folder, task), &kept)
    }

    /// Reads it back. The second are the names of the secret variables whose values are gone.
    ///
    /// # Errors
    /// [`KeptError`].
    pub fn read(folder: &Path, task: &TaskUuid) -> Result<(Step, Vec<String>), KeptError> {
        let path = kept_file(folder, task);
        let text = fs::read(&path).map_err(|source| KeptError::Io { path: path.clone(), source })?;
        let kept: Self =
            serde_json::from_slice(&text).map_err(|source| KeptError::Format { path, source })?;
        let values: Values = fs::read(values_file(task))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let mut step = kept.step;
        let lost = kept.secret.into_iter().filter(|name| !values.contains_key(name)).collect();
        step.secret_mapping = values;
        Ok((step, lost))
    }

    /// Removes what was written, when the environment is gone. What is not there is no error.
    ///
    /// # Errors
    /// [`KeptError::Io`].
    pub fn forget(folder: &Path, task: &TaskUuid) -> Result<(), KeptError> {
        for path in [values_file(task), kept_file(folder, task)] {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(KeptError::Io { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn kept_dir(folder: &Path) -> PathBuf {
    folder.join("kept")
}

fn kept_file(folder: &Path, task: &TaskUuid) -> PathBuf {
    kept_dir(folder).join(format!("{task}.json"))
}

/// A task's uuid is random, so the name is free, and somebody who took it all the same is told by the creation that fails.
fn values_file(task: &TaskUuid) -> PathBuf {
    Path::new(IN_MEMORY).join(format!("jobwright-{task}.json"))
}

fn write_private(path: &Path, value: &impl Serialize) -> Result<(), KeptError> {
    let text =
        serde_json::to_vec(value).map_err(|source| KeptError::Format { path: path.to_owned(), source })?;
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    written
        .and_then(|mut file| file.write_all(&text))
        .map_err(|source| KeptError::Io { path: path.to_owned(), source })
}

/// A kept environment that somebody goes into.
pub struct Revisit {
    /// Where it is.
    pub backend: Arc<dyn Backend>,
    /// Its task, which stays.
    pub task: TaskUuid,
    /// The step that failed in it.
    pub step: Step,
    /// Is told of the step that waits for the visit.
    pub observer: Arc<dyn Observer>,
    /// Hides what is secret in what is told.
    pub masker: Masker,
    /// Bounds on the surroundings.
    pub limits: Limits,
    /// Where decisions are written down.
    pub journal: Arc<Journal<Record>>,
}

impl Revisit {
    /// Starts a step that waits in the environment, in the place of the one that failed, lets `visitor` go into it, and ends it. The
    /// environment stays as the visit left it. Answers how the visit ended, and an error that is not its own.
    pub async fn run(self, visitor: Arc<dyn Visitor>, scope: &Scope) -> (Ending, Option<String>) {
        let mut step = self.step;
        step.uuid = StepUuid::random();
        step.entrypoint.clear();
        step.commands = vec![WAITING.to_owned()];
        let shared = Shared {
            backend: self.backend,
            task: self.task,
            observer: self.observer,
            gates: Vec::new(),
            masker: self.masker,
            timeouts: Timeouts::default(),
            deadline: None,
            limits: self.limits,
            scope: scope.child(),
            started: Timestamp::now(),
            files: None,
            delivered: OnceCell::new(),
            journal: Some(self.journal),
            secrets_are_gone: false,
            ready: BTreeMap::new(),
            given_up: CancellationToken::new(),
            step_files: None,
            in_place: None,
            visitor: Some(visitor),
            keep_when: None,
            kept: std::sync::OnceLock::new(),
        };
        let result = match StepLife::new(Arc::new(shared), &step, true).begin(true).await {
            Start::Running(running) => running.finish(None).await,
            Start::Over(result) => result,
        };
        (result.ending, result.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_lies_apart_from_the_rest_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let task = TaskUuid::random();
        let mut step = Step::new("build", StepUuid::random());
        step.secret_mapping.insert("TOKEN".into(), "s3cr3t-t0k3n".into());
        for (name, value) in [("TOKEN", "s3cr3t-t0k3n"), ("URL", "https://s3cr3t-t0k3n@host"), ("PLAIN", "x")]
        {
            step.environment.insert(name.into(), value.into());
        }
        let masker = Masker::builder().secret("TOKEN", "s3cr3t-t0k3n").build().masker;
        KeptStep::write(folder.path(), &task, &step, &masker).unwrap();
        let on_disk = fs::read_to_string(kept_file(folder.path(), &task)).unwrap();
        assert!(!on_disk.contains("s3cr3t") && on_disk.contains("PLAIN"), "{on_disk}");
        let (back, lost) = KeptStep::read(folder.path(), &task).unwrap();
        assert_eq!((back.secret_mapping["URL"].as_str(), lost), ("https://s3cr3t-t0k3n@host", vec![]));
        assert!(KeptStep::write(folder.path(), &task, &step, &masker).is_err(), "a name that is taken");
        fs::remove_file(values_file(&task)).unwrap();
        let (_, lost) = KeptStep::read(folder.path(), &task).unwrap();
        assert_eq!(lost, ["TOKEN", "URL"]);
        KeptStep::forget(folder.path(), &task).unwrap();
        assert!(matches!(KeptStep::read(folder.path(), &task), Err(KeptError::Io { .. })));
    }
}
