//! The JSON form of an event: the local-ci interface document's `WireEvent` with its 23 names, and our additions after them.
//! One shape for the event log, `--json` and the stream over HTTP. Not the fast way to write one (`log::encode`).

use base64_simd::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Event, EventKind};
use crate::kinds::{Group, Name};
use crate::text::as_text;

mod read;
#[cfg(test)]
mod tests;

pub use read::WireError;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// An event as JSON. All but `seq`, `type` and `time` are absent when zero, false or empty, as in the original; every field
/// may be absent when read, and names that are not known are passed over.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WireEvent {
    /// The event's number in its run.
    pub seq: u64,
    /// What happened: [`EventKind::type_name`].
    pub r#type: String,
    /// When; written in UTC, read with any offset.
    pub time: Timestamp,
    /// The run.
    #[serde(skip_serializing_if = "is_default")]
    pub run_id: String,
    /// The job; absent for what concerns the whole run.
    #[serde(skip_serializing_if = "is_default")]
    pub job: String,
    /// The job's stage.
    #[serde(skip_serializing_if = "is_default")]
    pub stage: String,
    /// An [`ExecKind`](crate::ExecKind).
    #[serde(skip_serializing_if = "is_default")]
    pub exec: String,
    /// [`Group::id`].
    #[serde(skip_serializing_if = "is_default")]
    pub group_id: String,
    /// A [`GroupKind`](crate::GroupKind).
    #[serde(skip_serializing_if = "is_default")]
    pub group_kind: String,
    /// [`Group::label`].
    #[serde(skip_serializing_if = "is_default")]
    pub group_label: String,
    /// A [`RunMode`](crate::RunMode).
    #[serde(skip_serializing_if = "is_default")]
    pub mode: String,
    /// Whether a job has several variants.
    #[serde(skip_serializing_if = "is_default")]
    pub has_matrix: bool,
    /// Whether a job runs beside all others.
    #[serde(skip_serializing_if = "is_default")]
    pub has_detached: bool,
    /// Names of jobs.
    #[serde(skip_serializing_if = "is_default")]
    pub order: Vec<String>,
    /// The pipeline file.
    #[serde(skip_serializing_if = "is_default")]
    pub config_path: String,
    /// The project's folder.
    #[serde(skip_serializing_if = "is_default")]
    pub project_path: String,
    /// The commit.
    #[serde(skip_serializing_if = "is_default")]
    pub commit: String,
    /// The branch.
    #[serde(skip_serializing_if = "is_default")]
    pub branch: String,
    /// 1 for a job that did not pass, whatever its real code is; absent for one that did. As the original writes it.
    #[serde(skip_serializing_if = "is_default")]
    pub exit_code: i64,
    /// Whole milliseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub duration_ms: i64,
    /// What to tell a person when it did not pass.
    #[serde(skip_serializing_if = "is_default")]
    pub err: String,
    /// A [`StreamKind`](crate::StreamKind).
    #[serde(skip_serializing_if = "is_default")]
    pub stream: String,
    /// Output, or a formatted line.
    #[serde(skip_serializing_if = "is_default")]
    pub data: String,

    // From here on: ours. Only optional fields are ever added, and only at the end.
    /// The step.
    #[serde(skip_serializing_if = "is_default")]
    pub step: String,
    /// The attempt, from 1.
    #[serde(skip_serializing_if = "is_default")]
    pub attempt: u32,
    /// A [`jobwright_model::Outcome`].
    #[serde(skip_serializing_if = "is_default")]
    pub outcome: String,
    /// A [`jobwright_model::Cause`], or a [`GapReason`](crate::GapReason) where there is a `gap`.
    #[serde(skip_serializing_if = "is_default")]
    pub cause: String,
    /// The dependency that did not pass, when the cause is `dependency`.
    #[serde(skip_serializing_if = "is_default")]
    pub dependency: String,
    /// The exit code that its authority gave; absent when there is none, so 0 is written here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub real_exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The ending's evidence: why, for a person.
    #[serde(skip_serializing_if = "is_default")]
    pub reason: String,
    /// In place of `data`, when that is not UTF-8 or mostly zeros: all of it in base64 with padding.
    #[serde(rename = "dataB64", skip_serializing_if = "is_default")]
    pub data_b64: String,
    /// That many bytes of output are missing here; `data` is then a notice and none of the job's own output.
    #[serde(skip_serializing_if = "is_default")]
    pub gap: u64,
    /// The job failed, as it may: the run passes over it.
    #[serde(skip_serializing_if = "is_default")]
    pub allowed_failure: bool,
}

impl WireEvent {
    /// The same event with the interface document's 23 fields only.
    #[must_use]
    pub fn without_additions(self) -> Self {
        Self {
            step: String::new(),
            attempt: 0,
            outcome: String::new(),
            cause: String::new(),
            dependency: String::new(),
            real_exit_code: None,
            signal: None,
            reason: String::new(),
            data_b64: String::new(),
            gap: 0,
            allowed_failure: false,
            ..self
        }
    }

    fn put_group(&mut self, group: &Group) {
        self.group_id = group.id();
        self.group_kind = group.kind().to_string();
        self.group_label = group.label().to_owned();
    }

