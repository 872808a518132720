//! Somebody who goes into a running step, such as a person with a shell. The step is there for the visit only: it ends with it. Not for
//! what is done inside, nor for how that looks.

use async_trait::async_trait;
use jobwright_backend::{Error, StepControl};
use jobwright_model::{Cause, Ending, Step, StepExit, TaskUuid};

use crate::shared::Shared;

/// The command of a step that only waits, until it is ended. One that finds no `sleep` ends instead of going round for nothing.
pub const WAITING: &str = "trap 'exit 0' TERM INT HUP; while sleep 86400 & wait \"$!\"; do :; done";

/// A running step that can be gone into.
#[derive(Clone, Copy)]
pub struct Visited<'a> {
    /// What reaches into it.
    pub control: &'a dyn StepControl,
    /// The step as it was started.
    pub step: &'a Step,
    /// Its task.
    pub task: &'a TaskUuid,
}

/// Goes into a running step.
#[async_trait]
pub trait Visitor: Send + Sync {
    /// Called once for a step, when it runs. The step is ended when this returns, or the future is dropped because the step or its scope
    /// has ended. The exit is that of what was done inside, read from its authority; it becomes the step's own.
    ///
    /// # Errors
    /// The ending of a step into which nobody could go, or of a visit that came to no end of its own. Its evidence is masked by the
    /// runtime.
    async fn visit(&self, visited: Visited<'_>) -> Result<StepExit, Ending>;
}

/// The ending of a step that `visitor` goes into.
pub(crate) async fn visit(shared: &Shared, step: &Step, visitor: &dyn Visitor) -> Ending {
    let Some(control) = shared.backend.control() else {
        let what = "going into a running step".to_owned();
        return Ending::new(Cause::StartFailure)
            .because(Error::Unsupported { backend: shared.backend.name(), what }.to_string());
    };
    match visitor.visit(Visited { control, step, task: &shared.task }).await {
        Ok(exit) => Ending::of_exit(&exit),
        Err(mut ending) => {
            ending.evidence = ending.evidence.map(|text| shared.masker.mask_str(&text).into_owned());
            ending
        }
    }
}
