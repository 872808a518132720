//! The runs of the state directory: which are watched, which a dead Jobwright left unfinished, which journals are damaged.

use std::fs;
use std::path::Path;

use jobwright_engine::is_prepared;
use jobwright_events::EventLogReader;
use jobwright_executor::ExecutionFolder;
use jobwright_journal::{FormatError, JournalError, StateDir, StateDirError};
use jobwright_model::RunId;
use jobwright_runtime::Claims;

use super::engines::Stock;
use super::finding::{Finding, Level};
use super::{attention, count, told};
use crate::commands::{ps, remains};

pub(super) fn look(
    state: &StateDir,
    claims: &Claims,
    stock: &Stock,
    found: &mut Vec<Finding>,
) -> Result<(), StateDirError> {
    let (mut over, mut watched) = (0, 0);
    for run in state.runs()? {
        if state.run_is_owned(&run)? {
            watched += 1;
            continue;
        }
        let before = found.len();
        damaged(state, claims, &run, found);
        unfinished(state, claims, stock, &run, found);
        over += usize::from(found.len() == before);
    }
    let what = format!("{} over, {} watched by a Jobwright that lives", count(over, "is", "are"), watched);
    found.push(told(Level::Sound, "runs", what));
    Ok(())
}

/// What a dead owner left of the run.
fn unfinished(state: &StateDir, claims: &Claims, stock: &Stock, run: &RunId, found: &mut Vec<Finding>) {
    let folder = state.run_dir(run);
    let (kept, open): (Vec<_>, Vec<_>) =
        claims.open_tasks_of(run).partition(|(_, place)| place.kept.is_some());
    if !kept.is_empty() {
        let what =
            format!("{} of failed jobs kept on purpose", count(kept.len(), "environment", "environments"));
        let right = vec![format!("jobwright shell --failed {run}"), format!("jobwright clean {run}")];
        found.push(Finding { right, ..told(Level::Note, run.as_str(), what) });
    }
    let running = open.iter().filter(|(task, _)| stock.runs(task)).count();
    let ended = match ExecutionFolder::of(state, run) {
        Ok(Some(execution)) if !execution.is_over => {
            return orphaned(run, &folder, &execution, running, found);
        }
        Ok(Some(_)) => true,
        Ok(None) => has_ended(&folder, run),
        Err(error) => {
            found.push(attention(run.as_str(), error.to_string(), &[]));
            true
        }
    };
    let remains = remains::of(run, state);
    let resume = format!("jobwright run --resume {run}");
    let clean = "jobwright clean".to_owned();
    if open.is_empty() && remains.is_empty() {
        if !ended {
            // Nothing has to be done about it, and what was cleaned up looks like this too.
            let what = "its Jobwright was gone before the run was over, and nothing of it is left";
            found.push(Finding { right: vec![resume], ..told(Level::Note, run.as_str(), what) });
        }
        return;
    }
    let mut backends: Vec<&str> = open.iter().map(|(_, place)| place.backend.as_str()).collect();
    backends.sort_unstable();
    backends.dedup();
    let mut parts = Vec::new();
    if !open.is_empty() {
        let tasks = count(open.len(), "task", "tasks");
        parts.push(format!("{tasks} on {} ({running} running)", backends.join(", ")));
    }
    parts.extend(remains.iter().map(|remain| remain.what.to_owned()));
    let what = format!("its Jobwright is gone and left {}", parts.join(" and "));
    let right = if ended || !is_prepared(&folder) { vec![clean] } else { vec![resume, clean] };
    found.push(attention(run.as_str(), what, &right));
}

/// An execution whose owner died over it.
fn orphaned(
    run: &RunId,
    folder: &Path,
    execution: &ExecutionFolder,
    running: usize,
    found: &mut Vec<Finding>,
) {
    let id = &execution.id;
    if !execution.has_its_id {
        // Without a journal it may be about to be begun.
        if folder.join("journal").exists() {
            let what = format!("an execution {id} that never began");
            let right = vec![format!("jobwright clean {run}")];
            found.push(Finding { right, ..told(Level::Note, run.as_str(), what) });
        }
        return;
    }
    let still = if running > 0 { "it still runs" } else { "nothing of it runs" };
    let what = format!("the owner of the execution {id} is gone, and {still}");
    let right = ["wait", "cancel"].map(|verb| format!("jobwright executions {verb} {id}"));
    found.push(attention(run.as_str(), what, &right));
}

fn damaged(state: &StateDir, claims: &Claims, run: &RunId, found: &mut Vec<Finding>) {
    if let Some((_, error)) = claims.unreadable().iter().find(|(of, _)| of == run) {
        let is_damage = matches!(error, JournalError::Format { source: FormatError::Damaged { .. }, .. });
        let right = if is_damage { vec!["jobwright clean".to_owned()] } else { Vec::new() };
        found.push(attention(run.as_str(), error.to_string(), &right));
    }
    for name in put_aside(&state.run_dir(run)) {
        let what = format!("its journal was damaged once; the damaged one is kept as {name}");
        found.push(told(Level::Note, run.as_str(), what));
    }
}

fn put_aside(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with("journal.damaged")).collect()
}

/// Whether the run came to its end. One that never began has no event at all, and needs nothing.
fn has_ended(folder: &Path, run: &RunId) -> bool {
    let never_began =
        EventLogReader::open(folder, run).and_then(|reader| reader.first()).ok().flatten().is_none();
    never_began || ps::has_ended(folder, run)
}
