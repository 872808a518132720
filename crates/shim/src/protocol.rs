//! The orders an owner gives and what the shim answers, as plain data.
//!
//! Each message is one line of JSON (see [`crate::codec`]). A connection begins with [`Order::Hello`]; every order has
//! an id and gets exactly one answer with that id, not necessarily in order; notices come unasked. How the messages
//! are carried and obeyed is not here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::exec::{ExecEnd, ExecOrder};
use crate::record::{EndedBy, ExitRecord, Instants, StepFiles};

/// The newest protocol that this build speaks.
pub const PROTOCOL: u32 = 2;
/// The oldest protocol that this build speaks.
pub const PROTOCOL_MIN: u32 = 2;
/// The variable by which a step's processes are known, set by the shim in each step's environment.
pub const TOKEN_VARIABLE: &str = "JOBWRIGHT_STEP_TOKEN";
/// The descriptor on which a step's program finds the [script](StartOrder::script) of its order.
pub const SCRIPT_DESCRIPTOR: i32 = 9;
/// The file that the program reads it from. The script's first line closes the descriptor, so that nothing it starts inherits it.
pub const SCRIPT_FILE: &str = "/proc/self/fd/9";

/// The name under which an owner orders a step; any text that is unique in one shim.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// Wraps a name; the shim does not look into it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for StepId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An order with the id that its answer will carry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the owner, unique on its connection while the order is unanswered.
    pub id: u64,
    /// What is to be done.
    pub order: Order,
}

/// What an owner can ask for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The first order of a connection: the span of protocols that the owner speaks.
    Hello {
        /// The oldest protocol the owner speaks.
        min: u32,
        /// The newest protocol the owner speaks.
        max: u32,
    },
    /// Start a step. Answered by [`Answer::Started`] as soon as the program runs.
    Start(Box<StartOrder>),
    /// Start a program beside a running step. Answered by [`Answer::Executing`] as soon as it runs.
    Exec(Box<ExecOrder>),
    /// Which processes a step has now.
    Members {
        /// Which step.
        step: StepId,
    },
    /// Send a signal and do nothing else.
    Signal {
        /// Which step.
        step: StepId,
        /// The signal's number.
        signo: i32,
        /// All processes of the step, not only its first.
        whole_tree: bool,
    },
    /// End the whole tree: SIGTERM, the grace, SIGKILL. Answered when nothing of the step is left.
    Stop {
        /// Which step. One that already ended is stopped too: what it left behind goes.
        step: StepId,
        /// Milliseconds between SIGTERM and SIGKILL; 0 means SIGKILL at once.
        grace_ms: u64,
        /// Also free the step, as [`Order::Forget`] does.
        forget: bool,
    },
    /// Close the output of an ended step although something still holds its pipe.
    CloseOutput {
        /// Which step.
        step: StepId,
    },
    /// How one step is.
    Status {
        /// Which step.
        step: StepId,
    },
    /// How all steps are.
    List,
    /// Free an ended step of which nothing is left. Its files stay; they belong to the owner.
    Forget {
        /// Which step.
        step: StepId,
    },
    /// Stop all steps with this grace, then end.
    Shutdown {
        /// Milliseconds between SIGTERM and SIGKILL.
        grace_ms: u64,
    },
}

/// Everything that the shim needs to know about a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartOrder {
    /// The step's name in this shim.
    pub step: StepId,
    /// The program and its arguments; never secrets. A name without `/` is looked up in the PATH of `env`.
    pub argv: Vec<String>,
    /// The whole environment; nothing of the shim's is added but [`TOKEN_VARIABLE`].
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// A text that the program finds, unchangeable, on [`SCRIPT_DESCRIPTOR`]; in memory only, for the program alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Absolute path of the directory to start in.
    pub cwd: PathBuf,
    /// Where the step's output and exit record will be; the file must not be there yet.
    #[serde(flatten)]
    pub files: StepFiles,
    /// What people call the step; kept with its output for whoever finds that.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Run as another user; needs a privileged shim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
    /// Resource limits that differ from the shim's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// Absolute paths of existing cgroup folders that the step joins before it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cgroups: Vec<PathBuf>,
    /// Whether the step and its children can never gain privileges (`no_new_privs`).
    #[serde(default)]
    pub no_new_privileges: bool,
    /// The moment, in nanoseconds since boot (`CLOCK_BOOTTIME`, suspended time counted), from which on the shim ends the step when no
    /// owner is connected. While one is, it is the owner's to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ns: Option<u64>,
    /// Milliseconds between SIGTERM and SIGKILL where the shim acts by itself.
    #[serde(default = "default_grace_ms")]
    pub grace_ms: u64,
    /// Whether what the step's first process leaves behind is stopped as soon as that process ends.
    #[serde(default)]
    pub reap: bool,
}

