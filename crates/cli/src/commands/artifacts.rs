//! `jobwright artifacts`: what jobs of a run left, and taking it out.

use std::path::Path;
use std::time::SystemTime;

use jobwright_engine::{JobArtifacts, RunArtifacts};
use jobwright_executor::ExecutionFolder;
use jobwright_journal::StateDir;
use jobwright_model::RunId;
use jobwright_workspace::{Archive, Error, Size, UnpackOptions};
use serde_json::{Value, json};

use super::cache::table;
use crate::args::{ArtifactsCommand, ArtifactsGetArgs, ArtifactsLsArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::sink;

/// Stands for the newest run.
const LAST: &str = "last";

pub(crate) fn run(command: &ArtifactsCommand, state: &StateDir) -> Result<Exit, Failure> {
    match command {
        ArtifactsCommand::Ls(args) => list(args, state),
        ArtifactsCommand::Get(args) => get(args, state),
    }
}

fn list(args: &ArtifactsLsArgs, state: &StateDir) -> Result<Exit, Failure> {
    let found = find(&args.run, args.job.as_deref(), state)?;
    if args.json {
        let rows = found.iter().map(|artifacts| {
            let contents = artifacts.contents;
            json!({
                "job": artifacts.job,
                "bytes": contents.map(|contents| contents.bytes),
                "members": contents.map(|contents| contents.members),
                "damaged": contents.is_none(),
                "path": artifacts.path,
            })
        });
        sink::say(Value::from_iter(rows));
        return Ok(Exit::Success);
    }
    if found.is_empty() {
        sink::say("the run kept no artifacts");
        return Ok(Exit::Success);
    }
    let rows: Vec<[String; 4]> = found
        .iter()
        .map(|artifacts| {
            let path = artifacts.path.display().to_string();
            match artifacts.contents {
                Some(contents) => [
                    artifacts.job.clone(),
                    Size(contents.bytes).to_string(),
                    contents.members.to_string(),
                    path,
                ],
                None => [artifacts.job.clone(), "(damaged)".to_owned(), String::new(), path],
            }
        })
        .collect();
    table(["JOB", "HOLDS", "ENTRIES", "ARCHIVE"], &rows);
    Ok(Exit::Success)
}

/// Of all jobs into one directory, or of one; a later job's file stands in place of an earlier one's of the same name.
fn get(args: &ArtifactsGetArgs, state: &StateDir) -> Result<Exit, Failure> {
    let found = find(&args.run, args.job.as_deref(), state)?;
    if found.is_empty() {
        return Err(Failure::new(Exit::NotFound, "the run kept no artifacts"));
    }
    std::fs::create_dir_all(&args.output).map_err(|error| {
        Failure::new(Exit::Invalid, format!("directory {}: {error}", args.output.display()))
    })?;
    for artifacts in &found {
        let report = unpack(&artifacts.path, &args.output).map_err(|error| {
            Failure::new(Exit::Failed, format!("the artifacts of {:?}: failed to {error}", artifacts.job))
        })?;
        let (job, to) = (&artifacts.job, args.output.display());
        sink::say(format_args!("{job}: {} file(s), {} to {to}", report.files, Size(report.bytes)));
    }
    Ok(Exit::Success)
}

fn unpack(path: &Path, to: &Path) -> Result<jobwright_workspace::UnpackReport, Error> {
    let archive = Archive::open(path)?.ok_or_else(|| Error::Damaged {
        path: path.to_owned(),
        reason: "it was removed meanwhile".to_owned(),
    })?;
    archive.unpack(to, &UnpackOptions::default())
}

fn find(run: &str, job: Option<&str>, state: &StateDir) -> Result<Vec<JobArtifacts>, Failure> {
    let run = find_run(run, state)?;
    let unreadable = |error| Failure::new(Exit::Unavailable, format!("failed to {error}"));
    let mut found = RunArtifacts::of_run(&state.run_dir(&run)).list().map_err(unreadable)?;
    let Some(job) = job else { return Ok(found) };
    let jobs: Vec<String> = found.iter().map(|artifacts| artifacts.job.clone()).collect();
    found.retain(|artifacts| artifacts.job == job);
    if found.is_empty() {
        let there = if jobs.is_empty() { "nobody's".to_owned() } else { jobs.join(", ") };
        let text = format!("run {run} has no artifacts of the job {job:?}; it has those of: {there}");
        return Err(Failure::new(Exit::NotFound, text));
    }
    Ok(found)
}

fn find_run(wanted: &str, state: &StateDir) -> Result<RunId, Failure> {
    let mut runs = state.runs()?;
    // Executions leave none.
    runs.retain(|run| !ExecutionFolder::is_at(&state.run_dir(run)));
    let found = if wanted == LAST {
        runs.iter().max_by_key(|run| (second(run), made(state, run)))
    } else {
        runs.iter().find(|run| run.as_str() == wanted)
    };
    found.cloned().ok_or_else(|| {
        let text = if wanted == LAST {
            "there is no run yet".to_owned()
        } else {
            format!("there is no run {wanted:?} in {}; `last` means the newest", state.path().display())
        };
        Failure::new(Exit::NotFound, text)
    })
}

/// The part of a run's id that is a time.
fn second(run: &RunId) -> &str {
    run.as_str().split('-').next().unwrap_or_default()
}

/// When its folder was made, which tells runs of one second apart.
fn made(state: &StateDir, run: &RunId) -> Option<SystemTime> {
    let metadata = std::fs::metadata(state.run_dir(run)).ok()?;
    metadata.created().or_else(|_| metadata.modified()).ok()
}
