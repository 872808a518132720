//! Queues over HTTP as executors of Sourcegraph ask for them, of every age (`reference/sourcegraph.md` 1): the routes below `/.executors/`, with
//! their statuses, their bodies and their ways to sign on.
//!
//! Not for what is said (`queue`), nor for what a queue does with it (`store`). Not for Jobwright's own questions about queues.

mod access;
mod bodies;
mod dequeue;
mod failure;
mod files;
mod git;
mod heartbeat;
mod logs;
mod marks;
mod metrics;
mod names;
mod settings;
mod shared;
mod stalled;

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use jobwright_model::QueueName;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::places::Waits;

use access::Caller;
use failure::Failure;

pub use metrics::AgentMetrics;
pub use settings::{InvalidQueueApi, QueueApi};
pub(crate) use shared::Shared;

/// The beginning of all paths.
const ROOT: &str = "/.executors/";

/// What every handler has.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) shared: Arc<Shared>,
    /// What was begun for somebody and is carried to its end when they hang up.
    pub(crate) carried: TaskTracker,
    /// The places of the door that this is asked at for requests that last.
    pub(crate) waits: Waits,
    /// The server is to end.
    pub(crate) closing: CancellationToken,
}

impl Desk {
    /// The routes, with and without the path before them.
    pub(crate) fn routes<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let routes = Router::new()
            .route("/.executors/test/auth", get(test_auth))
            .route("/.executors/queue/dequeue", post(dequeue::of_several))
            .route("/.executors/queue/heartbeat", post(heartbeat::of_several))
            .route("/.executors/queue/{queue}/dequeue", post(dequeue::of_one))
            .route("/.executors/queue/{queue}/heartbeat", post(heartbeat::of_one))
            .route("/.executors/queue/{queue}/addExecutionLogEntry", post(logs::add))
            .route("/.executors/queue/{queue}/updateExecutionLogEntry", post(logs::update))
            .route("/.executors/queue/{queue}/markComplete", post(marks::complete))
            .route("/.executors/queue/{queue}/markErrored", post(marks::errored))
            .route("/.executors/queue/{queue}/markFailed", post(marks::failed))
            .route("/.executors/queue/{queue}/canceled", post(marks::canceled))
            .route("/.executors/queue/{queue}/canceledJobs", post(marks::canceled))
            .route("/.executors/files/batch-changes/{spec}/{file}", get(files::get))
            .route("/.executors/git/{*path}", get(git::info_refs).post(git::upload_pack));
        let base = self.shared.base_path.clone();
        let all = if base.is_empty() { routes } else { routes.clone().nest(&base, routes) };
        all.with_state(self)
    }

    /// Does it to its end, whether or not the one who asked is still there.
    async fn carry<T: Send + 'static>(
        &self,
        what: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let failed = |_| Failure::error("the queue failed at it in a way that it did not foresee");
        self.carried.spawn(what).await.map_err(failed)?
    }

    /// Who asks for something of an executor, not of a job.
    fn executor(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        self.shared.access.executor(headers)
    }

    /// The queue that the path names, when there is one of that name.
    async fn queue(&self, name: &str) -> Result<QueueName, Failure> {
        let queue = QueueName::new(name).map_err(|_| Failure::no_queue(name))?;
        if self.shared.names.has(&queue).await? { Ok(queue) } else { Err(Failure::no_queue(name)) }
    }

    /// Who asks for something of a job of that queue, and the queue.
    async fn job(&self, headers: &HeaderMap, name: &str) -> Result<(Caller, QueueName), Failure> {
        let queue = QueueName::new(name).ok();
        let caller = self
            .shared
            .access
            .job(&*self.shared.store, headers, access::Wanted::Queue(queue.as_ref()))
            .await?;
        Ok((caller, self.queue(name).await?))
    }
}

/// Whether the credentials are right.
async fn test_auth(State(desk): State<Desk>, headers: HeaderMap) -> Result<&'static str, Failure> {
    desk.executor(&headers).map(|_| "ok")
}
