//! The interface itself (NuNet's `Executor`, its latest generation; nunet.md 1.2).

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use jobwright_backend::StreamKind;
use jobwright_model::{
    ExecOutput, ExecutionId, ExecutionInfo, ExecutionListItem, ExecutionRequest, ExecutionResult,
    ExecutionStats, ExecutionStatus, LogStreamRequest, NetInfo,
};

use crate::error::Result;

/// How long [`Executor::wait_for_status`] waits when nobody says.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(10);

/// A piece of an execution's output, secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputChunk {
    /// Where it was written to.
    pub stream: StreamKind,
    /// What; whole characters, where it is text.
    pub bytes: Bytes,
    /// How many bytes of the whole output lie before it, both streams counted.
    pub offset: u64,
}

/// An execution's output, in order, as it comes. Dropping it ends what is done for it; a slow reader slows nobody.
pub type OutputStream = Pin<Box<dyn Stream<Item = Result<OutputChunk>> + Send>>;

/// Runs what it is asked for under an id that the caller chose, whatever isolates it. An id is never given twice: not while its execution
/// runs, and not after it has ended, until it is [removed](Self::remove).
#[async_trait]
pub trait Executor: Send + Sync {
    /// The executor's own id; the same after a restart.
    fn get_id(&self) -> String;

    /// Takes the request in and begins with it. When this returns, it is found again by whoever comes after a crash. What goes wrong from
    /// then on (its image, its start) is told by [`wait`](Self::wait), as a result with the exit code −1.
    ///
    /// # Errors
    /// [`AlreadyStarted`](crate::Error::AlreadyStarted), [`AlreadyCompleted`](crate::Error::AlreadyCompleted) when the id was given before;
    /// [`OtherJob`](crate::Error::OtherJob) when it was given under another job; [`Invalid`](crate::Error::Invalid),
    /// [`UnknownEngine`](crate::Error::UnknownEngine) or [`Unsupported`](crate::Error::Unsupported) when the request cannot be: then nothing was made.
    async fn start(&self, request: ExecutionRequest) -> Result<()>;

    /// [`start`](Self::start) and then [`wait`](Self::wait). When it is dropped, the execution goes on.
    ///
    /// # Errors
    /// Those of `start`.
    async fn run(&self, request: ExecutionRequest) -> Result<ExecutionResult>;

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound); [`AlreadyConcluded`](crate::Error::AlreadyConcluded), with the result, when it had ended before.
    async fn wait(&self, id: &ExecutionId) -> Result<ExecutionResult>;

    /// Ends it: SIGTERM, the grace, then SIGKILL, for all of it. Returns when it has ended.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound); [`AlreadyConcluded`](crate::Error::AlreadyConcluded).
    async fn cancel(&self, id: &ExecutionId) -> Result<()>;

    /// Makes it stand still.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound); [`AlreadyConcluded`](crate::Error::AlreadyConcluded);
    /// [`WrongStatus`](crate::Error::WrongStatus) when it does not run; [`Unsupported`](crate::Error::Unsupported).
    async fn pause(&self, id: &ExecutionId) -> Result<()>;

    /// Lets one that stands still go on.
    ///
    /// # Errors
    /// As [`pause`](Self::pause); [`WrongStatus`](crate::Error::WrongStatus) when it is not paused.
    async fn resume(&self, id: &ExecutionId) -> Result<()>;

    /// Ends it if it has not ended, within `timeout`, and forgets it: its logs, its result, its id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound); [`DidNotReach`](crate::Error::DidNotReach) when it does not end within `timeout`; it stays then.
    async fn remove(&self, id: &ExecutionId, timeout: Duration) -> Result<()>;

    /// Removes all of this executor's executions, and nothing else.
    ///
    /// # Errors
    /// [`Several`](crate::Error::Several), when some could not be removed; the others were.
    async fn cleanup(&self) -> Result<()>;

    /// Its output, of one that runs or has ended.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound); [`OtherJob`](crate::Error::OtherJob).
    async fn get_log_stream(&self, request: LogStreamRequest) -> Result<OutputStream>;

    /// The same from the byte `from` on, both streams counted as they come; what lies before is not read. One that lies beyond the end is
    /// waited for, when the request follows.
    ///
    /// # Errors
    /// Those of [`get_log_stream`](Self::get_log_stream); [`Invalid`](crate::Error::Invalid) when the request is for what comes from now on.
    async fn get_log_stream_from(&self, request: LogStreamRequest, from: u64) -> Result<OutputStream>;

    /// How many bytes of its output there are now, both streams counted.
    ///
    /// # Errors
    /// Those of [`get_log_stream`](Self::get_log_stream).
    async fn get_log_length(&self, request: LogStreamRequest) -> Result<u64>;

    /// All executions, in the order of their ids. One of which nobody can read what it is is told in Jobwright's own log and not here;
    /// [`remove`](Self::remove) forgets it.
    ///
    /// # Errors
    /// When there is no list.
    async fn list(&self) -> Result<Vec<ExecutionListItem>>;

    /// How it stands.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound).
    async fn get_status(&self, id: &ExecutionId) -> Result<ExecutionStatus>;

    /// Waits until it has exactly that status; for [`DEFAULT_WAIT`] when nobody says how long.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound); [`DidNotReach`](crate::Error::DidNotReach), at once when it has ended otherwise.
    async fn wait_for_status(
        &self,
        id: &ExecutionId,
        status: ExecutionStatus,
        timeout: Option<Duration>,
    ) -> Result<()>;

    /// Runs a command beside it, in its environment, to its end.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound); [`AlreadyConcluded`](crate::Error::AlreadyConcluded);
    /// [`WrongStatus`](crate::Error::WrongStatus) when it does not run; [`Unsupported`](crate::Error::Unsupported).
    async fn exec(&self, id: &ExecutionId, argv: &[String]) -> Result<ExecOutput>;

    /// What it uses.
    ///
    /// # Errors
    /// As [`exec`](Self::exec), but for one that is paused.
    async fn stats(&self, id: &ExecutionId) -> Result<ExecutionStats>;

    /// What is known of it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound).
    async fn get_info(&self, id: &ExecutionId) -> Result<ExecutionInfo>;

    /// How it is reached.
    ///
    /// # Errors
    /// As [`stats`](Self::stats).
    async fn get_net_info(&self, id: &ExecutionId) -> Result<NetInfo>;
}
