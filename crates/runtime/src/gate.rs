//! Gates: what is asked before each step whether it runs (DESIGN section 2). Conditions, a queue's skip file and a cancelled
//! parent are gates, not special cases.

use async_trait::async_trait;
use jobwright_backend::Backend;
use jobwright_model::{Cause, Step, TaskUuid};

/// What a gate knows when it is asked.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// The step that is next.
    pub step: &'a Step,
    /// Whether any of the steps that it waited for, directly or not, failed without being told to ignore it.
    pub failed_before: bool,
    /// Where it runs: what steps before it left in the workspace can be read there.
    pub backend: &'a dyn Backend,
    /// The task that it belongs to.
    pub task: &'a TaskUuid,
}

/// A gate's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The step runs, if the other gates agree.
    Run,
    /// The step does not run, for this cause; the workflow goes on.
    Skip(Cause),
    /// Nothing more of the workflow runs, for this cause.
    Stop(Cause),
}

/// Is asked once before each step. The first answer other than [`Verdict::Run`] counts.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Whether the step runs.
    async fn ask(&self, situation: Situation<'_>) -> Verdict;
}

/// The conditions `on_success` and `on_failure` of a step (woodpecker.md 3.2).
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions;

#[async_trait]
impl Gate for Conditions {
    async fn ask(&self, Situation { step, failed_before, .. }: Situation<'_>) -> Verdict {
        let wanted = if failed_before { step.on_failure } else { step.on_success };
        if wanted { Verdict::Run } else { Verdict::Skip(Cause::Condition) }
    }
}
