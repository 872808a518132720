//! The shims of a state directory: this process's own, started when the first step needs it, and those of earlier or other
//! Jobwright processes, found by the name that a step's folder notes.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jobwright_backend::{Error, Result};
use jobwright_shim::{ProcessIdentity, ShimDir, ShimError, find_shim};
use tokio::sync::Mutex;

use crate::backend::NAME;
use crate::link::Link;

/// How often, and how long apart, a shim is tried that seems to live but does not answer: it may be on its way out.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Connections to shims, by name.
pub(crate) struct Shims {
    root: PathBuf,
    program: Option<PathBuf>,
    /// The shim that this process starts.
    own: String,
    links: Mutex<HashMap<String, Arc<Link>>>,
}

impl Shims {
    pub(crate) fn new(root: PathBuf, program: Option<PathBuf>) -> Self {
        Self { root, program, own: own_name(), links: Mutex::default() }
    }

    /// The program, where it is to be found.
    pub(crate) fn program(&self) -> Result<PathBuf, ShimError> {
        self.program.clone().map_or_else(find_shim, Ok)
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

    /// The shim of this name; `None` when it is certain that it no longer runs.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Arc<Link>>> {
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

fn living(links: &HashMap<String, Arc<Link>>, name: &str) -> Option<Arc<Link>> {
    links.get(name).filter(|link| !link.is_gone()).cloned()
}

/// Number and start time: no two processes of one boot share both.
fn own_name() -> String {
    let pid = std::process::id();
    let start = ProcessIdentity::of(pid).map_or(0, |process| process.start_time);
    format!("{pid}-{start}")
}

/// A process that lives may be about to start its shim. What is not one of our names counts as living: it is not ours.
fn belongs_to_the_living(name: &str) -> bool {
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
