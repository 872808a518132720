//! Going on with a run whose owner died (`docs/adr/0008`): its jobs are gone through once more, those that ended end as they did, what
//! runs is taken over, the rest goes on, and nothing is told twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jobwright_events::{Bus, EventKind, EventLog, LogOptions};
use jobwright_journal::{Journal, StateDir};
use jobwright_model::{Cause, Ending, RunId};
use jobwright_runtime::{Backends, DocumentError, Past, Record, Scope, Unsealed};

use crate::engine::{Engine, Run};
use crate::manifest::Manifest;
use crate::report::{RunError, RunReport};
use crate::runner::Runner;

/// A file in a run's folder that asks for the run's end, from whoever has it or takes it over.
const CANCEL_FILE: &str = "cancel";

/// Why a run cannot be gone on with. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// There is no such run.
    #[error("there is no run {0} in this state directory; `jobwright ps --all` lists those that there are")]
    Unknown(RunId),
    /// It came to its end.
    #[error("run {0} has ended; nothing is left to be resumed")]
    Ended(RunId),
    /// Its owner lives.
    #[error("run {0} is running: its owner lives; `jobwright attach {0}` shows it")]
    Owned(RunId),
    /// What it is was not written down, or was removed: only what it left is known.
    #[error(
        "run {0} cannot be resumed: what it is is not written down, as of one that `jobwright shell` made; `jobwright clean` removes \
         what it left"
    )]
    Unwritten(RunId),
    /// It was begun on another engine than the one that is reached now.
    #[error(
        "run {run} was begun on another engine than the {backend} backend finds here; resume it with the address that it was \
         started with"
    )]
    OtherEngine {
        /// The run.
        run: RunId,
        /// The backend's name.
        backend: String,
    },
    /// What it is cannot be read.
    #[error(transparent)]
    Manifest(#[from] DocumentError),
    /// Its files cannot be used, or a backend is not there.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// A run of a dead owner that is owned again, and not yet gone on with.
pub struct Resumption<'e> {
    run: Run<'e>,
    found: Option<Unsealed<Manifest>>,
    backends: Backends,
}

/// Asks for the end of the run whose folder is `folder`: who takes it over ends it before anything else is started.
///
/// # Errors
/// The operating system's.
pub fn ask_to_cancel(folder: &Path) -> std::io::Result<()> {
    fs::write(folder.join(CANCEL_FILE), "")
}

/// Whether somebody asked for the end of the run whose folder is `folder`.
#[must_use]
pub fn is_asked_to_cancel(folder: &Path) -> bool {
    folder.join(CANCEL_FILE).exists()
}

/// Whether the run whose folder is `folder` was prepared: what it is is written down, and its jobs begin.
#[must_use]
pub fn is_prepared(folder: &Path) -> bool {
    folder.join(crate::manifest::FILE).exists()
}

/// Writes the last event of the run `id`, which nobody will go on with; true if it had none. Whoever calls it owns the run's journal.
///
/// # Errors
/// [`RunError::EventLog`].
pub fn give_up(state: &StateDir, id: &RunId) -> Result<bool, RunError> {
    const WHY: &str = "given up: what it left was removed";
    let log = EventLog::open(&state.run_dir(id), id, LogOptions::default())?;
    let recovered = log.recovered();
    if recovered.finished || recovered.last_seq == 0 {
        return Ok(false);
    }
    let bus = Bus::resume(id.clone(), recovered.last_seq, recovered.last_time);
    bus.attach("event log", log.sink());
    let ending = Ending::new(Cause::ByUser).because(WHY);
    bus.emit(EventKind::RunFinished { duration: Duration::ZERO, error: Some(WHY.to_owned()), ending });
    log.close()?;
    Ok(true)
}

