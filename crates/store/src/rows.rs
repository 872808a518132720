//! Rows as the model's nouns. Not for which rows are wanted: that is each operation's.

use jobwright_model::{JobRef, QueueRules, QueuedJob, QueuedState, Speaker};
use serde_json::Value as Json;

use crate::error::Result;
use crate::queue::KeptAttempt;
use crate::value::{Row, makes_no_sense};

/// The columns of a job that [`job`] reads, in its order, but for what is to be run.
pub(crate) const JOB: &str = "queue, id, state, tenant, priority, queued_at, process_after, started_at, heartbeat_at, finished_at, \
     failure_message, resets, failures, attempt, holder, cancel";

/// A job out of the columns [`JOB`]; what is to be run is still to come.
pub(crate) fn job(row: &mut Row) -> Result<QueuedJob> {
    Ok(QueuedJob {
        job: job_ref(row)?,
        state: state(row)?,
        tenant: row.text()?,
        priority: row.number()?,
        payload: Json::Null,
        queued_at: row.time()?,
        process_after: row.optional_time()?,
        started_at: row.optional_time()?,
        heartbeat_at: row.optional_time()?,
        finished_at: row.optional_time()?,
        failure_message: row.optional_text()?,
        resets: row.number()?,
        failures: row.number()?,
        attempt: row.number()?,
        holder: row.optional_text()?,
        cancel: row.flag()?,
    })
}

/// A job out of the columns [`JOB`] and its payload.
pub(crate) fn job_with_payload(mut row: Row) -> Result<QueuedJob> {
    let job = job(&mut row)?;
    Ok(QueuedJob { payload: json(&row.text()?)?, ..job })
}

/// The columns of an attempt that [`attempt`] reads, in its order.
pub(crate) const ATTEMPT: &str = "attempt, holder, started_at, finished_at, state, failure_message";

pub(crate) fn attempt(mut row: Row) -> Result<KeptAttempt> {
    Ok(KeptAttempt {
        attempt: row.number()?,
        holder: row.text()?,
        started_at: row.time()?,
        finished_at: row.optional_time()?,
        state: state(&mut row)?,
        failure_message: row.optional_text()?,
    })
}

/// A job's queue and number.
pub(crate) fn job_ref(row: &mut Row) -> Result<JobRef> {
    Ok(JobRef::new(row.queue()?, row.integer()?))
}

pub(crate) fn state(row: &mut Row) -> Result<QueuedState> {
    let word = row.text()?;
    QueuedState::from_word(&word).ok_or_else(|| makes_no_sense(format!("a job is in the state {word:?}")))
}

pub(crate) fn rules(row: &mut Row) -> Result<QueueRules> {
    parsed(&row.text()?)
}

/// What was kept as JSON.
pub(crate) fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| makes_no_sense(error.to_string()))
}

pub(crate) fn json(text: &str) -> Result<Json> {
    parsed(text)
}

/// What a holder or an attempt says of whom, as `{speakers}` reads it.
pub(crate) fn spoken(speaker: &Speaker) -> Json {
    let job = speaker.job();
    let (attempt, holder) = match speaker {
        Speaker::Attempt(token) => (Some(token.attempt), None),
        Speaker::Holder { name, .. } => (None, Some(hexadecimal(name.as_bytes()))),
    };
    serde_json::json!([job.queue.as_str(), job.id, attempt, holder])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
