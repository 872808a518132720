//! The shims of a state directory: this process's own, started when the first step needs it, and those of earlier or other
//! Jobwright processes, found by what a step's output says of its shim.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use jobwright_backend::{Error, Result};
use jobwright_model::StepUuid;
use jobwright_shim::frame::StartInfo;
use jobwright_shim::{Order, ProcessIdentity, ShimDir, ShimError, StepId, find_shim, named_shim};
use tokio::sync::Mutex;

use crate::backend::NAME;
use crate::link::Link;
use crate::place::{StepPlace, TaskPlace};

/// How often, and how long apart, a shim is tried that seems to live but does not answer: it may be on its way out.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Who has a step.
pub(crate) enum Whereabouts {
    /// A living shim.
    Under(Arc<Link>),
    /// A shim that certainly no longer runs had it.
    Gone,
    /// Nobody: it was never started, or is destroyed.
    Nowhere,
}

/// Connections to shims, by name.
pub(crate) struct Shims {
    root: PathBuf,
    program: Option<PathBuf>,
    /// The shim that this process starts.
    own: String,
    links: Mutex<HashMap<String, Arc<Link>>>,
    /// The shims that were told to start steps, so that a step is known before its shim has come to it.
    told: std::sync::Mutex<HashMap<StepId, Told>>,
}

/// Who was told to start a step.
struct Told {
    shim: String,
    over: Arc<Link>,
}

impl Shims {
    pub(crate) fn new(root: PathBuf, program: Option<PathBuf>) -> Self {
        Self { root, program, own: own_name(), links: Mutex::default(), told: std::sync::Mutex::default() }
    }

    /// The program, where it is to be found.
    pub(crate) fn program(&self) -> Result<PathBuf, ShimError> {
        self.program.as_deref().map_or_else(find_shim, named_shim)
    }

    /// This process's shim and its name; starts it if it does not run.
    pub(crate) async fn own(&self) -> Result<(&str, Arc<Link>)> {
        // Held over the start, so that many steps that begin at once start one shim.
        let mut links = self.links.lock().await;
        if let Some(link) = living(&links, &self.own) {
            return Ok((&self.own, link));
        }
        let dir = self.root.join(&self.own);
        let mut last = ShimError::Gone;
        for _ in 0..3 {
            self.launch(&dir).await?;
            match Link::connect(&dir).await {
                Ok(link) => {
                    let link = Arc::new(link);
                    links.insert(self.own.clone(), Arc::clone(&link));
                    return Ok((&self.own, link));
                }
                // The one that was found was on its way out.
                Err(error @ (ShimError::Unreachable { .. } | ShimError::Gone)) => last = error,
                Err(error) => return Err(does_not_answer(&error)),
            }
        }
        Err(does_not_answer(&last))
    }

    async fn launch(&self, dir: &Path) -> Result<()> {
        let program = self.program().map_err(|error| does_not_answer(&error))?;
        let dir = ShimDir::new(dir);
        let launched = tokio::task::spawn_blocking(move || dir.launch(&program)).await;
        launched
            .unwrap_or_else(|error| Err(ShimError::Launch { message: error.to_string() }))
            .map_err(|error| does_not_answer(&error))
    }

    /// Notes who is told to start a step, and over which connection.
    pub(crate) fn note(&self, step: &StepId, shim: &str, over: &Arc<Link>) {
        over.expect(step);
        self.told().insert(step.clone(), Told { shim: shim.to_owned(), over: Arc::clone(over) });
    }

    /// The step was not started, or is destroyed.
    pub(crate) fn forget(&self, step: &StepId) {
        if let Some(told) = self.told().remove(step) {
            told.over.forget(step);
        }
    }

    /// The steps of a task that shims were told to start, whatever became of their files.
    pub(crate) fn steps_of(&self, task: &TaskPlace) -> Vec<StepPlace> {
        let prefix = format!("{}/", task.task);
        let told = self.told();
        let uuids = told.keys().filter_map(|step| StepUuid::new(step.as_str().strip_prefix(&prefix)?).ok());
        uuids.map(|uuid| task.step(&uuid)).collect()
    }

