//! Reaching into a running step: run a command beside it, pause it, signal it, look at what it uses and how it is reached.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_model::{NetInfo, Step, StepExit, TaskUuid};
use tokio::io::AsyncWrite;

use crate::{Error, LogStream, Result};

/// The size of a terminal in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Width.
    pub columns: u16,
    /// Height.
    pub rows: u16,
}

/// A command to run within a running step's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments; not empty.
    pub argv: Vec<String>,
    /// Variables on top of the step's own.
    pub environment: Vec<(String, String)>,
    /// Whether it is to have a standard input; without one it finds the end there at once. A terminal is one in any case.
    pub input: bool,
    /// Give it a terminal of this size, which some engines set just after the start; without one its streams come apart.
    pub terminal: Option<TerminalSize>,
}

/// A command that runs within a step. Dropping it closes its input and leaves it running; one that has a terminal is told that
/// the terminal hung up.
#[async_trait]
pub trait ExecSession: Send {
    /// Its standard input; `None` once it was taken, and for one that was asked for without.
    fn stdin(&mut self) -> Option<Pin<Box<dyn AsyncWrite + Send>>>;
    /// Its output; `None` once it was taken.
    fn output(&mut self) -> Option<LogStream>;
    /// Changes the size of its terminal.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] when it has none.
    async fn resize(&mut self, size: TerminalSize) -> Result<()>;
    /// Waits for its end.
    ///
    /// # Errors
    /// [`crate::Error::EngineGone`] when nobody can say any more.
    async fn wait(&mut self) -> Result<StepExit>;
}

/// What a running step uses at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepStats {
    /// Processor time so far.
    pub cpu: Duration,
    /// Memory now, in bytes.
    pub memory: u64,
    /// The memory limit in bytes; 0 when there is none.
    pub memory_limit: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// What an environment's own check says of a step that runs in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// There is no such check; nothing can be said.
    Unchecked,
    /// It has not succeeded yet, and has not failed often enough to count.
    Starting,
    /// It succeeds.
    Healthy,
    /// It fails.
    Unhealthy,
}

/// Verbs on a running step. Each answers [`crate::Error::UnknownStep`] for a step that is not there and
/// [`crate::Error::Unsupported`] for what this backend lacks.
#[async_trait]
pub trait StepControl: Send + Sync {
    /// Runs a command beside the step's own: as its user, in its working directory, with its variables and within its limits.
    /// What still runs of it when the step is destroyed is ended with the step.
    ///
    /// # Errors
    /// [`crate::Error::Start`] for a program that is not there or cannot be run, unless the engine finds that out only when it
    /// tries: then it exits with 126 or 127, as in a shell.
    async fn exec(&self, step: &Step, task: &TaskUuid, request: ExecRequest) -> Result<Box<dyn ExecSession>>;
    /// Stops all of the step's processes where they are. They can still be ended.
    async fn pause(&self, step: &Step, task: &TaskUuid) -> Result<()>;
    /// Lets them go on.
    async fn resume(&self, step: &Step, task: &TaskUuid) -> Result<()>;
    /// Sends a signal (by number) to the step's processes.
    async fn signal(&self, step: &Step, task: &TaskUuid, signal: i32) -> Result<()>;
    /// What it uses now.
    async fn stats(&self, step: &Step, task: &TaskUuid) -> Result<StepStats>;
    /// What the health check of its environment, such as an image's, says of it now. A backend that has none need not override this.
    async fn health(&self, _step: &Step, _task: &TaskUuid) -> Result<Health> {
        Ok(Health::Unchecked)
    }
    /// How it is reached now: its address in the first network that it has one in, and the host's ports that lead to it. All of it
    /// is empty for a step without a network of its own, such as one that has the host's.
    async fn network(&self, _step: &Step, _task: &TaskUuid) -> Result<NetInfo> {
        // A backend that overrides nothing here has no name that could be told.
        Err(Error::Unsupported { backend: "step's", what: "telling how a step is reached".to_owned() })
    }
}
