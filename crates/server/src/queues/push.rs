//! Taking jobs in: one or several, all of them or none, each looked at before any is kept.

use std::fmt::Display;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jobwright_model::{JobRef, NewJob, PushRequest, PushedJobs, QueueName};
use jobwright_queue::Payload;
use serde_json::Value;

use super::{OfQueue, Queues};
use crate::body::large_json;
use crate::extract::{Asked, Nothing};
use crate::refusal::Refusal;
use crate::schema;

/// The most bytes of a request's body: jobs have files in them.
const LARGEST: usize = 16 << 20;
/// The most jobs of one request: they are kept together, and meanwhile nothing else is.
const MOST: usize = 1000;
/// The longest name of a tenant in bytes, as a store has it.
const TENANT: usize = 1024;

/// Takes jobs in: one, or a list of at most 1,000. All of them or none; it goes on when the one who asked hangs up.
#[utoipa::path(post, path = "/api/v1/queues/{queue}/jobs", tag = "queues", params(schema::PathQueue), request_body = schema::PushBody, responses(
    (status = 201, description = "They were taken in.", body = schema::PushedJobs),
    (status = "default", description = "An error: `no_queues`, `no_queue`, `invalid`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn push_jobs(
    queues: Queues,
    OfQueue(queue): OfQueue,
    Asked(Nothing {}): Asked<Nothing>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<PushedJobs>), Refusal> {
    let (value, place) = large_json(&headers, body, LARGEST, &queues.shared.large).await?;
    queues.has(&queue).await?;
    let jobs = tokio::task::spawn_blocking(move || jobs(&queue, value)).await;
    let jobs = jobs.map_err(|_| Refusal::unforeseen("the queue"))??;
    let pushed = queues.carry(|store| async move {
        let _place = place;
        store.push(jobs, Timestamp::now()).await
    });
    let jobs = pushed.await?.iter().map(JobRef::to_string).collect();
    Ok((StatusCode::CREATED, Json(PushedJobs { jobs })))
}

/// The jobs that the body is, each checked.
fn jobs(queue: &QueueName, value: Value) -> Result<Vec<NewJob>, Refusal> {
    let Value::Array(values) = value else { return Ok(vec![job(queue, value, "")?]) };
    match values.len() {
        0 => return Err(Refusal::invalid("there is no job in the list; one at least is needed")),
        1..=MOST => {}
        count => {
            return Err(Refusal::invalid(format_args!(
                "the list has {count} jobs; {MOST} are taken at once, so send the others by another request"
            )));
        }
    }
    let each = values.into_iter().enumerate();
    each.map(|(index, value)| job(queue, value, &format!("[{index}]"))).collect()
}

/// One job; `place` is where in the body it is.
fn job(queue: &QueueName, value: Value, place: &str) -> Result<NewJob, Refusal> {
    let wrong = |within: &str, problem: &dyn Display| {
        let place = [place, within].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
        let colon = if place.is_empty() { "" } else { ": " };
        Refusal::invalid(format_args!("{place}{colon}{problem}"))
    };
    if !value.is_object() {
        return Err(wrong("", &"an object with payload is needed"));
    }
    let request: PushRequest = serde_path_to_error::deserialize(value).map_err(|error| {
        let within = error.path().to_string();
        let within = if within == "." { "" } else { within.as_str() };
        wrong(within, error.inner())
    })?;
    let length = request.tenant.len();
    if length > TENANT {
        return Err(wrong("tenant", &format_args!("it has {length} bytes, {TENANT} are the most")));
    }
    let payload = Payload::from_pushed(request.payload).map_err(|error| wrong("payload", &error))?;
    Ok(NewJob {
        queue: queue.clone(),
        tenant: request.tenant,
        priority: request.priority,
        process_after: request.process_after,
        payload: payload.to_stored(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let good = json!({"payload": {"dockerSteps": [{"image": "alpine"}]}});
        let queue = QueueName::new("builds").unwrap();
        let told = |value: Value| jobs(&queue, value).unwrap_err().to_string();
        for (value, expected) in [
            (json!([]), "there is no job in the list"),
            (json!(3), "an object with payload is needed"),
            (json!([good, []]), "[1]: an object with payload is needed"),
            (json!({}), "missing field `payload`"),
            (
                json!([good, {"payload": {}}]),
                "[1].payload: the job is not usable: dockerSteps: there is nothing to do",
            ),
            (json!({"payload": {}, "priority": "high"}), "priority: invalid type"),
            (json!({"payload": {}, "prio": 1}), "unknown field `prio`"),
            (json!({"payload": {}, "process_after": "tomorrow"}), "process_after: "),
            (
                json!({"payload": {}, "tenant": "x".repeat(1025)}),
                "tenant: it has 1025 bytes, 1024 are the most",
            ),
            (json!(vec![good.clone(); 1001]), "the list has 1001 jobs; 1000 are taken at once"),
        ] {
            let told = told(value);
            assert!(told.starts_with("invalid request: ") && told.contains(expected), "{told}");
        }
        assert_eq!(jobs(&queue, json!([good, good])).unwrap().len(), 2);
        assert_eq!(jobs(&queue, good).unwrap().len(), 1);
    }
}
