//! Where executions are kept, so that each is found again after any crash:
//!
//! ```text
//! STATE/executions/ID            a link to its folder, in name only; made in one step, so that of many who want the id one gets it
//! STATE/executions/.cancels/RUN  somebody wants it ended; for its owner
//! STATE/runs/RUN/execution.json  what is run (no secret is in it), written before the id is taken
//! STATE/runs/RUN/journal         as of every run: who owns it, and how far it is
//! STATE/runs/RUN/output*         what it wrote (`output`)
//! STATE/runs/RUN/paused          it stands still, or is about to
//! STATE/runs/RUN/copies.json     which files in its results directory are its own (`copies`)
//! STATE/runs/RUN/texts.json      the end of what it wrote, for its result
//! STATE/runs/RUN/result.json     what came of it
//! ```
//!
//! Only files; what they mean for a caller is said in `executions`.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use jobwright_journal::{StateDir, Vault};
use jobwright_model::{ExecutionId, ExecutionResult, Job, JobId, RunId};
use jobwright_runtime::{DocumentError, Sealed, Unsealed, secret_values};
use serde::{Deserialize, Serialize};

use crate::copies::Copies;
use crate::error::{Error, Result};
use crate::output::{DATA, INDEX};
use crate::provision::Provisions;

pub(crate) const DOCUMENT: &str = "execution.json";
const RESULT: &str = "result.json";
const TEXTS: &str = "texts.json";
const PAUSED: &str = "paused";
const FORMAT: u32 = 1;

/// What is kept of an execution from its beginning on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) execution_id: ExecutionId,
    pub(crate) job_id: JobId,
    pub(crate) job: Job,
    pub(crate) provisions: Provisions,
    pub(crate) results_dir: Option<PathBuf>,
    /// How long its logs stay after its end, in seconds.
    pub(crate) keep_logs: Option<f64>,
    /// It is there for a visit, and ends with its owner.
    #[serde(default)]
    pub(crate) is_visited: bool,
}

/// The executions of a state directory.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    state: StateDir,
    vault: Option<Vault>,
}

