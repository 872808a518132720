//! From the wire back to an event, forgiving: what is not known, or does not fit, is kept as it came. Not for reading files.

use std::time::Duration;

use base64_simd::STANDARD;
use bytes::Bytes;
use jobwright_model::{Cause, Ending, InvalidId, RunId};
use serde::Deserialize as _;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;

use super::WireEvent;
use crate::event::{Event, EventKind};
use crate::kinds::{GapReason, Group, Name};

/// Why a line of a stream is no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// It is not JSON, or not of an event's shape.
    #[error("it is no event: {0}")]
    Json(#[from] serde_json::Error),
    /// It belongs to no run.
    #[error("it belongs to no run: {0}")]
    RunId(#[from] InvalidId),
}

impl TryFrom<WireEvent> for Event {
    type Error = WireError;

    /// An event of an unknown type, or a known one whose fields do not fit it, becomes [`EventKind::Unknown`]. An event of
    /// the original, which tells no ending, gets the one that its `exitCode` and `err` mean. An ending's times and a log
    /// position are not on the wire, so they do not come back.
    ///
    /// # Errors
    /// [`WireError::RunId`] when it names no run.
    fn try_from(wire: WireEvent) -> Result<Self, WireError> {
        let (seq, time) = (wire.seq, wire.time);
        let run_id = RunId::new(wire.run_id.as_str())?;
        let kind = known(&wire).unwrap_or_else(|| EventKind::Unknown(Box::new(wire)));
        Ok(Self { seq, time, run_id, kind })
    }
}

/// The event that `wire` is; none when it is of an unknown type, or a field does not fit.
fn known(wire: &WireEvent) -> Option<EventKind> {
    Some(match wire.r#type.as_str() {
        "run_started" => EventKind::RunStarted {
            mode: wire.mode.parse().ok()?,
            has_matrix: wire.has_matrix,
            has_detached: wire.has_detached,
            order: names(&wire.order),
            config_path: wire.config_path.clone(),
            project_path: wire.project_path.clone(),
            commit: wire.commit.clone(),
            branch: wire.branch.clone(),
        },
        "run_finished" => EventKind::RunFinished {
            duration: duration(wire),
            error: non_empty(&wire.err),
            ending: ending(wire)?,
        },
        "group_started" => {
            EventKind::GroupStarted { group: Group::from_id(&wire.group_id)?, order: names(&wire.order) }
        }
        "group_finished" => EventKind::GroupFinished { group: Group::from_id(&wire.group_id)? },
        "job_started" => EventKind::JobStarted {
            job: required(&wire.job)?,
            stage: wire.stage.as_str().into(),
            exec: wire.exec.parse().ok()?,
            group: group(wire)?,
            attempt: wire.attempt.max(1),
        },
        "job_finished" => EventKind::JobFinished {
            job: required(&wire.job)?,
            stage: wire.stage.as_str().into(),
            exec: wire.exec.parse().ok()?,
            group: group(wire)?,
            attempt: wire.attempt.max(1),
            duration: duration(wire),
            error: non_empty(&wire.err),
            ending: ending(wire)?,
            allowed: wire.allowed_failure,
        },
        "log_line" => output(wire)?,
        "diagnostic" => EventKind::Diagnostic { data: wire.data.clone() },
        "job_skipped" => EventKind::JobSkipped {
            job: required(&wire.job)?,
            stage: wire.stage.as_str().into(),
            group: group(wire)?,
            ending: ending(wire)?,
        },
        "step_started" => EventKind::StepStarted {
            job: required(&wire.job)?,
            step: required(&wire.step)?,
            attempt: wire.attempt.max(1),
        },
        "step_finished" => EventKind::StepFinished {
            job: required(&wire.job)?,
            step: required(&wire.step)?,
            attempt: wire.attempt.max(1),
            duration: duration(wire),
            ending: ending(wire)?,
        },
        _ => return None,
    })
}

fn output(wire: &WireEvent) -> Option<EventKind> {
    let (job, step) = (required(&wire.job), required(&wire.step));
    let (exec, stream) = (wire.exec.parse().ok()?, wire.stream.parse().ok()?);
    Some(if wire.gap > 0 {
        let reason = wire.cause.parse().unwrap_or(GapReason::Unavailable);
        EventKind::LogGap { job, step, exec, stream, bytes: wire.gap, reason, position: None }
    } else {
        EventKind::LogLine { job, step, exec, stream, data: wire.output_bytes()?, position: None }
    })
}

impl WireEvent {
    /// The bytes of `data` or `dataB64`; none when the latter is no base64.
    #[must_use]
    pub fn output_bytes(&self) -> Option<Bytes> {
        if self.data_b64.is_empty() {
            Some(Bytes::copy_from_slice(self.data.as_bytes()))
        } else {
            STANDARD.decode_to_vec(&self.data_b64).ok().map(Bytes::from)
        }
    }
}

/// The ending that the event tells, or, when it tells none, the one that its failure or the lack of one means.
fn ending(wire: &WireEvent) -> Option<Ending> {
    let cause = match wire.cause.as_str() {
        "" if wire.exit_code == 0 && wire.err.is_empty() => Cause::Success,
        "" => Cause::ExitCode,
        "dependency" => Cause::Dependency(wire.dependency.clone()),
        word => Cause::deserialize(IntoDeserializer::<ValueError>::into_deserializer(word)).ok()?,
    };
    let mut ending = Ending::new(cause);
    ending.exit_code = wire.real_exit_code;
    ending.signal = wire.signal;
    ending.oom = ending.cause == Cause::OutOfMemory;
    ending.evidence = non_empty(&wire.reason);
    Some(ending)
}

/// The barrier; the outer none for one that is not known.
#[allow(clippy::option_option)]
fn group(wire: &WireEvent) -> Option<Option<Group>> {
    if wire.group_id.is_empty() { Some(None) } else { Group::from_id(&wire.group_id).map(Some) }
}

fn duration(wire: &WireEvent) -> Duration {
    Duration::from_millis(wire.duration_ms.try_into().unwrap_or(0))
}

fn names(order: &[String]) -> Vec<Name> {
    order.iter().map(|name| name.as_str().into()).collect()
}

fn required(name: &str) -> Option<Name> {
    (!name.is_empty()).then(|| name.into())
}

fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