    fn put_data(&mut self, data: &Bytes) {
        match as_text(data) {
            Some(text) => text.clone_into(&mut self.data),
            None => self.data_b64 = STANDARD.encode_to_string(data),
        }
    }

    fn put_ending(&mut self, ending: &jobwright_model::Ending) {
        self.outcome = ending.outcome.as_str().to_owned();
        self.cause = ending.cause.as_str().to_owned();
        if let jobwright_model::Cause::Dependency(name) = &ending.cause {
            self.dependency.clone_from(name);
        }
        self.real_exit_code = ending.exit_code;
        self.signal = ending.signal;
        self.reason = ending.evidence.clone().unwrap_or_default();
    }
}

/// What stands in place of output that is missing, for readers that do not know `gap`.
pub(crate) fn gap_notice(bytes: u64, reason: crate::GapReason) -> String {
    let why = match reason {
        crate::GapReason::Quota => "the job's log quota is used up",
        crate::GapReason::DiskFull => "the disk of the event log is full or failing",
        crate::GapReason::Withheld => "its secrets are gone, so it could not be masked",
        crate::GapReason::Unavailable => "it could not be read any more",
    };
    format!("\n[jobwright: {bytes} bytes of output are missing here: {why}]\n")
}

fn text(name: &Name) -> String {
    name.as_ref().to_owned()
}

fn optional(name: Option<&Name>) -> String {
    name.map(text).unwrap_or_default()
}

fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl From<&Event> for WireEvent {
    fn from(event: &Event) -> Self {
        if let EventKind::Unknown(wire) = &event.kind {
            return (**wire).clone();
        }
        let mut wire = Self {
            seq: event.seq,
            r#type: event.kind.type_name().to_owned(),
            time: event.time,
            run_id: event.run_id.to_string(),
            ..Self::default()
        };
        match &event.kind {
            EventKind::RunStarted {
                mode,
                has_matrix,
                has_detached,
                order,
                config_path,
                project_path,
                commit,
                branch,
            } => {
                wire.mode = mode.to_string();
                wire.has_matrix = *has_matrix;
                wire.has_detached = *has_detached;
                wire.order = order.iter().map(text).collect();
                wire.config_path.clone_from(config_path);
                wire.project_path.clone_from(project_path);
                wire.commit.clone_from(commit);
                wire.branch.clone_from(branch);
            }
            EventKind::RunFinished { duration, error, ending } => {
                wire.duration_ms = milliseconds(*duration);
                wire.err = error.clone().unwrap_or_default();
                wire.put_ending(ending);
            }
            EventKind::GroupStarted { group, order } => {
                wire.put_group(group);
                wire.order = order.iter().map(text).collect();
            }
            EventKind::GroupFinished { group } => wire.put_group(group),
            EventKind::JobStarted { job, stage, exec, group, attempt } => {
                wire.job = text(job);
                wire.stage = text(stage);
                wire.exec = exec.to_string();
                wire.group_id = group.as_ref().map(Group::id).unwrap_or_default();
                wire.attempt = *attempt;
            }
            EventKind::JobFinished { job, stage, exec, group, attempt, duration, error, ending, allowed } => {
                wire.allowed_failure = *allowed;
                wire.job = text(job);
                wire.stage = text(stage);
                wire.exec = exec.to_string();
                wire.group_id = group.as_ref().map(Group::id).unwrap_or_default();
                wire.exit_code = i64::from(!ending.succeeded());
                wire.duration_ms = milliseconds(*duration);
                wire.err = error.clone().unwrap_or_default();
                wire.attempt = *attempt;
                wire.put_ending(ending);
            }
            EventKind::LogLine { job, step, exec, stream, data, position: _ } => {
                wire.job = optional(job.as_ref());
                wire.step = optional(step.as_ref());
                wire.exec = exec.to_string();
                wire.stream = stream.to_string();
                wire.put_data(data);
            }
            EventKind::LogGap { job, step, exec, stream, bytes, reason, position: _ } => {
                wire.job = optional(job.as_ref());
                wire.step = optional(step.as_ref());
                wire.exec = exec.to_string();
                wire.stream = stream.to_string();
                wire.data = gap_notice(*bytes, *reason);
                wire.cause = reason.to_string();
                wire.gap = *bytes;
            }
            EventKind::Diagnostic { data } => wire.data.clone_from(data),
            EventKind::JobSkipped { job, stage, group, ending } => {
                wire.job = text(job);
                wire.stage = text(stage);
                wire.group_id = group.as_ref().map(Group::id).unwrap_or_default();
                wire.put_ending(ending);
            }
            EventKind::StepStarted { job, step, attempt } => {
                wire.job = text(job);
                wire.step = text(step);
                wire.attempt = *attempt;
            }
            EventKind::StepFinished { job, step, attempt, duration, ending } => {
                wire.job = text(job);
                wire.step = text(step);
                wire.attempt = *attempt;
                wire.duration_ms = milliseconds(*duration);
                wire.put_ending(ending);
            }
            EventKind::Unknown(_) => {}
        }
        wire
    }
}
