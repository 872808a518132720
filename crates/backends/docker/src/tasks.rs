//! What this instance remembers of its tasks, so that the usual way needs no questions to the engine. Everything here can be
//! lost: what is not remembered is looked up by its labels (`Inner::container_of`, `Inner::plan_of`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jobwright_model::{StepUuid, TaskUuid};
use tokio::sync::RwLock;

use crate::plan::Plan;

/// How far a step's container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It was made.
    Prepared,
    /// Its start was asked for.
    Started,
}

/// A step's container.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    /// The engine's id: names may be taken over by others, ids never (DESIGN rule 8).
    pub(crate) id: String,
    pub(crate) phase: Phase,
    /// Where the task's workspace is in it.
    pub(crate) workspace: Option<String>,
    /// Held shared by those who wait for its end, until they have read its exit status.
    pub(crate) awaited: Arc<RwLock<()>>,
}

impl Container {
    pub(crate) fn new(id: String, phase: Phase, workspace: Option<String>) -> Self {
        Self { id, phase, workspace, awaited: Arc::default() }
    }
}

/// One task.
#[derive(Default)]
pub(crate) struct TaskMemory {
    /// Held shared while something of the task is being created, so that nothing appears after the task was destroyed.
    pub(crate) creating: Arc<RwLock<()>>,
    plan: Mutex<Option<Plan>>,
    steps: Mutex<HashMap<StepUuid, Container>>,
}

impl TaskMemory {
    pub(crate) fn plan(&self) -> Option<Plan> {
        locked(&self.plan).clone()
    }

    pub(crate) fn remember_plan(&self, plan: Plan) {
        *locked(&self.plan) = Some(plan);
    }

    pub(crate) fn container(&self, step: &StepUuid) -> Option<Container> {
        locked(&self.steps).get(step).cloned()
    }

    pub(crate) fn containers(&self) -> Vec<Container> {
        locked(&self.steps).values().cloned().collect()
    }

    pub(crate) fn remember(&self, step: &StepUuid, container: Container) {
        locked(&self.steps).insert(step.clone(), container);
    }

    /// The same for one that was seen in the engine, when nothing is remembered of the step: what is, may be awaited by somebody.
    pub(crate) fn remember_found(&self, step: &StepUuid, container: Container) {
        locked(&self.steps).entry(step.clone()).or_insert(container);
    }

    pub(crate) fn forget(&self, step: &StepUuid) {
        locked(&self.steps).remove(step);
    }

    /// Notes that a prepared step is being started. None when it is not known, or was started before.
    pub(crate) fn claim_start(&self, step: &StepUuid) -> Claim {
        match locked(&self.steps).get_mut(step) {
            None => Claim::Unknown,
            Some(container) if container.phase == Phase::Started => Claim::Taken,
            Some(container) => {
                container.phase = Phase::Started;
                Claim::Yours(container.clone())
            }
        }
    }

    /// Takes the note back: the engine did not start it.
    pub(crate) fn unclaim_start(&self, step: &StepUuid) {
        if let Some(container) = locked(&self.steps).get_mut(step) {
            container.phase = Phase::Prepared;
        }
    }
}

/// Who may start a step.
pub(crate) enum Claim {
    /// Nothing is remembered of it.
    Unknown,
    /// It was started.
    Taken,
    /// The asker.
    Yours(Container),
}

/// All tasks.
#[derive(Default)]
pub(crate) struct Tasks {
    by_uuid: Mutex<HashMap<TaskUuid, Arc<TaskMemory>>>,
}

impl Tasks {
    pub(crate) fn get(&self, task: &TaskUuid) -> Arc<TaskMemory> {
        Arc::clone(locked(&self.by_uuid).entry(task.clone()).or_default())
    }

    pub(crate) fn forget(&self, task: &TaskUuid) {
        locked(&self.by_uuid).remove(task);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
