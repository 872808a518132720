//! Whether this server can do its work: it is asked without a token, by whatever sends requests on to several servers.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::api::Api;
use crate::queue_api::Shared;
use crate::refusal::Refusal;
use crate::schema;

/// The route, which asks for no token.
pub(crate) const READY: &str = "/readyz";
/// How long the store may take.
const LIMIT: Duration = Duration::from_secs(1);
/// How long its answer is good: whoever asks without a token must not keep it busy.
const GOOD: Duration = Duration::from_millis(250);

/// When the store last answered. One asks, and the others wait for what comes of it.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<Instant>>);

impl Readiness {
    async fn ask(&self, queues: &Shared) -> Result<(), Refusal> {
        let mut answered = self.0.lock().await;
        if answered.is_none_or(|at| at.elapsed() > GOOD) {
            // The least that a store can be asked: nobody has this token.
            queues.store.attempt_of_token(&[0; 32]).await.map_err(|error| not_ready(&error))?;
            *answered = Some(Instant::now());
        }
        Ok(())
    }
}

fn not_ready(why: &dyn std::fmt::Display) -> Refusal {
    // Why is for the log alone: nobody had to show a token.
    tracing::warn!("the store of the queues does not answer: {why}");
    let message = "the store of the queues does not answer; ask again";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message)
}

/// Whether the server can do its work: what keeps the queues, where there are any, answers within a second. Asks for no token and tells nothing else.
#[utoipa::path(get, path = READY, tag = "server", security(()), responses(
    (status = 200, description = "It can.", body = String),
    (status = 503, description = "It cannot now: `not_ready`, `shutting_down`.", body = schema::ErrorAnswer),
))]
pub(crate) async fn ready(State(api): State<Api>) -> Result<&'static str, Refusal> {
    if api.closing.is_cancelled() {
        return Err(Refusal::shutting_down());
    }
    if let Some(queues) = &api.queues {
        let asked = timeout(LIMIT, queues.ready.ask(queues)).await;
        asked.map_err(|_| not_ready(&"it took more than a second"))??;
    }
    Ok("ready\n")
}
