//! `jobwright clean`: removes what runs whose Jobwright died have left behind, as their journals tell. Touches nothing of a run
//! that somebody still watches, and nothing that no journal of this state directory knows.

mod executions;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use jobwright_backend::{Backend, BackendRegistry};
use jobwright_engine::give_up;
use jobwright_executor::ExecutionFolder;
use jobwright_journal::{FormatError, Journal, JournalError, Quarantined, StateDir, quarantine, salvage};
use jobwright_model::{RunId, TaskUuid, Workflow};
use jobwright_runtime::{KeptStep, Record, TaskPlace, open_tasks};

use super::ps;
use super::remains::{self, Remain};
use crate::args::CleanArgs;
use crate::backends;
use crate::commands::executions::Opened;
use crate::commands::strays::{self, Strays};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::{aside, sink};

pub(crate) async fn run(args: CleanArgs, state: &StateDir) -> Result<Exit, Failure> {
    let mut broom = Broom {
        registry: backends::registry(args.backends, state),
        loaded: BTreeMap::new(),
        executions: None,
        dry_run: args.dry_run,
        kept_too: args.kept || !args.runs.is_empty(),
        removed: 0,
        failed: 0,
    };
    let wanted = args.runs.iter().map(|run| super::run_id(run)).collect::<Result<Vec<_>, _>>()?;
    let all = state.runs()?;
    if let Some(unknown) = wanted.iter().find(|run| !all.contains(run)) {
        let text = format!("there is no run {unknown} in this state directory");
        return Err(Failure::new(Exit::NotFound, text));
    }
    for run in if wanted.is_empty() { all } else { wanted } {
        if state.run_is_owned(&run)? {
            left_alone(&run);
            continue;
        }
        if !broom.sweep_execution(state, &run).await {
            broom.sweep_run(state, &run).await;
        }
    }
    if args.strays {
        broom.sweep_strays(state).await;
    }
    sink::say(broom.sum());
    Ok(if broom.failed == 0 { Exit::Success } else { Exit::Failed })
}

fn left_alone(run: &RunId) {
    sink::say(format_args!("{run} is running and is left alone"));
}

/// A backend, and which engine it reaches.
#[derive(Clone)]
struct Loaded {
    backend: Arc<dyn Backend>,
    engine: Option<String>,
}

/// Not another version's words, and not a disk that cannot be read.
fn is_damage(error: &JournalError) -> bool {
    matches!(error, JournalError::Format { source: FormatError::Damaged { .. }, .. })
}

struct Broom {
    registry: BackendRegistry,
    loaded: BTreeMap<String, Loaded>,
    /// Once one was to be ended.
    executions: Option<Opened>,
    dry_run: bool,
    /// What is there on purpose goes too.
    kept_too: bool,
    removed: usize,
    failed: usize,
}

impl Broom {
    async fn sweep_run(&mut self, state: &StateDir, run: &RunId) {
        let folder = state.run_dir(run);
        let path = folder.join("journal");
        if !path.exists() {
            return;
        }
        let recovered = match Journal::<Record>::read(&path) {
            Ok(recovered) => Ok(recovered.records),
            Err(JournalError::Owned(_)) => return left_alone(run),
            Err(error) if is_damage(&error) => self.renew(run, &path, &error),
            Err(error) => Err(error),
        };
        let mut open = match recovered {
            Ok(records) => open_tasks(&records),
            Err(error) => return self.fail(run, &error.to_string()),
        };
        let all = open.len();
        if !self.kept_too {
            open.retain(|_, place| {
                place.kept.as_ref().is_none_or(|kept| {
                    sink::say(format_args!(
                        "{run}: what job {} left is kept on purpose; `jobwright clean {run}` removes it",
                        kept.job
                    ));
                    false
                })
            });
        }
        let keeps_some = open.len() < all;
        let remains = remains::of(run, state);
        // An execution is concluded by its executor.
        let is_over = keeps_some || ExecutionFolder::is_at(&folder) || ps::has_ended(&folder, run);
        if open.is_empty() && remains.is_empty() && is_over {
            return;
        }
        if self.dry_run {
            return self.tell(run, &open, &remains);
        }
        // Owning the journal keeps anybody else from adopting the run meanwhile.
        match Journal::<Record>::open(&path) {
            Ok((journal, _)) => {
                let failed_before = self.failed;
                for (task, place) in open {
                    self.sweep_task(run, &task, &place, &journal).await;
                }
                for remain in remains {
                    self.sweep_remain(run, &remain).await;
                }
                if !is_over && self.failed == failed_before {
                    self.give_up(state, run);
                }
            }
            Err(JournalError::Owned(_)) => left_alone(run),
            Err(error) => self.fail(run, &error.to_string()),
        }
    }

    /// What a damaged journal still says, in a new one in its place; the damaged one is kept.
    fn renew(&self, run: &RunId, path: &Path, damage: &JournalError) -> Result<Vec<Record>, JournalError> {
        aside::say(format_args!("{run}: {damage}; what can still be read of it is taken"));
        if self.dry_run {
            return salvage(path);
        }
        let Quarantined { records, moved_to } = quarantine(path)?;
        aside::say(format_args!("{run}: the damaged journal is kept as {}", moved_to.display()));
        Ok(records)
    }

