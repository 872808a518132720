//! An execution that this process owns: what the runtime tells of it, how it stands, and what came of it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jobwright_backend::Backend;
use jobwright_model::{Cause, Ending, ExecutionId, ExecutionResult, ExecutionStatus, Outcome, RunId, Step};
use jobwright_runtime::{MaskedChunk, Observer, ObserverError, Scope, ToldBefore, Trace};
use tokio::sync::watch;

use crate::output::Output;
use crate::reader::{Ends, Written};
use crate::store::Kept;

/// Of each stream so much is in a result: the log has all.
const RESULT_BYTES: usize = 1 << 20;

/// What a shell tells of a program that SIGKILL ended.
const BY_SIGKILL: i32 = 128 + 9;

/// How far it is.
#[derive(Debug, Clone)]
pub(crate) enum Stand {
    Pending,
    Running,
    Over(Arc<ExecutionResult>),
}

pub(crate) struct Live {
    pub(crate) kept: Kept,
    pub(crate) run: RunId,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) scope: Scope,
    pub(crate) output: Output,
    pub(crate) stand: watch::Sender<Stand>,
}

impl Live {
    pub(crate) fn new(kept: Kept, run: RunId, backend: Arc<dyn Backend>, output: Output) -> Self {
        let stand = watch::Sender::new(Stand::Pending);
        Self { kept, run, backend, scope: Scope::new(), output, stand }
    }

    /// What came of it; none while it goes on.
    pub(crate) fn result(&self) -> Option<Arc<ExecutionResult>> {
        match &*self.stand.borrow() {
            Stand::Over(result) => Some(Arc::clone(result)),
            _ => None,
        }
    }

    /// Waits for its end.
    pub(crate) async fn concluded(&self) -> Arc<ExecutionResult> {
        let mut stand = self.stand.subscribe();
        loop {
            if let Stand::Over(result) = &*stand.borrow_and_update() {
                return Arc::clone(result);
            }
            // The sender is in `self`.
            let _ = stand.changed().await;
        }
    }

    pub(crate) fn status(&self, is_paused: bool) -> ExecutionStatus {
        match &*self.stand.borrow() {
            Stand::Pending => ExecutionStatus::Pending,
            Stand::Running if is_paused => ExecutionStatus::Paused,
            Stand::Running => ExecutionStatus::Running,
            Stand::Over(result) => result.status(),
        }
    }

    /// The result that its ending makes, with what it wrote.
    pub(crate) fn result_of(&self, folder: &Path, ending: Ending, error: Option<String>) -> ExecutionResult {
        let (missing, lengths) = (self.output.missing(), self.output.lengths());
        let written = Written::open(folder);
        let ends = written.and_then(|written| Ends::read(&written, RESULT_BYTES, Some(lengths)));
        ExecutionResult { missing, ..concluded(&self.kept.execution_id, ends, ending, error) }
    }
}

/// The result of an execution that was watched while another process had it, and is gone now.
pub(crate) fn result_of_gone(
    id: &ExecutionId,
    written: &Written,
    ending: Ending,
    error: Option<String>,
) -> ExecutionResult {
    concluded(id, Ends::read(written, RESULT_BYTES, None), ending, error)
}

fn concluded(
    id: &ExecutionId,
    ends: io::Result<Ends>,
    ending: Ending,
    error: Option<String>,
) -> ExecutionResult {
    let Ends { texts: [stdout, stderr], left_out } = ends.unwrap_or_else(|error| {
        tracing::warn!(%id, %error, "an execution's output cannot be read for its result");
        Ends::default()
    });
    let mut error_msg = if ending.succeeded() { String::new() } else { told(&ending) };
    if let Some(error) = error.filter(|error| !error_msg.contains(error)) {
        error_msg =
            [error_msg, error].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
    }
    let exit_code = match (ending.succeeded(), &ending.cause) {
        (true, _) => 0,
        // The kernel ended a process of it, and it went on: it did not pass all the same.
        (false, Cause::OutOfMemory) if ending.exit_code == Some(0) => BY_SIGKILL,
        _ => ending.exit_code.or(ending.signal.map(|signal| 128 + signal)).unwrap_or(-1),
    };
    let killed = ending.cause == Cause::Signal;
    ExecutionResult { stdout, stderr, left_out, missing: 0, exit_code, error_msg, killed, ending }
}

/// Why it did not succeed.
fn told(ending: &Ending) -> String {
    let text = match (&ending.cause, ending.exit_code, ending.signal) {
        (Cause::ExitCode, Some(code), _) => format!("exited with non-zero status {code}"),
        (Cause::Signal, _, Some(signal)) => format!("killed by signal {signal}"),
        (Cause::OutOfMemory, ..) => "it used more memory than it may (OOM)".to_owned(),
        (Cause::Timeout, ..) => "timed out".to_owned(),
        (Cause::ByUser, ..) => "execution cancelled".to_owned(),
        (cause, ..) => cause.as_str().replace('_', " "),
    };
    match &ending.evidence {
        Some(evidence) if ending.outcome != Outcome::Cancelled => format!("{text}: {evidence}"),
        _ => text,
    }
}

#[async_trait]
impl Observer for Live {
    fn trace(&self, _step: &Step, _trace: &Trace) -> Result<(), ObserverError> {
        Ok(())
    }

    fn runs(&self, _step: &Step) {
        self.stand.send_if_modified(|stand| {
            let begins = matches!(stand, Stand::Pending);
            if begins {
                *stand = Stand::Running;
            }
            begins
        });
    }

    fn log(&self, _step: &Step, chunk: MaskedChunk) -> Result<(), ObserverError> {
        self.output.add(chunk.stream, &chunk.bytes, chunk.resume);
        Ok(())
    }

    fn withheld(&self, _step: &Step, bytes: u64) {
        self.output.withhold(bytes);
    }

    fn told_before(&self, _step: &Step) -> ToldBefore {
        self.output.told()
    }

    fn notice(&self, _step: Option<&Step>, text: &str) {
        tracing::warn!(id = %self.kept.execution_id, "{text}");
    }
}
