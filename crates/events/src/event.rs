//! What a run tells (DESIGN section 6): one type per thing that can happen, each with what belongs to it and nothing else.
//! Not for its form as JSON, which is in `wire`.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use jobwright_model::{Ending, RunId};

use crate::kinds::{ExecKind, GapReason, Group, Name, OutputPosition, RunMode, StreamKind};
use crate::wire::WireEvent;

/// One item of a run's stream, as the [`Bus`](crate::Bus) stamped it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number in the run, from 1 without a gap; 0 for one that never passed a bus.
    pub seq: u64,
    /// When the bus took it; never earlier than the event before it.
    pub time: Timestamp,
    /// The run that it is of.
    pub run_id: RunId,
    /// What happened.
    pub kind: EventKind,
}

/// What happened. The first eight are those of the local-ci interface document, in its order; the others are ours.
#[derive(Clone, PartialEq)]
pub enum EventKind {
    /// The run begins; the first event of every run.
    RunStarted {
        /// The mode that was asked for, even where `needs` supersede it.
        mode: RunMode,
        /// Whether a job has several variants.
        has_matrix: bool,
        /// Whether a job runs beside all others.
        has_detached: bool,
        /// The names of all prepared jobs.
        order: Vec<Name>,
        /// The pipeline file, absolute.
        config_path: String,
        /// The project's folder.
        project_path: String,
        /// The commit that is checked out; empty outside a git repository.
        commit: String,
        /// The branch; `HEAD` when detached, empty outside a git repository.
        branch: String,
    },
    /// The run is over; the last event of every run.
    RunFinished {
        /// How long it took.
        duration: Duration,
        /// Its errors, one per line; none when it passed.
        error: Option<String>,
        /// How it ended.
        ending: Ending,
    },
    /// A concurrent barrier begins.
    GroupStarted {
        /// Which.
        group: Group,
        /// The names of its jobs.
        order: Vec<Name>,
    },
    /// All jobs of a barrier have finished.
    GroupFinished {
        /// Which.
        group: Group,
    },
    /// A job begins. One per job, however many attempts it takes.
    JobStarted {
        /// Its name.
        job: Name,
        /// Its stage.
        stage: Name,
        /// How it is run.
        exec: ExecKind,
        /// The barrier that it is a member of.
        group: Option<Group>,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// A job is over.
    JobFinished {
        /// Its name.
        job: Name,
        /// Its stage.
        stage: Name,
        /// How it was run.
        exec: ExecKind,
        /// The barrier that it is a member of.
        group: Option<Group>,
        /// The last attempt, from 1.
        attempt: u32,
        /// How long all its attempts took.
        duration: Duration,
        /// What to tell a person when it did not pass.
        error: Option<String>,
        /// How it ended.
        ending: Ending,
        /// It failed, as it may: the run passes over it.
        allowed: bool,
    },
    /// A piece of output: bytes, not a line. Masked already (DESIGN rule 3).
    LogLine {
        /// The job that wrote it; none for a notice of the run itself.
        job: Option<Name>,
        /// The step that wrote it, where there is one.
        step: Option<Name>,
        /// How the job is run.
        exec: ExecKind,
        /// Where it was written to.
        stream: StreamKind,
        /// What was written.
        data: Bytes,
        /// Where the step's raw output goes on after this piece. Not on the wire; the event log's index keeps it, so that a
        /// resumed run goes on exactly here.
        position: Option<OutputPosition>,
    },
    /// A line of Jobwright itself for people, already formatted; no variable's value is in it.
    Diagnostic {
        /// The line, with its line feed.
        data: String,
    },
    /// Output that is not in the stream. On the wire a `log_line` that has a `gap`, and a notice as its `data`.
    LogGap {
        /// The job whose output it is; none when it is of several.
        job: Option<Name>,
        /// The step whose output it is.
        step: Option<Name>,
        /// How the job is run.
        exec: ExecKind,
        /// Where it was written to.
        stream: StreamKind,
        /// How many bytes are missing here.
        bytes: u64,
        /// Why.
        reason: GapReason,
        /// Where the step's raw output goes on after the gap, as in `LogLine`.
        position: Option<OutputPosition>,
    },
    /// A job never began: a dependency did not pass, its condition did not hold, or the run was cancelled first.
    JobSkipped {
        /// Its name.
        job: Name,
        /// Its stage.
        stage: Name,
        /// The barrier that it is a member of.
        group: Option<Group>,
        /// Why; its cause names the dependency, its evidence is the text for people.
        ending: Ending,
    },
    /// A step of a job begins.
    StepStarted {
        /// The job.
        job: Name,
        /// The step.
        step: Name,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// A step is over, or was never to begin (its ending says so).
    StepFinished {
        /// The job.
        job: Name,
        /// The step.
        step: Name,
        /// The attempt, from 1.
        attempt: u32,
        /// How long it ran.
        duration: Duration,
        /// How it ended.
        ending: Ending,
    },
    /// An event of a stream that another version wrote, kept as it came. Nothing here emits it.
    Unknown(Box<WireEvent>),
}

impl EventKind {
    /// `type` on the wire.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::RunStarted { .. } => "run_started",
            Self::RunFinished { .. } => "run_finished",
            Self::GroupStarted { .. } => "group_started",
            Self::GroupFinished { .. } => "group_finished",
            Self::JobStarted { .. } => "job_started",
            Self::JobFinished { .. } => "job_finished",
            Self::LogLine { .. } | Self::LogGap { .. } => "log_line",
            Self::Diagnostic { .. } => "diagnostic",
            Self::JobSkipped { .. } => "job_skipped",
            Self::StepStarted { .. } => "step_started",
            Self::StepFinished { .. } => "step_finished",
            Self::Unknown(wire) => &wire.r#type,
        }
    }

