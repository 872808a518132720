//! The log of an attempt as server-sent events: `entry`, `output`, `rewritten`, `ended`, and at last `end` or `error`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jobwright_model::JobRef;
use serde::Deserialize;

use super::follower::{Follower, Told};
use super::{OfJob, Queues};
use crate::api::Api;
use crate::extract::{Asked, flag};
use crate::places::Place;
use crate::refusal::Refusal;
use crate::schema;

/// What of the log is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogQuery {
    attempt: Option<u32>,
    #[serde(default, deserialize_with = "flag")]
    follow: bool,
}

/// The log of an attempt, as events: `entry` when a command began, `output` when it printed, `rewritten` when what was told of its output holds no
/// more and is told anew, `ended` when it ended; at last `end` with the attempt's state, or `error`.
#[utoipa::path(get, path = "/api/v1/queues/{queue}/jobs/{id}/logs", tag = "queues", params(schema::PathJob, schema::JobLogQuery), responses(
    (status = 200, description = "The events.", body = schema::JobLogEvent, content_type = "text/event-stream"),
    (status = "default", description = "An error: `no_queues`, `no_queue`, `no_job`, `no_attempt`, `invalid_query`, `too_many_waiting`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn get_job_logs(
    State(api): State<Api>,
    queues: Queues,
    OfJob(job): OfJob,
    Asked(query): Asked<LogQuery>,
) -> Result<Response, Refusal> {
    let place = if query.follow { Some(api.waits.take()?) } else { None };
    let Some(kept) = queues.store().job(&job).await? else { return Err(queues.lacks(&job).await) };
    let attempt = attempt(&job, query.attempt, kept.attempt)?;
    let keep_alive = KeepAlive::new().interval(api.keep_alive);
    let follower = Follower::new(Arc::clone(&queues.shared.store), job, attempt, query.follow);
    let events = stream::unfold(Some((follower, place)), move |reading| next(api.clone(), reading));
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// The attempt that was asked for, else the latest; none when there was none yet.
fn attempt(job: &JobRef, wanted: Option<u32>, latest: u32) -> Result<Option<u32>, Refusal> {
    match wanted {
        None => Ok(Some(latest).filter(|latest| *latest > 0)),
        Some(attempt) if (1..=latest).contains(&attempt) => Ok(Some(attempt)),
        Some(attempt) => {
            let had = match latest {
                0 => "it has had none yet".to_owned(),
                latest => format!("its latest is {latest}"),
            };
            let message = format!("{job} has no attempt {attempt}; {had}");
            Err(Refusal::new(StatusCode::NOT_FOUND, "no_attempt", message))
        }
    }
}

/// A log that is read, and the place that this has.
type Reading = (Follower, Option<Place>);

/// The next event; after `end` and `error` there is none.
async fn next(api: Api, reading: Option<Reading>) -> Option<(Result<Event, axum::Error>, Option<Reading>)> {
    let (mut follower, place) = reading?;
    let told = api.unless_closing(follower.next()).await.flatten();
    match told {
        Ok(told) => told.map(|told| (event(&told), Some((follower, place)))),
        Err(refusal) => Some((Event::default().event("error").json_data(refusal.answer()), None)),
    }
}

fn event(told: &Told) -> Result<Event, axum::Error> {
    match told {
        Told::Entry(data) => Event::default().event("entry").json_data(data),
        Told::Output(data) => Event::default().event("output").json_data(data),
        Told::Rewritten(data) => Event::default().event("rewritten").json_data(data),
        Told::Ended(data) => Event::default().event("ended").json_data(data),
        Told::End(data) => Event::default().event("end").json_data(data),
    }
}
