//! The nouns of Jobwright (DESIGN section 1) as plain data with serde.
//!
//! Nothing here does I/O, waits, or knows a backend: every other room speaks in these types. What a type serialises to
//! is a contract; the Woodpecker interface document's types are read and written as that document gives them.

mod duration;
mod ending;
mod execution;
mod execution_http;
mod execution_request;
mod exit;
mod ids;
mod job;
pub mod labels;
mod loopback;
mod network;
mod queue;
mod queue_http;
mod registry;
mod state;
mod step;
mod stream;
mod texts;
mod workflow;

pub use duration::{InvalidDuration, format_duration, parse_duration};
pub use ending::{Cause, Ending, Fault, Outcome};
pub use execution::{
    ExecOutput, ExecutionInfo, ExecutionListItem, ExecutionResult, ExecutionStats, ExecutionStatus,
    LogStreamRequest, MappedPort, NetInfo,
};
pub use execution_http::{
    EndEvent, ErrorAnswer, ErrorText, ExecCommand, ExecutionList, ExecutorAnswer, OutputData, OutputEvent,
    Started, StatusAnswer, Waited,
};
pub use execution_request::{
    AllocationKey, ExecutionRequest, Gpu, GpuVendor, PortToBind, ProvisionScript, Resources, SpecConfig,
    StorageVolume,
};
pub use exit::{ExitStatus, StepExit, Usage};
pub use ids::{ExecutionId, InvalidId, JobId, OwnerId, QueueName, RunId, StepUuid, TaskUuid};
pub use job::{Job, Phase, Readiness, Timeouts};
pub use loopback::{is_loopback, is_loopback_host};
pub use network::{Conn, HostAlias, Port};
pub use queue::{
    AttemptEnd, AttemptToken, DIED_TOO_OFTEN, JobRef, LogEntry, LogOut, NewJob, QueueRules, QueuedJob,
    QueuedState, Speaker,
};
pub use queue_http::{
    AttemptInfo, LogEndEvent, LogEndedEvent, LogEntryEvent, LogOutputEvent, LogRewrittenEvent, PushRequest,
    PushedJobs, QueueCounts, QueueInfo, QueueList, QueueMade, QueuedJobDetails, QueuedJobInfo, QueuedJobList,
    QueuedStateAnswer,
};
pub use registry::Auth;
pub use state::StepState;
pub use step::{FailurePolicy, Step, StepType};
pub use stream::StreamKind;
pub use workflow::{Secret, Stage, Workflow};