    /// A notice of the run itself: a log line that no job wrote.
    #[must_use]
    pub fn notice(text: impl Into<String>) -> Self {
        Self::LogLine {
            job: None,
            step: None,
            exec: ExecKind::Standalone,
            stream: StreamKind::Stdout,
            data: Bytes::from(text.into()),
            position: None,
        }
    }

    /// The memory that it holds beyond its own size, about, in bytes: what bounded queues count.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::LogLine { data, .. } => data.len(),
            Self::Diagnostic { data } => data.len(),
            Self::RunStarted { order, .. } | Self::GroupStarted { order, .. } => {
                order.iter().map(|name| name.len()).sum()
            }
            Self::JobFinished { error, .. } | Self::RunFinished { error, .. } => {
                error.as_ref().map_or(0, String::len)
            }
            _ => 0,
        }
    }
}

/// Like the derived form, but of output only the length is shown: a debug print must not flood or garble a log.
impl fmt::Debug for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct(self.type_name());
        match self {
            Self::LogLine { job, step, stream, data, .. } => shown
                .field("job", job)
                .field("step", step)
                .field("stream", stream)
                .field("bytes", &data.len()),
            Self::LogGap { job, step, bytes, reason, .. } => {
                shown.field("job", job).field("step", step).field("bytes", bytes).field("reason", reason)
            }
            Self::JobStarted { job, group, attempt, .. } => {
                shown.field("job", job).field("group", group).field("attempt", attempt)
            }
            Self::JobFinished { job, attempt, ending, error, .. } => shown
                .field("job", job)
                .field("attempt", attempt)
                .field("ending", ending)
                .field("error", error),
            Self::JobSkipped { job, ending, .. } => shown.field("job", job).field("ending", ending),
            Self::StepStarted { job, step, .. } => shown.field("job", job).field("step", step),
            Self::StepFinished { job, step, ending, .. } => {
                shown.field("job", job).field("step", step).field("ending", ending)
            }
            Self::RunStarted { mode, order, .. } => shown.field("mode", mode).field("order", order),
            Self::RunFinished { error, ending, .. } => shown.field("error", error).field("ending", ending),
            Self::GroupStarted { group, order } => shown.field("group", group).field("order", order),
            Self::GroupFinished { group } => shown.field("group", group),
            Self::Diagnostic { data } => shown.field("data", data),
            Self::Unknown(wire) => shown.field("wire", wire),
        };
        shown.finish()
    }
}