    fn told(&self) -> std::sync::MutexGuard<'_, HashMap<StepId, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who has this step.
    pub(crate) async fn locate(&self, place: &StepPlace) -> Result<Whereabouts> {
        let told = self.told().get(&place.id).map(|told| told.shim.clone());
        let name = match told {
            Some(name) => Some(name),
            None => name_in(place.start()?),
        };
        if let Some(name) = name {
            return Ok(self.find(&name).await?.map_or(Whereabouts::Gone, Whereabouts::Under));
        }
        // Between an order and its first act, only the shim itself knows.
        for name in self.names() {
            let Some(link) = self.find(&name).await? else { continue };
            if link.call(Order::Status { step: place.id.clone() }).await.is_ok() {
                return Ok(Whereabouts::Under(link));
            }
        }
        Ok(if place.has_output() { Whereabouts::Gone } else { Whereabouts::Nowhere })
    }

    /// Every shim of this state directory that lives.
    pub(crate) async fn all(&self) -> Result<Vec<Arc<Link>>> {
        let names = self.names();
        let found = try_join_all(names.iter().map(|name| self.find(name))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// The shim of this name; `None` when it is certain that it no longer runs.
    async fn find(&self, name: &str) -> Result<Option<Arc<Link>>> {
        if let Some(link) = living(&*self.links.lock().await, name) {
            return Ok(Some(link));
        }
        let dir = ShimDir::new(self.root.join(name));
        for _ in 0..TRIES {
            match Link::connect(dir.path()).await {
                Ok(link) => {
                    let link = Arc::new(link);
                    self.links.lock().await.insert(name.to_owned(), Arc::clone(&link));
                    return Ok(Some(link));
                }
                Err(ShimError::Gone) => {}
                Err(ShimError::Unreachable { source, .. })
                    if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
                Err(error) => return Err(does_not_answer(&error)),
            }
            if !dir.is_alive().map_err(|error| does_not_answer(&error))? {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let reason = format!("the shim of {name} runs and takes no connection");
        Err(Error::EngineGone { engine: NAME, reason })
    }

    /// Removes what dead shims of dead processes left. A step that was theirs finds no shim, as before.
    pub(crate) fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.root) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_dead = name.to_str().is_some_and(|name| !belongs_to_the_living(name))
                && ShimDir::new(entry.path()).is_alive().is_ok_and(|alive| !alive);
            if is_dead && let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(%error, "cannot remove {}", entry.path().display());
            }
        }
    }
}

/// The name of the shim that says that it started a step.
fn name_in(start: Option<StartInfo>) -> Option<String> {
    let dir = start?.shim?;
    Some(dir.file_name()?.to_str()?.to_owned())
}

fn living(links: &HashMap<String, Arc<Link>>, name: &str) -> Option<Arc<Link>> {
    links.get(name).filter(|link| !link.is_gone()).cloned()
}

/// Number and start time: no two processes of one boot share both.
pub(crate) fn own_name() -> String {
    let pid = std::process::id();
    let start = ProcessIdentity::of(pid).map_or(0, |process| process.start_time);
    format!("{pid}-{start}")
}

/// A process that lives may be about to start its shim. What is not one of our names counts as living: it is not ours.
pub(crate) fn belongs_to_the_living(name: &str) -> bool {
    let Some((pid, start)) = name.split_once('-') else { return true };
    match (pid.parse::<u32>(), start.parse::<u64>()) {
        (Ok(pid), Ok(start)) => ProcessIdentity::of(pid).is_some_and(|process| process.start_time == start),
        _ => true,
    }
}

/// An error of a shim that says nothing about the steps.
pub(crate) fn does_not_answer(error: &ShimError) -> Error {
    Error::EngineGone { engine: NAME, reason: error.to_string() }
}
