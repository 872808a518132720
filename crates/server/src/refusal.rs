//! Every answer that is no success: a status, a code for programs and a sentence for people, in one JSON shape. Not for why a server
//! cannot listen, which is `error`.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jobwright_backend::Error as BackendError;
use jobwright_executor::Error as ExecutorError;
use jobwright_model::{ErrorAnswer, ErrorText, ExecutionResult};
use jobwright_store::Error as StoreError;

/// Why a request is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    result: Option<Box<ExecutionResult>>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), result: None, header: None }
    }

    /// The request itself is wrong: its path, its query, a header or the form of its body.
    pub(crate) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// The server is about to end.
    pub(crate) fn shutting_down() -> Self {
        let message = "the server is shutting down; ask again when it is back";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", message)
    }

    /// A request's body has the right form, and says something that cannot be.
    pub(crate) fn invalid(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", format!("invalid request: {what}"))
    }

    /// Something failed that has no way to fail.
    pub(crate) fn unforeseen(who: &str) -> Self {
        let message = format!("{who} failed at it in a way that it did not foresee");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// The body.
    pub(crate) fn answer(self) -> ErrorAnswer {
        let error = ErrorText { code: self.code.to_owned(), message: self.message };
        ErrorAnswer { error, result: self.result }
    }
}

impl IntoResponse for Refusal {
    fn into_response(mut self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), code = self.code, "{}", self.message);
        }
        let (status, header) = (self.status, self.header.take());
        let mut response = (status, Json(self.answer())).into_response();
        response.headers_mut().extend(header.map(|header| *header));
        response
    }
}

impl From<ExecutorError> for Refusal {
    fn from(error: ExecutorError) -> Self {
        let (status, code) = kind(&error);
        let message = error.to_string();
        let result = match error {
            ExecutorError::AlreadyConcluded { result, .. } => Some(result),
            _ => None,
        };
        Self { status, code, message, result, header: None }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let (status, code) = match error {
            StoreError::NoQueue(_) => (StatusCode::NOT_FOUND, "no_queue"),
            // Not 503, after which some ask again by themselves: what was begun may have been done.
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "store"),
        };
        Self::new(status, code, error.to_string())
    }
}

/// The status and the code of an executor's error. A code is never given another meaning.
fn kind(error: &ExecutorError) -> (StatusCode, &'static str) {
    match error {
        ExecutorError::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
        ExecutorError::AlreadyStarted(_) => (StatusCode::CONFLICT, "already_started"),
        ExecutorError::AlreadyCompleted(_) => (StatusCode::CONFLICT, "already_completed"),
        ExecutorError::AlreadyConcluded { .. } => (StatusCode::CONFLICT, "already_concluded"),
        ExecutorError::OtherJob { .. } => (StatusCode::CONFLICT, "other_job"),
        ExecutorError::WrongStatus { .. } => (StatusCode::CONFLICT, "wrong_status"),
        ExecutorError::DidNotReach { .. } => (StatusCode::CONFLICT, "did_not_reach"),
        ExecutorError::LogsExpired(_) => (StatusCode::GONE, "logs_expired"),
        ExecutorError::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        ExecutorError::UnknownEngine { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unknown_engine"),
        ExecutorError::Unsupported { .. } => (StatusCode::NOT_IMPLEMENTED, "unsupported"),
        ExecutorError::Backend(BackendError::EngineGone { .. }) => {
            (StatusCode::SERVICE_UNAVAILABLE, "engine_gone")
        }
        ExecutorError::Backend(_) => (StatusCode::INTERNAL_SERVER_ERROR, "backend"),
        ExecutorError::Store { .. } | ExecutorError::Damaged(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "store")
        }
        ExecutorError::Several(_) => (StatusCode::INTERNAL_SERVER_ERROR, "several"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}