    fn tell(&mut self, run: &RunId, open: &BTreeMap<TaskUuid, TaskPlace>, remains: &[Remain]) {
        for (task, TaskPlace { backend, .. }) in open {
            sink::say(format_args!("{run}: task {task} on the {backend} backend"));
            self.removed += 1;
        }
        for Remain { what, path } in remains {
            sink::say(format_args!("{run}: {what}, {}", path.display()));
            self.removed += 1;
        }
    }

    /// A run of which nothing is left has ended.
    fn give_up(&mut self, state: &StateDir, run: &RunId) {
        match give_up(state, run) {
            Ok(true) => sink::say(format_args!("{run}: given up")),
            Ok(false) => {}
            Err(error) => self.fail(run, &error.to_string()),
        }
    }

    /// Files of the run; no other run uses them.
    async fn sweep_remain(&mut self, run: &RunId, remain: &Remain) {
        match remain.remove().await {
            Ok(()) => {
                sink::say(format_args!("{run}: {} removed", remain.what));
                self.removed += 1;
            }
            Err(error) => self.fail(run, &error),
        }
    }

    async fn sweep_task(
        &mut self,
        run: &RunId,
        task: &TaskUuid,
        place: &TaskPlace,
        journal: &Journal<Record>,
    ) {
        let destroyed = match self.load(place).await {
            Ok(backend) => {
                backend.destroy_workflow(&Workflow::default(), task).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error),
        };
        let forgotten = destroyed.and_then(|()| {
            let folder = journal.path().parent().unwrap_or_else(|| Path::new("."));
            KeptStep::forget(folder, task).map_err(|error| error.to_string())
        });
        let closed = forgotten.and_then(|()| {
            journal.append(&Record::TaskClosed { task: task.clone() }).map_err(|error| error.to_string())
        });
        match closed {
            Ok(()) => {
                sink::say(format_args!("{run}: task {task} on the {} backend removed", place.backend));
                self.removed += 1;
            }
            Err(error) => self.fail(run, &format!("task {task}: {error}")),
        }
    }

    /// What no journal knows. Where strays cannot be told from what is somebody's, nothing is touched.
    async fn sweep_strays(&mut self, state: &StateDir) {
        let found = match strays::find(&self.registry, state).await {
            Ok(found) => found,
            Err(error) => return self.fail(&"strays", &error.to_string()),
        };
        for Strays { backend, by_task, nameless } in found {
            for thing in nameless {
                let why =
                    format!("{thing} on the {} backend tells no task; remove it by hand", backend.name());
                self.fail(&"strays", &why);
            }
            for (task, things) in by_task {
                self.sweep_stray(&*backend, &task, things.len()).await;
            }
        }
    }

    async fn sweep_stray(&mut self, backend: &dyn Backend, task: &TaskUuid, things: usize) {
        let what =
            format!("task {task} on the {} backend, which no run knows ({things} thing(s))", backend.name());
        if self.dry_run {
            sink::say(what);
            self.removed += 1;
            return;
        }
        let destroyed = match backend.load().await {
            Ok(_) => backend.destroy_workflow(&Workflow::default(), task).await,
            Err(error) => Err(error),
        };
        match destroyed {
            Ok(()) => {
                sink::say(format_args!("{what} removed"));
                self.removed += 1;
            }
            Err(error) => self.fail(&"strays", &format!("{what}: {error}")),
        }
    }

    /// The backend of `place`, reaching the engine of `place`: on another one nothing would be found, and the task would be
    /// taken for removed (DESIGN rule 6).
    async fn load(&mut self, place: &TaskPlace) -> Result<Arc<dyn Backend>, String> {
        let name = &place.backend;
        let Loaded { backend, engine } = match self.loaded.get(name) {
            Some(loaded) => loaded.clone(),
            None => {
                let backend = self.registry.find(Some(name)).await.map_err(|error| error.to_string())?;
                let engine = backend.load().await.map_err(|error| error.to_string())?.engine_id;
                self.loaded.entry(name.clone()).or_insert(Loaded { backend, engine }).clone()
            }
        };
        match &place.engine {
            Some(wanted) if engine.as_ref() != Some(wanted) => Err(format!(
                "it was run on another engine than the {name} backend finds here; run `jobwright clean` with the address \
                 that the run was started with"
            )),
            _ => Ok(backend),
        }
    }

    fn fail(&mut self, run: &dyn Display, why: &str) {
        aside::say(format_args!("{run}: {why}"));
        self.failed += 1;
    }

    fn sum(&self) -> String {
        let done = if self.dry_run { "would be removed" } else { "removed" };
        match (self.removed, self.failed) {
            (0, 0) => "nothing to remove".to_owned(),
            (removed, 0) => format!("{removed} leftover(s) {done}"),
            (removed, failed) => format!("{removed} leftover(s) {done}, {failed} could not be"),
        }
    }
}
