//! What an agent that died left: its jobs, which are ended and reported, never left to time out in silence; what they took of this machine goes first.

use std::sync::Arc;
use std::time::Duration;

use jobwright_backend::Backend;
use jobwright_model::{AttemptEnd, RunId, TaskUuid, Workflow};
use jobwright_runtime::{Record, Scope, insist, open_tasks};

use crate::job::folder::JobFolder;
use crate::job::{self, Ground, JobLog};

/// How long an engine may not answer before what a task left stays for `clean`.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes over every job whose agent died. They are held from now on, so that signs of life name them; each is reported in the background.
pub(crate) fn take_over(ground: &Arc<Ground>) -> Vec<tokio::task::JoinHandle<()>> {
    let runs = match ground.state.runs() {
        Ok(runs) => runs,
        Err(error) => {
            tracing::error!(%error, "what an earlier agent left cannot be listed");
            return Vec::new();
        }
    };
    runs.into_iter().filter_map(|run| one(ground, &run)).collect()
}

fn one(ground: &Arc<Ground>, run: &RunId) -> Option<tokio::task::JoinHandle<()>> {
    if !JobFolder::is_at(&ground.state.run_dir(run)) {
        return None;
    }
    let (folder, records) = match JobFolder::take_over(&ground.state, run) {
        Ok(taken) => taken?,
        Err(error) => {
            tracing::error!(%run, %error, "a job of an earlier agent cannot be taken over");
            return None;
        }
    };
    let job = folder.held().job.clone();
    if !ground.running.add(&job, &Scope::new()) {
        return None;
    }
    tracing::info!(%job, "a job of an agent that died is ended and reported");
    let ground = Arc::clone(ground);
    Some(tokio::spawn(async move {
        end(&ground, folder, &records).await;
        ground.running.remove(&job);
    }))
}

async fn end(ground: &Ground, folder: JobFolder, records: &[Record]) {
    for (task, place) in open_tasks(records) {
        match ground.backends.get(&place.backend) {
            Some(backend) => destroy(&**backend, &task, &folder).await,
            None => tracing::warn!(%task, backend = place.backend, "a task stays: its backend is not here"),
        }
    }
    if !ground.settings.keep_workspaces
        && let Err(error) = job::remove_workspace(folder.workspace().to_owned()).await
    {
        tracing::warn!(error, "the workspace of an agent that died stays");
    }
    let log = JobLog::open(folder.path()).inspect_err(|error| {
        tracing::warn!(%error, "the log of a job of an agent that died cannot be read");
    });
    let log = log.ok();
    if let Some(log) = &log {
        log.end_all(-1);
    }
    let died = || AttemptEnd::Errored("the agent that ran the job ended before the job did".to_owned());
    let end = folder.end().unwrap_or_else(died);
    job::conclude(ground, folder, log.as_deref(), end).await;
}

async fn destroy(backend: &dyn Backend, task: &TaskUuid, folder: &JobFolder) {
    let nothing = Workflow::default();
    match insist(backend, PATIENCE, || backend.destroy_workflow(&nothing, task)).await {
        Ok(()) => {
            if let Err(error) = folder.journal().append(&Record::TaskClosed { task: task.clone() }) {
                tracing::warn!(%task, %error, "the end of a task was not journaled");
            }
        }
        Err(error) => tracing::warn!(%task, %error, "what a task left stays; `jobwright clean` removes it"),
    }
}
