//! `jobwright run`: a run from its beginning, or on from where its owner died.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jobwright_engine::{Engine, EngineOptions, RunReport, Spec, is_asked_to_cancel};
use jobwright_events::RunMode;
use jobwright_journal::{Journal, StateDir};
use jobwright_model::RunId;
use jobwright_runtime::{Record, Scope, open_tasks};

use super::{detach, executions};
use crate::args::RunArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::show::aside;
use crate::{backends, show, signals};

pub(crate) async fn run(args: RunArgs, state: &StateDir) -> Result<Exit, Failure> {
    if let Some(run) = &args.resume {
        executions::refuse(run, state, "wait")?;
    }
    let ours = detach::owned_by_us();
    let id = ours.clone().or_else(|| args.resume.clone()).unwrap_or_else(RunId::generate);
    if args.detach && ours.is_none() {
        return detach::run(&id, state).await;
    }
    let scope = Scope::new();
    let form = match ours {
        Some(_) => {
            detach::leave_session();
            signals::watch_detached(&scope)?;
            show::Form::Nothing
        }
        None => {
            signals::watch(&scope)?;
            show::Form::choose(args.json)
        }
    };
    match args.resume {
        Some(_) => resume(args, &id, form, &scope, state).await,
        None => begin(args, &id, form, &scope, state).await,
    }
}

async fn begin(
    args: RunArgs,
    id: &RunId,
    form: show::Form,
    scope: &Scope,
    state: &StateDir,
) -> Result<Exit, Failure> {
    let spec = spec(&args)?;
    let in_place = args.in_place.then(|| absolute(&args.project)).transpose()?;
    let keeps = args.keep_failed.then_some(state);
    let engine = engine(args, in_place, state);
    one(&engine, &spec, id, form, scope, keeps).await
}

/// One run of `engine` from its beginning, shown to its end. It ends early when `scope` does. What is kept of it in `keeps` is told.
pub(super) async fn one(
    engine: &Engine,
    spec: &Spec,
    id: &RunId,
    form: show::Form,
    scope: &Scope,
    keeps: Option<&StateDir>,
) -> Result<Exit, Failure> {
    let run = engine.open(id)?;
    let shown = show::follow(run.reader()?, form);
    let folder = run.folder().to_owned();
    exit_of(run.execute(spec, scope).await, &folder, shown, keeps.map(|state| (state, id))).await
}

async fn resume(
    args: RunArgs,
    id: &RunId,
    form: show::Form,
    scope: &Scope,
    state: &StateDir,
) -> Result<Exit, Failure> {
    let keeps = args.keep_failed.then_some((state, id));
    let engine = engine(args, None, state);
    let run = engine.reopen(id).await?;
    let shown = show::follow(run.run().reader()?, form);
    let folder = run.run().folder().to_owned();
    exit_of(run.execute(scope).await, &folder, shown, keeps).await
}

pub(super) fn engine(args: RunArgs, in_place: Option<PathBuf>, state: &StateDir) -> Engine {
    let options = EngineOptions {
        backend: args.backend.filter(|name| !name.is_empty()),
        limit: args.limit,
        keep_failed: args.keep_failed,
        ..EngineOptions::default()
    };
    let mut settings = args.backends;
    settings.process.in_place = in_place;
    Engine::new(state.clone(), backends::registry(settings, state), options).variables_from(Arc::new(Remote))
}

/// The program's exit. A run that keeps what fails is told where.
async fn exit_of(
    report: RunReport,
    folder: &Path,
    shown: show::Shown,
    keeps: Option<(&StateDir, &RunId)>,
) -> Result<Exit, Failure> {
    shown.finish().await;
    if let Some((state, run)) = keeps {
        tell_what_is_kept(state, run);
    }
    match report.error {
        Some(error) => Err(error.into()),
        None if is_asked_to_cancel(folder) => Ok(Exit::of(&report.ending).by_request()),
        None => Ok(Exit::of(&report.ending)),
    }
}

/// How to go into what the run kept, and how to be rid of it.
fn tell_what_is_kept(state: &StateDir, run: &RunId) {
    let records = match Journal::<Record>::read(&state.run_dir(run).join("journal")) {
        Ok(recovered) => recovered.records,
        Err(error) => return aside::say(format_args!("warning: what was kept cannot be told: {error}")),
    };
    let jobs: BTreeSet<String> =
        open_tasks(&records).into_values().filter_map(|place| Some(place.kept?.job)).collect();
    for job in &jobs {
        let quoted = if job.contains(' ') { format!("'{job}'") } else { job.clone() };
        aside::say(format_args!("kept: {job}; enter it with `jobwright shell --failed {run} {quoted}`"));
    }
    if !jobs.is_empty() {
        aside::say(format_args!("`jobwright clean {run}` removes what is kept"));
    }
}

/// Where steps run must not depend on where the shim was started.
pub(super) fn absolute(project: &Path) -> Result<PathBuf, Failure> {
    let unusable =
        |error| Failure::new(Exit::NotFound, format!("project directory {}: {error}", project.display()));
    std::path::absolute(project).map_err(unusable)
}

pub(super) fn spec(args: &RunArgs) -> Result<Spec, Failure> {
    let mode = match (args.parallel, args.parallel_stages) {
        (true, _) => RunMode::Parallel,
        (_, true) => RunMode::ParallelStages,
        _ => RunMode::Sequential,
    };
    Ok(Spec {
        config_file: args.config.clone(),
        project: args.project.clone(),
        job_names: args.jobs.clone(),
        with_needs: args.needs,
        stages: args.stages.clone(),
        remote: args.remote.as_deref().map(place),
        env: environment(&args.env)?,
        event: "manual".to_owned(),
        mode,
    })
}

/// An address as it is; a path as one that is the same from everywhere, as git is not started here.
fn place(remote: &str) -> String {
    let path = Path::new(remote);
    let absolute = path.exists().then(|| std::path::absolute(path).ok()).flatten();
    absolute.and_then(|path| path.into_os_string().into_string().ok()).unwrap_or_else(|| remote.to_owned())
}

/// `NAME=VALUE`, or `NAME` for what it is in this environment.
pub(super) fn environment(entries: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    variables("--env", entries)
}

/// The same for the flag of another name.
pub(super) fn variables(flag: &str, entries: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    entries.iter().map(|entry| variable(flag, entry)).collect()
}

fn variable(flag: &str, entry: &str) -> Result<(String, String), Failure> {
    let invalid = |why: &str| Failure::new(Exit::Invalid, format!("{flag} {:?}: {why}", name_of(entry)));
    let name = name_of(entry);
    jobwright_pipeline::check_variable_name(name).map_err(|error| invalid(&error.to_string()))?;
    let value = match entry.split_once('=') {
        Some((_, value)) => value.to_owned(),
        None => std::env::var(name).map_err(|_| invalid("it has no value here; write NAME=VALUE"))?,
    };
    Ok((name.to_owned(), value))
}

fn name_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_split_at_its_first_equals_sign() {
        let env = environment(&["A=b=c,d".into(), "EMPTY=".into()]).unwrap();
        assert_eq!((env["A"].as_str(), env["EMPTY"].as_str()), ("b=c,d", ""));
    }

    #[test]
    fn what_is_no_variable_is_refused_without_showing_its_value() {
        for entry in ["=x", "JOBWRIGHT_TEST_NOT_SET_ANYWHERE"] {
            assert!(variable("--env", entry).is_err(), "{entry}");
        }
        let refused = variable("--env", "A\0B=hunter2").unwrap_err();
        assert!(!format!("{refused:?}").contains("hunter2"));
    }
}
