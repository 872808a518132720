//! Going into executions: one that is there for a visitor alone, one that runs anyway, and a command's output as it comes.

use std::sync::Arc;

use jobwright_backend::StreamKind;
use jobwright_model::{Ending, ExecutionId, ExecutionRequest, ExecutionStatus, StepExit};
use jobwright_runtime::{Visited, Visitor, WAITING};

use super::{Executions, Shared};
use crate::error::{Error, Result};

/// Takes a piece of a command's output.
pub type Sink<'a> = dyn FnMut(StreamKind, &[u8]) -> std::io::Result<()> + Send + 'a;

impl Executions {
    /// As [`start`](crate::Executor::start), with a step that only waits in place of the request's command: `visitor` goes into it when it
    /// runs, and it ends with the visit and as the visit did. An image's own entrypoint does not run. What is done inside is the visitor's:
    /// none of it is in the logs. When the owner dies, so does the visit, and whoever takes the execution over ends it.
    ///
    /// # Errors
    /// Those of `start`; [`Error::Invalid`] for a request with provision scripts, for which no visitor waits; [`Error::Unsupported`] when
    /// nobody can go into what the backend runs.
    pub async fn visit(&self, mut request: ExecutionRequest, visitor: Arc<dyn Visitor>) -> Result<()> {
        if !request.provision_scripts.is_empty() {
            return Err(Error::invalid("provision_scripts", "they cannot be run before a visit"));
        }
        let params = &mut request.engine_spec.params;
        params.remove("cmd");
        params.insert("entrypoint".to_owned(), ["/bin/sh", "-c", WAITING].map(String::from).to_vec().into());
        self.shared.begin(request, Some(visitor)).await.map(drop)
    }

    /// Lets `visitor` go into an execution that runs, whoever owns it. It goes on when the visit is over. Nothing of the visit is masked or
    /// in the logs. The inner answer is the visit's own.
    ///
    /// # Errors
    /// Those of [`exec`](crate::Executor::exec).
    pub async fn enter(&self, id: &ExecutionId, visitor: &dyn Visitor) -> Result<Result<StepExit, Ending>> {
        self.shared.enter(id, visitor).await
    }

    /// As [`exec`](crate::Executor::exec), with the output given to `sink` as it comes, secrets masked. Gives the exit code: 128 and the
    /// signal's number where a signal ended it, −1 where it cannot be known.
    ///
    /// # Errors
    /// Those of `exec`; [`Error::Store`] when `sink` fails, which leaves the command alone.
    pub async fn exec_into(&self, id: &ExecutionId, argv: &[String], sink: &mut Sink<'_>) -> Result<i32> {
        self.shared.exec_into(id, argv, sink).await
    }
}

impl Shared {
    async fn enter(&self, id: &ExecutionId, visitor: &dyn Visitor) -> Result<Result<StepExit, Ending>> {
        let reach = self.reach(id)?;
        let control = reach.control("going into what runs")?;
        reach.need(id, &[ExecutionStatus::Running], "it has to run to be gone into")?;
        let visited = visitor.visit(Visited { control, step: &reach.step, task: &reach.task }).await;
        Ok(visited.map_err(|mut ending| {
            // What cannot be masked is not told.
            let mask = |text: String| Some(self.masker(id).ok()?.mask_str(&text).into_owned());
            ending.evidence = ending.evidence.and_then(mask);
            ending
        }))
    }
}
