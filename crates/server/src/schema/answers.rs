//! What is answered.

use super::{Deserialize, Id, ToSchema};

/// Which executor answers.
#[derive(ToSchema, Deserialize)]
pub(crate) struct ExecutorAnswer {
    /// Its id; the same after a restart.
    id: String,
}

/// An execution was taken in.
#[derive(ToSchema, Deserialize)]
pub(crate) struct Started {
    execution_id: Id,
    job_id: Id,
}

/// All executions.
#[derive(ToSchema, Deserialize)]
pub(crate) struct ExecutionList {
    /// In the order of their ids.
    executions: Vec<ExecutionListItem>,
}

/// An execution in a list.
#[derive(ToSchema, Deserialize)]
pub(crate) struct ExecutionListItem {
    execution_id: Id,
    job_id: Id,
    status: ExecutionStatus,
    /// Whether it has started and has not ended: running or paused.
    running: bool,
}

/// How an execution stands. `failed` and `success` are final.
#[derive(ToSchema, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExecutionStatus {
    Pending,
    Running,
    Paused,
    Failed,
    Success,
}

/// How an execution stands.
#[derive(ToSchema, Deserialize)]
pub(crate) struct StatusAnswer {
    execution_id: Id,
    status: ExecutionStatus,
}

/// What is known of an execution.
#[derive(ToSchema, Deserialize)]
pub(crate) struct ExecutionInfo {
    execution_id: Id,
    job_id: Id,
    /// The backend that runs it.
    runtime: String,
    /// Its image; empty where there are none.
    image: String,
    status: ExecutionStatus,
}

/// An execution that was waited for has ended.
#[derive(ToSchema, Deserialize)]
pub(crate) struct Waited {
    /// Whether it had ended before it was waited for.
    concluded_before: bool,
    result: ExecutionResult,
}

/// What came of an execution.
#[derive(ToSchema, Deserialize)]
pub(crate) struct ExecutionResult {
    /// The end of what it wrote to standard output, as text; secrets masked.
    stdout: String,
    /// The end of what it wrote to standard error, as text; secrets masked.
    stderr: String,
    /// How many bytes before that are left out of both; the log has them.
    #[serde(default)]
    left_out: u64,
    /// How many bytes of its output are nowhere: the disk took them not, or they were more than are kept.
    #[serde(default)]
    missing: u64,
    /// Its exit code; 128 and the signal's number where a signal ended it; −1 where it has none.
    exit_code: i32,
    /// Why it failed.
    #[serde(default)]
    error_msg: String,
    /// Whether somebody else than its caller ended it by a signal.
    #[serde(default)]
    killed: bool,
    ending: Ending,
}

/// How something ended.
#[derive(ToSchema, Deserialize)]
pub(crate) struct Ending {
    outcome: Outcome,
    /// Why: a word, or `{"dependency": NAME}`. More words may come.
    #[schema(value_type = Cause)]
    cause: Cause,
    /// The exit code that its authority gave, if it gave one.
    exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    signal: Option<i32>,
    /// Whether the memory limit ended it.
    #[serde(default)]
    oom: bool,
    /// When it began.
    #[schema(format = DateTime)]
    started: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    finished: Option<String>,
    /// What a person needs to believe it.
    evidence: Option<String>,
}

/// What came of something.
#[derive(ToSchema, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    Cancelled,
    Skipped,
    Lost,
}

/// Why something ended as it did.
#[derive(ToSchema, Deserialize)]
#[serde(rename_all = "snake_case", untagged)]
pub(crate) enum Cause {
    Word(String),
    Dependency { dependency: String },
}

/// What an execution uses.
#[derive(ToSchema, Deserialize)]
pub(crate) struct ExecutionStats {
    /// Processor time so far, in nanoseconds.
    cpu_ns: u64,
    /// Memory in use, in bytes.
    memory: u64,
    /// The most memory that it may use, in bytes; 0 when it is not bounded.
    memory_limit: u64,
    /// Processes and threads.
    pids: u64,
    /// When, in milliseconds since 1970.
    timestamp: i64,
}

/// How an execution is reached. What is empty is not known or not there.
#[derive(ToSchema, Deserialize)]
pub(crate) struct NetInfo {
    /// The host's bridge or the engine's network.
    network: String,
    /// Its address.
    ip_address: String,
    /// Its network in CIDR form.
    cidr: String,
    /// The host's ports that lead to it.
    mapped_ports: Vec<MappedPort>,
}

/// A port of the host that leads to one of the execution's.
#[derive(ToSchema, Deserialize)]
pub(crate) struct MappedPort {
    /// The host's address.
    host_ip: String,
    /// The host's port.
    host_port: u16,
    /// The port in the execution.
    executor_port: u16,
    /// `tcp` or `udp`.
    protocol: String,
}

/// What came of a command that was run in an execution.
#[derive(ToSchema, Deserialize)]
pub(crate) struct ExecOutput {
    /// Its exit code; 128 and the signal's number where a signal ended it; −1 where it cannot be known.
    exit_code: i32,
    /// What it wrote to standard output, as text.
    stdout: String,
    /// What it wrote to standard error, as text.
    stderr: String,
    /// How many bytes of both are left out.
    #[serde(default)]
    left_out: u64,
}

/// What every answer that is no success says.
#[derive(ToSchema, Deserialize)]
pub(crate) struct ErrorAnswer {
    error: ErrorText,
    /// What came of the execution, when the error is that it had concluded.
    result: Option<ExecutionResult>,
}

/// An error, for programs and for people.
#[derive(ToSchema, Deserialize)]
pub(crate) struct ErrorText {
    /// Which, in one word that does not change.
    code: String,
    /// What is wrong, where and why, and what would be right.
    message: String,
}

/// Bytes as they are.
#[derive(ToSchema, Deserialize)]
#[schema(format = Binary)]
pub(crate) struct Bytes(String);

/// The data of an event, by its name: `output`, `end`, `error`.
#[derive(ToSchema, Deserialize)]
#[serde(untagged)]
pub(crate) enum LogEvent {
    Output(OutputEvent),
    End(EndEvent),
    Error(Box<ErrorAnswer>),
}

/// A piece of output; it has `text`, or `base64` when it is not UTF-8.
#[derive(ToSchema, Deserialize)]
pub(crate) struct OutputEvent {
    stream: StreamKind,
    /// How many bytes of the whole output lie before it, both streams counted.
    offset: u64,
    /// What was written, when it is UTF-8.
    text: Option<String>,
    /// What was written, when it is not.
    base64: Option<String>,
}

/// Which of the two output streams.
#[derive(ToSchema, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StreamKind {
    Stdout,
    Stderr,
}

/// The last event of a stream that was read to its end.
#[derive(ToSchema, Deserialize)]
pub(crate) struct EndEvent {
    status: ExecutionStatus,
}
