//! Finding what a dead owner left running, and taking it over. Both are optional, and separate from each other
//! (`WorkflowDiscoverer`, `WorkflowResumer` of the interface document).

use async_trait::async_trait;
use jobwright_model::{Step, StepUuid, TaskUuid};

use crate::Result;

/// A step found in an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredStep {
    /// The step's identity.
    pub uuid: StepUuid,
    /// The step's name.
    pub name: String,
    /// The backend's own id for it: container, pod, or process.
    pub container_id: String,
}

/// A workflow found in an engine, with its running steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredWorkflow {
    /// The task.
    pub task: TaskUuid,
    /// Those of its steps that run.
    pub steps: Vec<DiscoveredStep>,
}

/// Finds the workflows of this state directory that nobody watches any more.
#[async_trait]
pub trait WorkflowDiscoverer: Send + Sync {
    /// Workflows with at least one running step that can be adopted. Nothing running is an empty list.
    ///
    /// # Errors
    /// [`crate::Error::EngineGone`] when the engine does not answer: that is not the same as nothing (DESIGN rule 6).
    async fn discover_workflows(&self) -> Result<Vec<DiscoveredWorkflow>>;
}

/// How a step was found by whoever attached to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// It runs, or nobody can say yet that it does not.
    Running,
    /// It had ended before, and its exit and its output are still there: nothing that is done from now on has ended it.
    Ended,
}

/// Attaches to what already runs.
#[async_trait]
pub trait WorkflowResumer: Send + Sync {
    /// Attaches to `step`, which runs or has ended since; creates nothing. Afterwards `tail_step`, `wait_step` and `destroy_step` behave as after
    /// `start_step`.
    ///
    /// # Errors
    /// [`crate::Error::NotStarted`] when it is certain that no process of it ever ran; [`crate::Error::UnknownStep`] when no such step
    /// is there, and it may have run.
    async fn resume_step(&self, step: &Step, task: &TaskUuid) -> Result<Resumed>;
}
