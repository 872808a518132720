//! What is kept of a job that an agent holds, so that an agent that comes after it can report it and take away what it left: a run's folder
//! like any other, with a document of its own in it. No secret is in it but in the vault (DESIGN rule 3).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobwright_journal::{Journal, JournalError, StateDir, Vault};
use jobwright_model::{AttemptEnd, JobRef, RunId};
use jobwright_runtime::{Record, Sealed};
use serde::{Deserialize, Serialize};

use crate::source::Held;

pub(crate) const DOCUMENT: &str = "queued-job.json";
const END: &str = "end.json";
const FORMAT: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    job: JobRef,
    token: String,
    workspace: PathBuf,
}

/// How it ended, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptEnd {
    Completed,
    Errored(String),
    Failed(String),
}

/// A job's folder, owned by this process.
pub(crate) struct JobFolder {
    run: RunId,
    path: PathBuf,
    held: Held,
    workspace: PathBuf,
    journal: Arc<Journal<Record>>,
    vault: Option<Vault>,
}

impl JobFolder {
    /// Makes a folder for a job that has just been taken.
    pub(crate) fn begin(state: &StateDir, held: &Held, workspaces: &Path) -> io::Result<Self> {
        let (run, path) = state.create_new_run_dir().map_err(io::Error::other)?;
        let vault = Vault::of(state);
        let unique = run.as_str().rsplit('-').next().unwrap_or_default().to_owned();
        let workspace = workspaces.join(format!("workspace-{}-{unique}", held.job.id));
        let kept = Kept { job: held.job.clone(), token: held.token.clone(), workspace: workspace.clone() };
        let secrets: Vec<String> =
            Some(held.token.clone()).filter(|token| !token.is_empty()).into_iter().collect();
        let (journal, _) = Journal::open(&path.join("journal")).map_err(io::Error::other)?;
        let sealed = Sealed { path: &path.join(DOCUMENT), run: &run, vault: vault.as_ref(), format: FORMAT };
        sealed.write(&kept, &secrets).map_err(io::Error::other)?;
        Ok(Self { run, path, held: held.clone(), workspace, journal: Arc::new(journal), vault })
    }

    /// Whether a run's folder is one of these.
    pub(crate) fn is_at(path: &Path) -> bool {
        path.join(DOCUMENT).exists()
    }

    /// Takes over what another process left in the folder of `run`; none when it lives. The second is what was journaled.
    pub(crate) fn take_over(state: &StateDir, run: &RunId) -> io::Result<Option<(Self, Vec<Record>)>> {
        let path = state.run_dir(run);
        let (journal, recovered) = match Journal::open(&path.join("journal")) {
            Ok(opened) => opened,
            Err(JournalError::Owned(_)) => return Ok(None),
            Err(error) => return Err(io::Error::other(error)),
        };
        let vault = Vault::of(state);
        let sealed = Sealed { path: &path.join(DOCUMENT), run, vault: vault.as_ref(), format: FORMAT };
        let kept = sealed.read::<Kept>().map_err(io::Error::other)?;
        let Some(kept) = kept else { return Ok(None) };
        // Without the token it is said as one who has none.
        let token = if kept.secrets_are_gone { String::new() } else { kept.content.token };
        let held = Held { job: kept.content.job, token };
        let folder = Self {
            run: run.clone(),
            path,
            held,
            workspace: kept.content.workspace,
            journal: Arc::new(journal),
            vault,
        };
        Ok(Some((folder, recovered.records)))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn held(&self) -> &Held {
        &self.held
    }

    pub(crate) fn workspace(&self) -> &Path {
        &self.workspace
    }

    pub(crate) fn journal(&self) -> Arc<Journal<Record>> {
        Arc::clone(&self.journal)
    }

    /// Notes how it ended, before it is told.
    pub(crate) fn keep_end(&self, end: &AttemptEnd) {
        let kept = match end.clone() {
            AttemptEnd::Completed => KeptEnd::Completed,
            AttemptEnd::Errored(why) => KeptEnd::Errored(why),
            AttemptEnd::Failed(why) => KeptEnd::Failed(why),
        };
        let written = serde_json::to_vec(&kept).map_err(io::Error::other).and_then(|text| {
            let draft = self.path.join("end.draft");
            std::fs::write(&draft, text)?;
            std::fs::rename(draft, self.path.join(END))
        });
        if let Err(error) = written {
            tracing::warn!(job = %self.held.job, %error, "how a job ended cannot be kept");
        }
    }

    /// How it ended, if it came to that.
    pub(crate) fn end(&self) -> Option<AttemptEnd> {
        let text = std::fs::read(self.path.join(END)).ok()?;
        Some(match serde_json::from_slice(&text).ok()? {
            KeptEnd::Completed => AttemptEnd::Completed,
            KeptEnd::Errored(why) => AttemptEnd::Errored(why),
            KeptEnd::Failed(why) => AttemptEnd::Failed(why),
        })
    }

    /// Removes it: the queue has heard of all of it.
    pub(crate) fn forget(self) {
        let removed = std::fs::remove_dir_all(&self.path);
        let forgotten = self.vault.as_ref().map_or(Ok(()), |vault| vault.forget(&self.run));
        if let Err(error) = removed.and(forgotten) {
            tracing::warn!(job = %self.held.job, %error, "what was kept of a job cannot be removed");
        }
    }
}
