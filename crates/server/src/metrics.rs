//! `/metrics`: what the queues hold and what their agents tell of themselves, in Prometheus' text format. Not for how agents tell it
//! (`queue_api::heartbeat`).

mod families;
mod pushed;

use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use jiff::Timestamp;
use jobwright_model::QueuedState;
use jobwright_store::QueueSummary;

use crate::extract::{Asked, Nothing};
use crate::queues::Queues;
use crate::refusal::Refusal;
use crate::schema;

use families::{Families, Kind, sample};

/// The text format, as those who collect want it named.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the queues hold, and what their agents told of themselves in the last 30 seconds, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "server", responses(
    (status = 200, description = "Prometheus' text format.", body = String, content_type = "text/plain"),
    (status = "default", description = "An error: `no_queues`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn get_metrics(
    queues: Queues,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<impl IntoResponse, Refusal> {
    let now = Timestamp::now();
    let summaries = queues.store().queues(now).await?;
    let agents = queues.shared.metrics.current();
    // What many agents tell is much text, and is read where it keeps nobody else waiting.
    let text = tokio::task::spawn_blocking(move || text(&summaries, &agents, now)).await;
    let text = text.map_err(|_| Refusal::unforeseen("the server"))?;
    Ok(([(CONTENT_TYPE, FORMAT)], text))
}

fn text(queues: &[QueueSummary], agents: &[(String, Arc<str>)], now: Timestamp) -> String {
    let mut families = Families::default();
    own(&mut families, queues, now);
    for (agent, text) in agents {
        let unread = pushed::add(&mut families, agent, text);
        if unread > 0 {
            tracing::debug!(agent, unread, "lines of the agent's metrics are not passed on");
        }
    }
    families.text()
}

/// What the server itself knows. `src_executor_total` is what autoscalers of executors look at (sourcegraph.md 6).
fn own(families: &mut Families, queues: &[QueueSummary], now: Timestamp) {
    let each = |family: &'static str, value: fn(&QueueSummary, Timestamp) -> f64| {
        let lines = queues.iter().map(move |queue| {
            sample(family, &[("queue", queue.queue.as_str())], &value(queue, now).to_string())
        });
        lines.collect::<String>()
    };
    let jobs = queues.iter().flat_map(|queue| {
        let name = queue.queue.as_str();
        queue.counts.iter().map(move |(state, count)| {
            let labels = [("queue", name), ("state", state.as_str())];
            sample("jobwright_queue_jobs", &labels, &count.to_string())
        })
    });
    families.own(
        "src_executor_total",
        Kind::Gauge,
        "How many jobs of the queue wait.",
        each("src_executor_total", |queue, _| waiting(queue)),
    );
    families.own(
        "jobwright_queue_jobs",
        Kind::Gauge,
        "How many jobs of the queue are in the state.",
        jobs.collect(),
    );
    families.own(
        "jobwright_queue_stale_writes_total",
        Kind::Counter,
        "How many writes came from those who did not hold what they wrote of.",
        each("jobwright_queue_stale_writes_total", |queue, _| queue.stale_writes as f64),
    );
    families.own(
        "jobwright_queue_oldest_due_seconds",
        Kind::Gauge,
        "For how long the job that is due longest has been so; 0 when none is.",
        each("jobwright_queue_oldest_due_seconds", overdue),
    );
}

fn waiting(queue: &QueueSummary) -> f64 {
    let queued = queue.counts.iter().filter(|(state, _)| *state == QueuedState::Queued);
    queued.map(|(_, count)| *count as f64).sum()
}

fn overdue(queue: &QueueSummary, now: Timestamp) -> f64 {
    queue.oldest_due.map_or(0.0, |since| now.duration_since(since).as_secs_f64().max(0.0))
}
