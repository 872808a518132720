//! How a step ended: from its exit record, or from the certainty that nobody can say any more (DESIGN rule 1).

use std::time::Duration;

use jiff::Timestamp;
use jobwright_backend::{Error, Result};
use jobwright_model::{ExitStatus, Step, StepExit, TaskUuid, Usage};
use jobwright_shim::protocol::Order;
use jobwright_shim::record::{EndedBy, Instants};
use jobwright_shim::{Answer, ExecEnd, ExitRecord, Refusal, ShimError};

use crate::place::StepPlace;
use crate::shims::{Shims, Whereabouts, does_not_answer};

/// Waits for the end of `step`.
pub(crate) async fn wait(shims: &Shims, place: &StepPlace, step: &Step, task: &TaskUuid) -> Result<StepExit> {
    loop {
        let link = match shims.locate(place).await {
            Ok(Whereabouts::Under(link)) => link,
            Ok(Whereabouts::Nowhere | Whereabouts::Gone) => return last_word(place, step, task),
            Err(error) => return recorded(place)?.ok_or(error),
        };
        // Asked for before looking, so that an end in between is not missed.
        let (end, is_certain) = link.end_of(&place.id);
        if is_certain {
            if let Ok(exit) = end.await {
                return Ok(to_exit(&exit));
            }
            continue;
        }
        if let Some(exit) = recorded(place)? {
            return Ok(exit);
        }
        match link.call(Order::Status { step: place.id.clone() }).await {
            Ok(Answer::Status(status)) => {
                if let Some(exit) = status.exit {
                    return Ok(to_exit(&exit));
                }
            }
            Ok(other) => return Err(does_not_answer(&ShimError::Protocol(format!("{other:?}")))),
            // Destroyed, or started by a shim that is dead and has a successor under its name.
            Err(ShimError::Refused(Refusal::UnknownStep { .. })) => return last_word(place, step, task),
            Err(ShimError::Gone) => continue,
            Err(error) => return Err(does_not_answer(&error)),
        }
        if let Ok(exit) = end.await {
            return Ok(to_exit(&exit));
        }
        // The connection is gone; whether the shim is, the next round finds out.
    }
}

/// What is known of a step that no shim has: its last act may have been to write the record.
fn last_word(place: &StepPlace, step: &Step, task: &TaskUuid) -> Result<StepExit> {
    match recorded(place)? {
        Some(exit) => Ok(exit),
        None if place.has_output() => Ok(lost()),
        None => Err(Error::unknown_step(step, task)),
    }
}

/// What the step's exit record says; `None` when there is none (yet).
pub(crate) fn recorded(place: &StepPlace) -> Result<Option<StepExit>> {
    let record = ExitRecord::read(&place.files).map_err(|error| Error::Engine {
        engine: crate::backend::NAME,
        operation: format!("say how step {} ended", place.id),
        message: error.to_string(),
    })?;
    // A file that was opened as this step's may have become another's before it was read.
    Ok(record.filter(|record| record.step == place.id).as_ref().map(to_exit))
}

/// The shim died, its steps with it, and none of them left an exit status.
fn lost() -> StepExit {
    let message = "the shim that ran the step died, and nobody else saw how the step ended";
    StepExit { message: Some(message.to_owned()), ..StepExit::new(ExitStatus::Unknown) }
}

fn to_exit(record: &ExitRecord) -> StepExit {
    let exit = of_process(record.status, &record.usage, (record.started, record.finished));
    let overdue = record.ended_by == Some(EndedBy::Deadline);
    StepExit { oom: record.out_of_memory, overdue, message: message(record), ..exit }
}

/// How a program beside a step ended.
pub(crate) fn of_exec(end: &ExecEnd) -> StepExit {
    of_process(end.status, &end.usage, (end.started, end.finished))
}

fn of_process(
    status: jobwright_shim::ExitStatus,
    usage: &jobwright_shim::record::Usage,
    (started, finished): (Instants, Instants),
) -> StepExit {
    let status = match status {
        jobwright_shim::ExitStatus::Code(code) => ExitStatus::Code(code),
        jobwright_shim::ExitStatus::Signal { number, .. } => ExitStatus::Signal(number),
    };
    let usage = Usage {
        user: Duration::from_micros(usage.user_us),
        system: Duration::from_micros(usage.system_us),
        peak_memory: usage.max_rss_bytes,
    };
    let instant = |at: Instants| Timestamp::from_nanosecond(at.realtime_ns.into()).ok();
    let (started, finished) = (instant(started), instant(finished));
    StepExit { started, finished, usage: Some(usage), ..StepExit::new(status) }
}

fn message(record: &ExitRecord) -> Option<String> {
    let ended_by = record.ended_by.map(|by| match by {
        EndedBy::Stop => "it was stopped".to_owned(),
        EndedBy::Deadline => "its deadline passed".to_owned(),
        EndedBy::Shutdown => "the shim was told to end".to_owned(),
    });
    let lost = record.output.lost;
    let lost = (lost > 0).then(|| format!("{lost} bytes of its output could not be written"));
    let parts: Vec<String> = ended_by.into_iter().chain(lost).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
