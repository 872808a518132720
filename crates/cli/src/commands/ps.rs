//! `jobwright ps`: the runs of this state directory, who has them and how they stand. Executions are shown by `jobwright executions`.

use std::path::Path;

use jiff::Timestamp;
use jobwright_events::{EventKind, EventLogReader};
use jobwright_executor::ExecutionFolder;
use jobwright_journal::StateDir;
use jobwright_model::{Ending, RunId};
use serde_json::json;

use super::cache::table;
use crate::args::PsArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::sink;

pub(crate) async fn run(args: &PsArgs, state: &StateDir) -> Result<Exit, Failure> {
    let mut seen = Vec::new();
    for run in state.runs()? {
        if ExecutionFolder::is_at(&state.run_dir(&run)) {
            continue;
        }
        let Some(standing) = Standing::of(&run, state).await? else { continue };
        if args.all || !matches!(standing.state, State::Ended(_)) {
            seen.push((run, standing));
        }
    }
    if args.json {
        let rows = seen.iter().map(|(run, standing)| {
            json!({
                "run": run,
                "state": standing.state.word(),
                "outcome": standing.state.ending().map(|ending| ending.outcome),
                "started": standing.started,
                "jobs": standing.jobs,
                "project": standing.project,
            })
        });
        sink::json(&rows.collect::<Vec<_>>());
        return Ok(Exit::Success);
    }
    if seen.is_empty() {
        sink::say(if args.all { "no run was begun here" } else { "no run is going on" });
        return Ok(Exit::Success);
    }
    let rows: Vec<[String; 5]> = seen.iter().map(|(run, standing)| standing.row(run)).collect();
    table(["RUN", "STATE", "STARTED", "JOBS", "PROJECT"], &rows);
    Ok(Exit::Success)
}

/// Whether the run in `folder` came to its end.
pub(super) fn has_ended(folder: &Path, run: &RunId) -> bool {
    EventLogReader::open(folder, run).is_ok_and(|reader| ending(&reader).is_some())
}

/// How a run stands.
struct Standing {
    state: State,
    started: Option<Timestamp>,
    jobs: usize,
    project: String,
}

enum State {
    /// Its owner lives.
    Running,
    /// Its owner died over it.
    Orphaned,
    Ended(Box<Ending>),
}

impl State {
    fn word(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Orphaned => "orphaned",
            Self::Ended(_) => "ended",
        }
    }

    fn ending(&self) -> Option<&Ending> {
        match self {
            Self::Ended(ending) => Some(ending),
            _ => None,
        }
    }
}

impl Standing {
    /// None for a folder in which no run was begun.
    async fn of(run: &RunId, state: &StateDir) -> Result<Option<Self>, Failure> {
        // Looked at before the log: an owner that ends in between has written its last event.
        let is_owned = state.run_is_owned(run)?;
        let Ok(reader) = EventLogReader::open(&state.run_dir(run), run) else { return Ok(None) };
        let first = reader.first().ok().flatten().and_then(|line| line.event().ok());
        let started = first.as_ref().map(|event| event.time);
        let (jobs, project) = match first.map(|event| event.kind) {
            Some(EventKind::RunStarted { order, project_path, .. }) => (order.len(), project_path),
            _ => (0, String::new()),
        };
        let state = match ending(&reader) {
            Some(ending) => State::Ended(Box::new(ending)),
            None if is_owned => State::Running,
            None => State::Orphaned,
        };
        Ok(Some(Self { state, started, jobs, project }))
    }

    fn row(&self, run: &RunId) -> [String; 5] {
        let state = match &self.state {
            State::Ended(ending) => ending.outcome.as_str().to_owned(),
            State::Orphaned => "owner died".to_owned(),
            State::Running => "running".to_owned(),
        };
        let started = self.started.map(|at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string());
        [run.to_string(), state, started.unwrap_or_default(), self.jobs.to_string(), self.project.clone()]
    }
}

fn ending(reader: &EventLogReader) -> Option<Ending> {
    match reader.last().ok().flatten()?.event().ok()?.kind {
        EventKind::RunFinished { ending, .. } => Some(ending),
        _ => None,
    }
}