fn default_grace_ms() -> u64 {
    10_000
}

impl StartOrder {
    /// An order with an empty environment, started in its own folder, without limits.
    pub fn new<A: Into<String>>(
        step: StepId,
        dir: impl Into<PathBuf>,
        argv: impl IntoIterator<Item = A>,
    ) -> Self {
        let dir = dir.into();
        Self {
            step,
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            script: None,
            cwd: dir.clone(),
            files: StepFiles::in_folder(dir),
            label: String::new(),
            run_as: None,
            limits: Vec::new(),
            cgroups: Vec::new(),
            no_new_privileges: false,
            deadline_ns: None,
            grace_ms: default_grace_ms(),
            reap: false,
        }
    }
}

/// The user and groups of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All supplementary groups; none of the shim's are kept.
    #[serde(default)]
    pub groups: Vec<u32>,
}

/// One resource limit, as `setrlimit(2)` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// The limit that holds; `None` is unlimited.
    pub soft: Option<u64>,
    /// The limit up to which the step may raise it; `None` is unlimited.
    pub hard: Option<u64>,
}

/// The resources that can be limited, in the units of `setrlimit(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Bytes of address space.
    AddressSpace,
    /// Bytes of a core file.
    Core,
    /// Seconds of CPU time.
    Cpu,
    /// Bytes of data segment.
    Data,
    /// Bytes of one written file.
    FileSize,
    /// Bytes of locked memory.
    LockedMemory,
    /// Open file descriptors.
    OpenFiles,
    /// Processes of the step's user.
    Processes,
    /// Bytes of stack.
    Stack,
}

/// One line from the shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The answer to the request of this id.
    Answer {
        /// The request's id.
        id: u64,
        /// What came of it.
        result: Result<Answer, Refusal>,
    },
    /// Something happened.
    Notice(Notice),
}

/// The good answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To a hello: what will be spoken on this connection.
    Hello {
        /// The protocol chosen.
        protocol: u32,
        /// The shim's version, for people.
        version: String,
        /// The shim's process id.
        pid: u32,
    },
    /// To a start.
    Started {
        /// The first process; also its process group and session.
        pid: u32,
        /// Its start time in clock ticks since boot, as `/proc/PID/stat` says.
        start_time: u64,
        /// The value of [`TOKEN_VARIABLE`] in the step's environment.
        token: String,
    },
    /// To an exec.
    Executing {
        /// The program's process; also its process group and session.
        pid: u32,
    },
    /// To a members: all processes of the step, in no order, those included that ended and were not waited for.
    Members(Vec<u32>),
    /// To a stop: nothing of the step is left.
    Stopped {
        /// Whether SIGKILL was needed or asked for while something was still alive.
        forced: bool,
    },
    /// To a status.
    Status(Box<StepStatus>),
    /// To a list, in the order of starting.
    List(Vec<StepStatus>),
    /// To the orders that have nothing to say.
    Done,
}

/// What the shim says unasked, to every connected owner, unless said otherwise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The step's first process ended; its exit record is written, or could not be (see its `recorded`).
    Exited {
        /// Which step.
        step: StepId,
        /// How it ended.
        exit: ExitRecord,
        /// Whether the exit record lies in the step's output.
        recorded: bool,
    },
    /// The step's output got its end mark.
    OutputDone {
        /// Which step.
        step: StepId,
    },
    /// A program beside a step ended. Only the connection that ordered it hears of it.
    ExecEnded(ExecEnd),
}

