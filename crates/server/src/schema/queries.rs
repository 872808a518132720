//! What stands in paths, queries and headers.

use super::{ExecutionStatus, Id, IntoParams, QueuedState};

/// The execution.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct PathId {
    /// The execution's id.
    #[param(inline)]
    id: Id,
}

/// The queue.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct PathQueue {
    /// The queue's name.
    #[param(inline)]
    queue: Id,
}

/// The job.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct PathJob {
    /// The queue's name.
    #[param(inline)]
    queue: Id,
    /// The job's number in its queue: of `7-builds`, 7.
    id: i64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobsQuery {
    /// In one of these states; repeated, or with commas between them.
    #[param(inline, nullable = false)]
    state: Option<Vec<QueuedState>>,
    /// Of this tenant; empty for those of nobody in particular.
    #[param(nullable = false)]
    tenant: Option<String>,
    /// So many at most; 100 when nothing is said.
    #[param(minimum = 1, maximum = 1000, nullable = false)]
    limit: Option<u32>,
    /// Where the page before ended: its `next`.
    #[param(nullable = false)]
    after: Option<i64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobLogQuery {
    /// Which attempt; the latest when nothing is said.
    #[param(minimum = 1, nullable = false)]
    attempt: Option<u32>,
    /// Until the attempt ends, not only until the end of what there is; before the first attempt, from when it begins.
    #[param(inline)]
    follow: Option<Switch>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RemovalQuery {
    /// How long it has to end, in seconds; 30 when nothing is said.
    #[param(minimum = 0, maximum = 3600, nullable = false)]
    timeout: Option<f64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitQuery {
    /// How long to wait, in seconds; 30 when nothing is said.
    #[param(minimum = 0, maximum = 3600, nullable = false)]
    timeout: Option<f64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StatusQuery {
    /// Which status to wait for.
    #[param(inline)]
    until: Option<ExecutionStatus>,
    /// How long to wait for it, in seconds; 10 when nothing is said.
    #[param(minimum = 0, maximum = 3600, nullable = false)]
    timeout: Option<f64>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Until the execution ends, not only until the end of what there is.
    #[param(inline)]
    follow: Option<Switch>,
    /// From now on, without what was written before.
    #[param(inline)]
    tail: Option<Switch>,
    /// The job that the execution must be of.
    #[param(inline)]
    job: Option<Id>,
}

/// 1 or `true`, 0 or `false`.
#[derive(utoipa::ToSchema, serde::Deserialize)]
pub(crate) enum Switch {
    #[serde(rename = "0")]
    No,
    #[serde(rename = "1")]
    Yes,
    #[serde(rename = "false")]
    False,
    #[serde(rename = "true")]
    True,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct LogHeaders {
    /// One range of bytes; with neither `follow` nor `tail`, and not for events.
    #[param(rename = "range", nullable = false)]
    range: Option<String>,
    /// For events: where to go on, the id of the last event that was read.
    #[param(rename = "last-event-id", nullable = false)]
    last_event_id: Option<String>,
}