impl Store {
    pub(crate) fn open(state: StateDir) -> Result<Self> {
        let store = Self::look(state);
        let cancels = store.cancels();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&cancels);
        made.map_err(Error::store(format!("making {}", cancels.display())))?;
        Ok(store)
    }

    /// For looking only: nothing is made.
    pub(crate) fn look(state: StateDir) -> Self {
        let vault = Vault::of(&state);
        Self { state, vault }
    }

    pub(crate) fn state(&self) -> &StateDir {
        &self.state
    }

    fn claims(&self) -> PathBuf {
        self.state.path().join("executions")
    }

    fn claim(&self, id: &ExecutionId) -> PathBuf {
        self.claims().join(id.as_str())
    }

    fn cancels(&self) -> PathBuf {
        self.claims().join(".cancels")
    }

    pub(crate) fn folder(&self, run: &RunId) -> PathBuf {
        self.state.run_dir(run)
    }

    /// A folder of its own for a new execution, with `kept` in it.
    pub(crate) fn begin(&self, kept: &Kept) -> Result<RunId> {
        let (run, folder) = self.state.create_new_run_dir().map_err(|error| Error::Store {
            operation: "making a folder for an execution".to_owned(),
            source: io::Error::other(error),
        })?;
        let written =
            self.sealed(&run, &folder.join(DOCUMENT)).write(kept, &secret_values([&kept.job].into_iter()));
        if let Err(error) = written {
            self.discard(&run);
            return Err(document(error));
        }
        Ok(run)
    }

    fn sealed<'a>(&'a self, run: &'a RunId, path: &'a Path) -> Sealed<'a> {
        Sealed { path, run, vault: self.vault.as_ref(), format: FORMAT }
    }

    /// Gives `id` to the execution in the folder of `run`; false when it is taken.
    pub(crate) fn take(&self, id: &ExecutionId, run: &RunId) -> Result<bool> {
        match symlink(Path::new("../runs").join(run.as_str()), self.claim(id)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(source) => Err(Error::Store { operation: format!("taking the id {id}"), source }),
        }
    }

    /// The run of `id`.
    pub(crate) fn run_of(&self, id: &ExecutionId) -> Result<RunId> {
        let failed = |source| Error::Store { operation: format!("reading whose the id {id} is"), source };
        match fs::read_link(self.claim(id)) {
            Ok(folder) => {
                let run = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                RunId::new(run).map_err(|error| Error::Damaged(format!("whose the id {id} is: {error}")))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::NotFound(id.clone())),
            Err(source) => Err(failed(source)),
        }
    }

    /// All ids, in order.
    pub(crate) fn ids(&self) -> Result<Vec<ExecutionId>> {
        let failed = |source| Error::Store { operation: "listing the executions".to_owned(), source };
        let mut ids = Vec::new();
        for entry in fs::read_dir(self.claims()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            ids.extend(name.to_str().and_then(|name| ExecutionId::new(name).ok()));
        }
        ids.sort();
        Ok(ids)
    }

    pub(crate) fn kept(&self, run: &RunId) -> Result<Unsealed<Kept>> {
        let path = self.folder(run).join(DOCUMENT);
        let missing = || Error::Damaged(format!("{} is not there", path.display()));
        self.sealed(run, &path).read().map_err(document)?.ok_or_else(missing)
    }

    /// What came of it, but for what it wrote; none when it has not ended. One that cannot be read is none: its journal tells the end again.
    pub(crate) fn result(&self, run: &RunId) -> Result<Option<ExecutionResult>> {
        let path = self.folder(run).join(RESULT);
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text)
                .inspect_err(|error| tracing::warn!(%run, %error, "the result of an execution is damaged"))
                .ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Store { operation: format!("reading {}", path.display()), source }),
        }
    }

    /// A result of [`result`](Self::result) with what the execution wrote, when that can be read.
    pub(crate) fn with_texts(&self, run: &RunId, result: ExecutionResult) -> ExecutionResult {
        let read = fs::read(self.folder(run).join(TEXTS));
        let texts = read.and_then(|text| Ok(serde_json::from_slice::<[String; 2]>(&text)?));
        match texts {
            Ok([stdout, stderr]) => ExecutionResult { stdout, stderr, ..result },
            // It was kept as long as its logs.
            Err(error) if error.kind() == ErrorKind::NotFound => result,
            Err(error) => {
                tracing::warn!(%run, %error, "what an execution wrote is not in its result");
                result
            }
        }
    }

    /// Keeps what came of it; what only a running execution needs goes.
    pub(crate) fn conclude(&self, run: &RunId, result: &ExecutionResult) -> io::Result<()> {
        let folder = self.folder(run);
        let ExecutionResult { stdout, stderr, .. } = result;
        fs::write(folder.join(TEXTS), serde_json::to_vec(&[stdout, stderr])?)?;
        let without = ExecutionResult { stdout: String::new(), stderr: String::new(), ..result.clone() };
        let path = folder.join(RESULT);
        let draft = path.with_extension("draft");
        fs::write(&draft, serde_json::to_vec(&without)?)?;
        fs::rename(draft, path)?;
        self.end_pause(run)?;
        self.vault.as_ref().map_or(Ok(()), |vault| vault.forget(run))
    }

    pub(crate) fn is_paused(&self, run: &RunId) -> bool {
        self.folder(run).join(PAUSED).exists()
    }

    /// Notes that it is paused; false when that was noted before.
    pub(crate) fn note_pause(&self, run: &RunId) -> io::Result<bool> {
        match fs::File::create_new(self.folder(run).join(PAUSED)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn end_pause(&self, run: &RunId) -> io::Result<()> {
        gone(fs::remove_file(self.folder(run).join(PAUSED)))
    }

    /// Asks whoever owns the execution to end it.
    pub(crate) fn ask_to_cancel(&self, run: &RunId) -> io::Result<()> {
        fs::write(self.cancels().join(run.as_str()), "")
    }

    /// The executions that somebody wants ended.
    pub(crate) fn asked_to_cancel(&self) -> Vec<RunId> {
        let entries = fs::read_dir(self.cancels()).into_iter().flatten().flatten();
        entries.filter_map(|entry| RunId::new(entry.file_name().to_str()?).ok()).collect()
    }

    /// What was asked is done, or of no more use.
    pub(crate) fn heard(&self, run: &RunId) {
        if let Err(error) = gone(fs::remove_file(self.cancels().join(run.as_str()))) {
            tracing::warn!(%run, %error, "what was asked for cannot be taken back");
        }
    }

    /// Gives the id back, when it is still this one's, then removes all that was kept under it.
    pub(crate) fn forget(&self, id: &ExecutionId, run: &RunId) -> Result<()> {
        let failed = |source| Error::Store { operation: format!("removing the execution {id}"), source };
        if matches!(self.run_of(id), Ok(owner) if owner == *run) {
            self.free(id)?;
        }
        self.heard(run);
        gone(fs::remove_dir_all(self.folder(run))).map_err(failed)?;
        self.vault.as_ref().map_or(Ok(()), |vault| vault.forget(run)).map_err(failed)
    }

    /// Gives back an id, whosever it is.
    pub(crate) fn free(&self, id: &ExecutionId) -> Result<()> {
        gone(fs::remove_file(self.claim(id))).map_err(Error::store(format!("giving back the id {id}")))
    }

    /// Removes a folder whose execution never got its id.
    pub(crate) fn discard(&self, run: &RunId) {
        let removed = gone(fs::remove_dir_all(self.folder(run)));
        let forgotten = self.vault.as_ref().map_or(Ok(()), |vault| vault.forget(run));
        if let Err(error) = removed.and(forgotten) {
            tracing::warn!(%run, %error, "the folder of an execution that was not begun cannot be removed");
        }
    }

    /// Removes its logs, here, in its result, and in its results directory; nothing else of any. There it is done once: what comes there later is another's.
    pub(crate) fn drop_logs(&self, run: &RunId, results: Option<&Path>) -> io::Result<()> {
        let folder = self.folder(run);
        gone(fs::remove_file(folder.join(TEXTS)))?;
        if !folder.join(DATA).exists() {
            return Ok(());
        }
        results.map_or(Ok(()), |results| Copies::remove(results, &folder))?;
        [INDEX, DATA].into_iter().try_for_each(|name| gone(fs::remove_file(folder.join(name))))
    }
}

fn document(error: DocumentError) -> Error {
    match error {
        DocumentError::Damaged { .. } => Error::Damaged(error.to_string()),
        error => Error::Store {
            operation: "keeping what an execution is".to_owned(),
            source: io::Error::other(error),
        },
    }
}

/// What is not there is gone.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