/// How a step is now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepStatus {
    /// The step's name.
    pub step: StepId,
    /// Where its files are.
    #[serde(flatten)]
    pub files: StepFiles,
    /// Its first process.
    pub pid: u32,
    /// That process's start time in clock ticks since boot.
    pub start_time: u64,
    /// The value of [`TOKEN_VARIABLE`].
    pub token: String,
    /// When it started.
    pub started: Instants,
    /// How it ended, when it has.
    pub exit: Option<ExitRecord>,
    /// Whether its output may still grow.
    pub output_open: bool,
    /// Why it is being stopped, when it is.
    pub stopping: Option<EndedBy>,
    /// How many of its processes live, the first included.
    pub processes: usize,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// No protocol that both sides speak.
    #[error(
        "the running shim (version {version}) speaks protocol {min} to {max}, which this build does not; \
         let its steps end, or use the matching jobwright"
    )]
    Protocol {
        /// The oldest the shim speaks.
        min: u32,
        /// The newest the shim speaks.
        max: u32,
        /// The shim's version.
        version: String,
    },
    /// An order before the hello.
    #[error("the connection must begin with a hello")]
    HelloFirst,
    /// A line that is no order.
    #[error("not an order: {why}")]
    BadOrder {
        /// What is wrong with it.
        why: String,
    },
    /// No such step.
    #[error("no step `{step}` in this shim")]
    UnknownStep {
        /// The name asked for.
        step: StepId,
    },
    /// The name is taken.
    #[error("step `{step}` was already started in this shim")]
    StepExists {
        /// The name asked for.
        step: StepId,
    },
    /// Something of the step still lives or its output is open.
    #[error("step `{step}` is still running or left processes behind; stop it first")]
    StillRunning {
        /// The step.
        step: StepId,
    },
    /// The step's first process already ended.
    #[error("step `{step}` has already ended")]
    NotRunning {
        /// The step.
        step: StepId,
    },
    /// SIGKILL was sent and waited for, and still something is there.
    #[error("{processes} process(es) of step `{step}` did not die although killed")]
    StillAlive {
        /// The step.
        step: StepId,
        /// How many are left.
        processes: usize,
    },
    /// The step did not start.
    #[error(transparent)]
    Start(StartFailure),
    /// The system refused a call.
    #[error("{what}: {}", std::io::Error::from_raw_os_error(*.errno))]
    System {
        /// What was tried.
        what: String,
        /// The error number.
        errno: i32,
    },
    /// The shim is ending and takes no new steps.
    #[error("the shim is shutting down")]
    ShuttingDown,
}

/// Why a step did not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", self.describe())]
pub struct StartFailure {
    /// What went wrong.
    pub problem: StartProblem,
    /// The program, directory or value that it went wrong with.
    pub subject: String,
    /// The system's error number, 0 when the shim itself refused.
    pub errno: i32,
}

/// The ways in which a start fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StartProblem {
    /// No such program at that path or in PATH.
    ProgramNotFound,
    /// The program may not be executed by the step's user.
    ProgramDenied,
    /// The file is neither a binary nor begins with `#!`.
    ProgramFormat,
    /// The file's interpreter (`#!` or dynamic loader) does not exist.
    InterpreterMissing,
    /// Arguments and environment are larger than the kernel takes.
    ArgumentsTooLong,
    /// The working directory does not exist or is no directory.
    DirectoryMissing,
    /// The working directory may not be entered by the step's user.
    DirectoryDenied,
    /// The user or groups could not be set.
    Identity,
    /// A resource limit could not be set.
    Limit,
    /// A cgroup could not be joined.
    Cgroup,
    /// The step's folder is missing, not writable, already used, or its disk is full.
    Folder,
    /// The order contradicts itself or the rules (relative path, NUL byte, empty argv).
    Order,
    /// Out of processes, memory or descriptors.
    Resources,
    /// Anything else.
    Other,
}

impl StartFailure {
    fn describe(&self) -> String {
        let subject = &self.subject;
        let system = std::io::Error::from_raw_os_error(self.errno);
        match self.problem {
            StartProblem::ProgramNotFound => format!("program `{subject}` not found"),
            StartProblem::ProgramDenied => format!("program `{subject}` may not be executed: {system}"),
            StartProblem::ProgramFormat => {
                format!("program `{subject}` is neither a binary nor a script that begins with `#!`")
            }
            StartProblem::InterpreterMissing => {
                format!("the interpreter of `{subject}` does not exist (its `#!` line or its dynamic loader)")
            }
            StartProblem::ArgumentsTooLong => {
                format!("arguments and environment of `{subject}` are larger than the system takes")
            }
            StartProblem::DirectoryMissing => format!("working directory `{subject}` does not exist"),
            StartProblem::DirectoryDenied => {
                format!("working directory `{subject}` cannot be entered: {system}")
            }
            StartProblem::Identity => format!("cannot become {subject}: {system}"),
            StartProblem::Limit => format!("cannot set the limit of {subject}: {system}"),
            StartProblem::Cgroup => format!("cannot join cgroup `{subject}`: {system}"),
            StartProblem::Folder => format!("cannot use step folder `{subject}`: {system}"),
            StartProblem::Order => format!("bad order: {subject}"),
            StartProblem::Resources => format!("cannot start `{subject}`: {system}"),
            StartProblem::Other => format!("`{subject}` did not start: {system}"),
        }
    }
}
