//! `jobwright run --watch`: run, wait for a change, run again (local-ci.md 5). Not for seeing changes (`crate::watch`).

use std::path::{Path, PathBuf};
use std::pin::pin;

use jobwright_engine::{Engine, Spec, find_config};
use jobwright_journal::StateDir;
use jobwright_model::{Cause, RunId};
use jobwright_pipeline::{LoadError, Pipeline};
use jobwright_runtime::Scope;
use jobwright_workspace::{Project, TreeOptions};

use super::run::{self, absolute};
use crate::args::{RunArgs, WatchMode};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::{Form, aside, harmless::harmless};
use crate::signals;
use crate::watch::{Changes, Eyes, Watched};

/// How many paths a line names.
const NAMED: usize = 3;

pub(crate) async fn run(args: RunArgs, state: &StateDir) -> Result<Exit, Failure> {
    let mode = args.watch.unwrap_or(WatchMode::Queue);
    if args.in_place && mode == WatchMode::Cancel {
        let why = "--watch=cancel cannot be had with --in-place, whose runs change the project's files themselves: use --watch";
        return Err(Failure::new(Exit::Invalid, why));
    }
    let (in_place, project) = (args.in_place, absolute(&args.project)?);
    let options =
        TreeOptions { git: false, exclude: vec![state.path().to_owned()], ..TreeOptions::default() };
    let config = args.config.as_deref().map(absolute).transpose()?;
    let watched = Watched { project: Project::new(&project, options), beside: pipeline_files, config };
    let (spec, form) = (run::spec(&args)?, Form::choose(args.json));
    let engine = run::engine(args, in_place.then(|| project.clone()), state);
    let watching = Watching { engine, spec, form, watched, mode, in_place };
    let scope = Scope::new();
    signals::watch(&scope)?;
    watching.until_the_end_of(&scope).await
}

struct Watching {
    engine: Engine,
    spec: Spec,
    form: Form,
    watched: Watched,
    mode: WatchMode,
    in_place: bool,
}

impl Watching {
    async fn until_the_end_of(&self, scope: &Scope) -> Result<Exit, Failure> {
        let mut eyes = self.eyes().await?;
        loop {
            let (exit, changed) = match self.in_place {
                true => (self.one(scope).await, Changes::new()),
                false => self.one_with_open(&mut eyes, scope).await?,
            };
            if scope.cause().is_some() {
                return Ok(exit);
            }
            if self.in_place {
                eyes = self.eyes().await?;
            }
            if changed.is_empty() {
                say("waiting for changes (Ctrl-C ends)");
                let changed = tokio::select! {
                    biased;
                    _ = scope.cancelled() => return Ok(exit),
                    changed = eyes.changes() => changed.map_err(unreadable)?,
                };
                say(&format!("{} changed: running again", named(&changed)));
            } else {
                say("running again");
            }
        }
    }

    async fn eyes(&self) -> Result<Eyes, Failure> {
        Eyes::open(self.watched.clone()).await.map_err(unreadable)
    }

    /// One run, and what changed meanwhile.
    async fn one_with_open(&self, eyes: &mut Eyes, scope: &Scope) -> Result<(Exit, Changes), Failure> {
        let own = scope.child();
        let mut run = pin!(self.one(&own));
        let mut changed = Changes::new();
        loop {
            let more = tokio::select! {
                biased;
                exit = &mut run => return Ok((exit, changed)),
                more = eyes.changes() => more,
            };
            match more {
                Ok(_) if scope.cause().is_some() => {}
                Ok(more) if changed.is_empty() => {
                    let what = named(&more);
                    match self.mode {
                        WatchMode::Queue => say(&format!("{what} changed: running again after this run")),
                        WatchMode::Cancel => {
                            say(&format!("{what} changed: cancelling this run to run again"));
                            own.cancel(Cause::ByUser);
                        }
                    }
                    changed = more;
                }
                // One more run is due already.
                Ok(_) => {}
                Err(error) => {
                    // The run must not be left alone with what it holds.
                    own.cancel(Cause::Workspace);
                    run.await;
                    return Err(unreadable(error));
                }
            }
        }
    }

    /// One run. What keeps it from running is shown; the next change may put it right.
    async fn one(&self, scope: &Scope) -> Exit {
        match run::one(&self.engine, &self.spec, &RunId::generate(), self.form, scope, None).await {
            Ok(exit) => exit,
            Err(failure) => failure.tell(),
        }
    }
}

/// The pipeline file of the project and what it includes, as far as that can be read just now.
fn pipeline_files(project: &Path, config: Option<&Path>) -> Vec<PathBuf> {
    let config = config.map(Path::to_owned).or_else(|| find_config(project).ok());
    let Some(config) = config else { return Vec::new() };
    let included = match Pipeline::load(&config) {
        Ok(pipeline) => pipeline.sources().iter().map(|source| PathBuf::from(source.name())).collect(),
        Err(LoadError::Invalid(report)) => {
            report.sources().iter().map(|source| PathBuf::from(source.name())).collect()
        }
        Err(_) => Vec::new(),
    };
    std::iter::once(config).chain(included).collect()
}

/// `a`, `b` and 7 more.
fn named(changed: &Changes) -> String {
    let names =
        changed.iter().take(NAMED).map(|path| harmless(&path.display().to_string()).replace('\n', "\\n"));
    let names = names.collect::<Vec<_>>().join(", ");
    match changed.len().saturating_sub(NAMED) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

fn say(text: &str) {
    aside::say(format_args!("[watch] {text}"));
}

fn unreadable(error: jobwright_workspace::Error) -> Failure {
    Failure::new(Exit::NotFound, format!("the project can no longer be watched: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_few_paths_and_counts_the_others() {
        let changes = |count: usize| (0..count).map(|n| PathBuf::from(format!("f{n}"))).collect::<Changes>();
        assert_eq!(named(&changes(1)), "f0");
        assert_eq!(named(&changes(3)), "f0, f1, f2");
        assert_eq!(named(&changes(10_000)), "f0, f1, f2 and 9997 more");
        assert_eq!(named(&vec![PathBuf::from("a\u{1b}[31m\nb")]).lines().count(), 1);
    }
}
