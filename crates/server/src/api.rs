//! The routes, what they share, and what is said where there is none.

use std::future::Future;
use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use axum::{Router, middleware};
use jobwright_executor::{Executor, Result as ExecutorResult};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::places::Waits;
use crate::queue_api::Shared;
use crate::refusal::Refusal;
use crate::{exec, executions, logs, metrics, openapi, queues, ready};

/// A route that asks for no token.
pub(crate) const HEALTH: &str = "/healthz";

/// What every handler has.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) executor: Arc<dyn Executor>,
    /// Set when the server is to end: what waits stops waiting.
    pub(crate) closing: CancellationToken,
    /// What was begun for somebody and is carried to its end when they hang up.
    pub(crate) carried: TaskTracker,
    /// The places of the door that this is asked at for requests that wait.
    pub(crate) waits: Waits,
    /// How long what is being done has to end when the server is to end.
    pub(crate) grace: std::time::Duration,
    /// How often an event stream without events says that it is still there.
    pub(crate) keep_alive: std::time::Duration,
    /// The queues, where there are any.
    pub(crate) queues: Option<Arc<Shared>>,
}

impl Api {
    /// Does it to its end, whether or not the one who asked is still there: half of a start or of a removal is nobody's wish.
    pub(crate) async fn carry<T, F>(
        &self,
        what: impl FnOnce(Arc<dyn Executor>) -> F + Send,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = ExecutorResult<T>> + Send + 'static,
    {
        let outcome = self.carried.spawn(what(Arc::clone(&self.executor))).await;
        Ok(outcome.map_err(|_| Refusal::unforeseen("the executor"))??)
    }

    /// Waits, but not when the server is to end.
    pub(crate) async fn unless_closing<F: Future>(&self, what: F) -> Result<F::Output, Refusal> {
        tokio::select! {
            output = what => Ok(output),
            () = self.closing.cancelled() => Err(Refusal::shutting_down()),
        }
    }
}

/// Everything that can be asked, and its description.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(health))
        .routes(routes!(ready::ready))
        .routes(routes!(metrics::get_metrics))
        .routes(routes!(openapi::get_openapi))
        .routes(routes!(executions::get_executor))
        .routes(routes!(executions::start, executions::list, executions::cleanup))
        .routes(routes!(executions::get_info, executions::remove))
        .routes(routes!(executions::get_status))
        .routes(routes!(executions::wait))
        .routes(routes!(executions::cancel))
        .routes(routes!(executions::pause))
        .routes(routes!(executions::resume))
        .routes(routes!(exec::exec))
        .routes(routes!(executions::stats))
        .routes(routes!(executions::get_net_info))
        .routes(routes!(logs::get_logs))
        .routes(routes!(queues::all::list_queues))
        .routes(routes!(queues::all::put_queue))
        .routes(routes!(queues::all::pause_queue))
        .routes(routes!(queues::all::resume_queue))
        .routes(routes!(queues::push::push_jobs, queues::jobs::list_jobs))
        .routes(routes!(queues::jobs::get_job))
        .routes(routes!(queues::jobs::cancel_job))
        .routes(routes!(queues::jobs::retry_job))
        .routes(routes!(queues::logs::get_job_logs))
}

/// The same, ready to serve, with the routes of executors where there are queues. Those are not in the description: whoever asks them knows them.
pub(crate) fn router(api: Api, queues: Option<Router<Api>>) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .merge(queues.unwrap_or_default())
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::map_response(as_it_is))
        .with_state(api)
}

/// Whether the server lives. Asks for no token and tells nothing else.
#[utoipa::path(get, path = HEALTH, tag = "server", security(()), responses((status = 200, description = "It lives.", body = String)))]
async fn health() -> &'static str {
    "ok\n"
}

async fn no_route(uri: Uri) -> Refusal {
    let message = format!("there is nothing at {}; GET /api/v1/openapi.json tells what there is", uri.path());
    Refusal::new(StatusCode::NOT_FOUND, "no_route", message)
}

async fn no_method(method: Method, uri: Uri) -> Refusal {
    let message = format!("{} cannot be asked with {method}; the header allow says with what", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "no_method", message)
}

/// No cache keeps an answer, and no browser takes output for something else than it is said to be.
async fn as_it_is(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
