//! The engine behind dummy backends: what outlives any one of them, as a container engine outlives its clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jobwright_model::{OwnerId, Step, StepUuid, TaskUuid};
use tokio::sync::watch;

use super::backend::Dummy;
use super::calls::Calls;
use super::files::Files;
use super::running::Running;
use super::scenario::Scenario;
use crate::{Error, Result};

/// How an engine behaves to all its dummies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DummyOptions {
    /// How long a step has between SIGTERM and SIGKILL.
    pub grace: Duration,
}

impl Default for DummyOptions {
    /// A grace of one second.
    fn default() -> Self {
        Self { grace: Duration::from_secs(1) }
    }
}

/// A scripted engine. Clones are the same engine; its steps end with its last clone and its last [`Dummy`].
#[derive(Clone)]
pub struct DummyEngine {
    shared: Arc<Shared>,
}

struct Shared {
    options: DummyOptions,
    owner: OwnerId,
    tasks: Mutex<HashMap<(OwnerId, TaskUuid), TaskPlace>>,
    calls: Calls,
    answers: watch::Sender<bool>,
}

/// What the engine has of one task.
#[derive(Default)]
pub(super) struct TaskPlace {
    pub(super) files: Arc<Files>,
    pub(super) steps: HashMap<StepUuid, StepPlace>,
}

/// What the engine has of one step.
pub(super) struct StepPlace {
    pub(super) name: String,
    pub(super) scenario: Scenario,
    pub(super) running: Option<Arc<Running>>,
}

impl Default for DummyEngine {
    fn default() -> Self {
        Self::new(DummyOptions::default())
    }
}

impl DummyEngine {
    /// An engine on which nothing runs.
    #[must_use]
    pub fn new(options: DummyOptions) -> Self {
        let shared = Shared {
            options,
            owner: OwnerId::random(),
            tasks: Mutex::default(),
            calls: Calls::default(),
            answers: watch::Sender::new(true),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A new instance of the backend over this engine, of the engine's own owner: the first one, or one after a restart.
    #[must_use]
    pub fn backend(&self) -> Dummy {
        self.backend_of(self.shared.owner.clone())
    }

    /// A new instance for another state directory.
    #[must_use]
    pub fn backend_of(&self, owner: OwnerId) -> Dummy {
        Dummy::new(self.clone(), owner)
    }

    /// Which calls came, from all instances.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.shared.calls
    }

    /// From now on every call, and every one that waits, answers [`Error::EngineGone`]; what runs goes on.
    pub fn vanish(&self) {
        self.shared.answers.send_replace(false);
    }

    /// The engine answers again.
    pub fn come_back(&self) {
        self.shared.answers.send_replace(true);
    }

    /// Everything that is left on it, of any owner, in words.
    #[must_use]
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        for ((owner, task), place) in self.tasks().iter() {
            left.push(format!("task {task} of {owner}"));
            left.extend(
                place.steps.iter().map(|(uuid, step)| format!("step {uuid} ({:?}) of {task}", step.name)),
            );
        }
        left.sort();
        left
    }

    pub(super) fn grace(&self) -> Duration {
        self.shared.options.grace
    }

    pub(super) fn tasks(&self) -> MutexGuard<'_, HashMap<(OwnerId, TaskUuid), TaskPlace>> {
        self.shared.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn check(&self) -> Result<()> {
        if *self.shared.answers.borrow() { Ok(()) } else { Err(gone("it was made to vanish")) }
    }

    /// Waits until the engine vanishes.
    pub(super) async fn vanished(&self) -> Error {
        let mut answers = self.shared.answers.subscribe();
        // The sender is this engine's own, so it is there as long as the borrow of it.
        let _ = answers.wait_for(|answers| !answers).await;
        gone("it was made to vanish")
    }
}

impl TaskPlace {
    pub(super) fn running(&self, step: &Step, task: &TaskUuid) -> Result<Arc<Running>> {
        let place = self.steps.get(&step.uuid).and_then(|place| place.running.clone());
        place.ok_or_else(|| Error::unknown_step(step, task))
    }
}

pub(super) fn gone(reason: &str) -> Error {
    Error::EngineGone { engine: "dummy", reason: reason.to_owned() }
}
