//! What is said between a queue and its agents, as JSON (sourcegraph.md 1 to 3). Each type reads every form that an executor or a queue of
//! Sourcegraph has written since 2020, and says which forms it writes.
//!
//! As the original's language reads JSON: unknown keys are left alone, the case of a key does not matter, and what is `null` or missing is empty.

mod dequeue;
mod encode;
mod fields;
mod heartbeat;
mod job;
mod log;
mod malformed;
mod mark;
mod version;

pub use dequeue::DequeueRequest;
pub use encode::Unencodable;
pub(crate) use encode::stored;
pub(crate) use fields::{Fields, text};
pub use heartbeat::{HeartbeatAnswer, HeartbeatRequest, QueueJobs, known_ids};
pub use job::Job;
pub use log::{
    AddExecutionLogEntryRequest, ExecutionLogEntry, LogForm, UpdateExecutionLogEntryRequest, entry_id,
};
pub use malformed::Malformed;
pub use mark::{CanceledRequest, MarkCompleteRequest, MarkErroredRequest, canceled_ids};
pub use version::{JobForm, UnknownVersion};

/// The moment that stands for none: the zero time of the original's language.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Plain data with text for keys: writing it as JSON has no way to fail.
fn written(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
