//! A job as the runtime runs it: phases in order. What made it (a pipeline, a queue, a request) is not known here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::StepUuid;
use crate::workflow::Workflow;

/// A named unit of work, compiled into phases that run in order and share one workspace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The name under which people know it.
    pub name: String,
    /// The phases, in order. The first one that does not pass stops the rest, but for those that say `always`.
    pub phases: Vec<Phase>,
    /// Bounds on the whole job.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Facts to show beside the job wherever it shows up (run id, stage); never secret.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// A workflow on a named backend.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// The backend's name.
    pub backend: String,
    /// What it runs.
    pub workflow: Workflow,
    /// Run it whatever became of the phases before it, in its own scope that the job's cancellation does not end
    /// (`after_script`, clean-up on the host).
    #[serde(default)]
    pub always: bool,
    /// The steps in the background that hold up what comes after them until they are ready. It stands here and not with the steps,
    /// whose JSON is the interface document's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ready: BTreeMap<StepUuid, Readiness>,
}

/// When a step that runs in the background counts as ready: when `command` succeeds in it; without one when its container's own health
/// check does; without either when it runs (local-ci.md 4, 1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Run within the step with `/bin/sh` until it exits with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How long it is waited for, from the step's start on.
    pub timeout: Duration,
}

/// Bounds on how long something may take. What is `None` is not bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// In all: workspace, images, steps.
    #[serde(default)]
    pub total: Option<Duration>,
    /// For each step, from its start.
    #[serde(default)]
    pub step: Option<Duration>,
    /// For each step that is not in the background: how long it may print nothing.
    #[serde(default)]
    pub silence: Option<Duration>,
}
