//! Queues over HTTP for people and programs: the routes below `/api/v1/queues`. Which queue or job a path names, and that there is one. Not for
//! executors, who have an interface of their own (`queue_api`), nor for what a queue does (`store`).

pub(crate) mod all;
mod follower;
pub(crate) mod jobs;
mod listing;
pub(crate) mod logs;
pub(crate) mod push;

use std::future::Future;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use jobwright_model::{JobRef, QueueName};
use jobwright_store::{QueueStore, Result as StoreResult};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_util::task::TaskTracker;

use crate::api::Api;
use crate::queue_api::Shared;
use crate::refusal::Refusal;

/// The queues that a server has.
#[derive(Clone)]
pub(crate) struct Queues {
    pub(crate) shared: Arc<Shared>,
    carried: TaskTracker,
}

impl Queues {
    /// Those of this server.
    pub(crate) fn of(api: &Api) -> Result<Self, Refusal> {
        let Some(shared) = &api.queues else {
            let message =
                "this server has no queues; start it with the queues that it is to have, or ask another one";
            return Err(Refusal::new(StatusCode::NOT_FOUND, "no_queues", message));
        };
        Ok(Self { shared: Arc::clone(shared), carried: api.carried.clone() })
    }

    pub(crate) fn store(&self) -> &dyn QueueStore {
        &*self.shared.store
    }

    /// Does it to its end, whether or not the one who asked is still there.
    async fn carry<T, F>(&self, what: impl FnOnce(Arc<dyn QueueStore>) -> F + Send) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = StoreResult<T>> + Send + 'static,
    {
        let outcome = self.carried.spawn(what(Arc::clone(&self.shared.store))).await;
        Ok(outcome.map_err(|_| Refusal::unforeseen("the queue"))??)
    }

    /// That there is such a queue.
    async fn has(&self, queue: &QueueName) -> Result<(), Refusal> {
        if self.shared.names.has(queue).await? { Ok(()) } else { Err(no_queue(queue)) }
    }

    /// Why there is no such job.
    async fn lacks(&self, job: &JobRef) -> Refusal {
        match self.has(&job.queue).await {
            Ok(()) => Refusal::new(StatusCode::NOT_FOUND, "no_job", format!("there is no job {job}")),
            Err(refusal) => refusal,
        }
    }
}

fn no_queue(queue: &QueueName) -> Refusal {
    Refusal::from(jobwright_store::Error::NoQueue(queue.clone()))
}

impl FromRequestParts<Api> for Queues {
    type Rejection = Refusal;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        Self::of(api)
    }
}

/// The queue that the path names; whether there is one is not said yet.
pub(crate) struct OfQueue(pub(crate) QueueName);

/// The job that the path names; whether there is one is not said yet.
pub(crate) struct OfJob(pub(crate) JobRef);

#[derive(Deserialize)]
struct QueuePath {
    queue: String,
}

#[derive(Deserialize)]
struct JobPath {
    queue: String,
    id: String,
}

async fn path<T: DeserializeOwned + Send>(parts: &mut Parts, api: &Api) -> Result<T, Refusal> {
    let Path(path) = Path::<T>::from_request_parts(parts, api).await.map_err(|error| {
        Refusal::bad("invalid_id", format!("the path is not usable: {}", error.body_text()))
    })?;
    Ok(path)
}

fn queue_name(text: String) -> Result<QueueName, Refusal> {
    QueueName::new(text).map_err(|error| Refusal::bad("invalid_id", error.to_string()))
}

impl FromRequestParts<Api> for OfQueue {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let QueuePath { queue } = path(parts, api).await?;
        queue_name(queue).map(Self)
    }
}

impl FromRequestParts<Api> for OfJob {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let JobPath { queue, id } = path(parts, api).await?;
        let queue = queue_name(queue)?;
        let Ok(number) = id.parse::<i64>() else {
            let message = format!("{id:?} is not the number of a job; of 7-{queue} it is 7");
            return Err(Refusal::bad("invalid_id", message));
        };
        Ok(Self(JobRef::new(queue, number)))
    }
}