impl Engine {
    /// Takes the ownership of the run `id`, whose owner died, and loads the backends that it was on. Its events go on where they stopped.
    ///
    /// # Errors
    /// [`ResumeError`]; the run is as it was then, and can be resumed.
    pub async fn reopen(&self, id: &RunId) -> Result<Resumption<'_>, ResumeError> {
        let folder = self.state().run_dir(id);
        if !folder.join("journal").exists() {
            return Err(ResumeError::Unknown(id.clone()));
        }
        let (journal, recovered) =
            Journal::<Record>::open(&folder.join("journal")).map_err(|error| match error {
                jobwright_journal::JournalError::Owned(_) => ResumeError::Owned(id.clone()),
                other => ResumeError::Run(other.into()),
            })?;
        let found = Manifest::find(&folder, id, self.vault().as_ref())?;
        let log = EventLog::open(&folder, id, LogOptions::default()).map_err(RunError::from)?;
        if log.recovered().finished {
            return Err(ResumeError::Ended(id.clone()));
        }
        let has_tasks = recovered.records.iter().any(|record| matches!(record, Record::TaskOpened { .. }));
        if found.is_none() && has_tasks {
            return Err(ResumeError::Unwritten(id.clone()));
        }
        let manifests = found.iter().map(|found| &found.content);
        let jobs = manifests.flat_map(|manifest| manifest.jobs.iter().chain(manifest.around.jobs()));
        let wanted = jobs.flat_map(|job| &job.phases).map(|phase| phase.backend.clone()).collect();
        let backends = self.same_backends(id, wanted, &recovered.records).await?;
        let run = self.run_again(id, folder, log, journal, Past::of(&recovered.records));
        Ok(Resumption { run, found, backends })
    }

    fn run_again(
        &self,
        id: &RunId,
        folder: PathBuf,
        log: EventLog,
        journal: Journal<Record>,
        past: Past,
    ) -> Run<'_> {
        let recovered = log.recovered();
        let bus = Bus::resume(id.clone(), recovered.last_seq, recovered.last_time);
        let bus = bus.without_repeating(recovered.told.clone());
        bus.attach("event log", log.sink());
        Run::over(self, id.clone(), folder, bus, log, journal).with_past(past)
    }

    /// The backends of these names, each reaching the engine that the run was begun on: on another one nothing would be found, and what
    /// runs would be taken for lost (DESIGN rule 6).
    async fn same_backends(
        &self,
        run: &RunId,
        names: BTreeSet<String>,
        records: &[Record],
    ) -> Result<Backends, ResumeError> {
        let mut engines: BTreeMap<&str, &Option<String>> = BTreeMap::new();
        for record in records {
            if let Record::BackendLoaded { backend, engine } = record {
                engines.insert(backend, engine);
            }
        }
        let mut backends = Backends::new();
        for name in names {
            let backend = self.backends().find(Some(&name)).await.map_err(RunError::from)?;
            let load = |source| RunError::Load { name: backend.name(), source };
            let reached = backend.load().await.map_err(load)?.engine_id;
            let begun_on = engines.get(name.as_str()).copied().cloned().flatten();
            if begun_on.is_some() && begun_on != reached {
                return Err(ResumeError::OtherEngine { run: run.clone(), backend: name });
            }
            backends.insert(name, backend);
        }
        Ok(backends)
    }
}

impl<'e> Resumption<'e> {
    /// The run, for further sinks and readers.
    #[must_use]
    pub fn run(&self) -> &Run<'e> {
        &self.run
    }

    /// Goes on with the run to its end. A cancel that was asked for while nobody owned it is honoured before anything else is started.
    /// Events and report are as those of [`Run::execute`].
    pub async fn execute(self, scope: &Scope) -> RunReport {
        let Self { run, found, backends } = self;
        if is_asked_to_cancel(run.folder()) {
            scope.cancel(Cause::ByUser);
        }
        let Some(Unsealed { content: manifest, secrets_are_gone }) = found else {
            let report = run.never_began(run.runner(scope));
            run.flush().await;
            return report;
        };
        let runner = run.runner(scope).limit(manifest.limit).begun(manifest.begun.elapsed());
        runner.start(&manifest.plan);
        run.say("Taken over from a Jobwright that died".to_owned());
        let report = run.go_on(runner, manifest, backends, secrets_are_gone).await;
        run.over_and_out().await;
        report
    }
}

impl Run<'_> {
    /// Its owner died before it was prepared: there is nothing to go on with.
    fn never_began(&self, runner: Runner) -> RunReport {
        runner.refuse(&crate::spec::Spec::default(), RunError::NeverBegan)
    }

    async fn go_on(
        &self,
        runner: Runner,
        manifest: Manifest,
        backends: Backends,
        secrets_are_gone: bool,
    ) -> RunReport {
        match self.executor_of(&manifest, backends) {
            Ok(executor) => {
                let executor = if secrets_are_gone { executor.without_secrets() } else { executor };
                let groups = self.groups_of(&manifest);
                let runner = runner.groups(groups).around(self.around_of(&manifest, &executor));
                runner.run(&manifest.plan, Arc::new(executor)).await
            }
            Err(error) => runner.abandon(error),
        }
    }
}
