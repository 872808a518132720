//! Every answer that is no success, in the three forms of the original: text, JSON with `error`, and `null`.

use axum::Json;
use axum::http::header::WWW_AUTHENTICATE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jobwright_queue::wire::Malformed;
use jobwright_store::Error as StoreError;
use serde_json::{Value, json};

use crate::body::Unread;
use crate::refusal::Refusal;

/// Why an executor does not get what it asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    said: Said,
    /// It is asked for a name and a password.
    challenge: bool,
}

#[derive(Debug)]
enum Said {
    Text(String),
    Error(String),
    Null,
}

impl Failure {
    pub(crate) fn text(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, said: Said::Text(message.into()), challenge: false }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::text(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::text(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::text(StatusCode::UNAUTHORIZED, message)
    }

    /// What a handler of the original fails with: 500.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            said: Said::Error(message.into()),
            challenge: false,
        }
    }

    /// Nothing may be said of that job by whoever said it.
    pub(crate) fn unknown_job() -> Self {
        Self::error("unknown job")
    }

    /// There is no such job for whoever says that it has ended.
    pub(crate) fn not_held() -> Self {
        Self { status: StatusCode::NOT_FOUND, said: Said::Null, challenge: false }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::text(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn no_queue(name: &str) -> Self {
        let name: String = name.chars().take(128).collect();
        Self::not_found(format!("there is no queue {name:?}"))
    }

    /// Git and early executors send a name and a password only when they are asked so.
    pub(crate) fn challenging(mut self, challenge: bool) -> Self {
        self.challenge = challenge;
        self
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::bad(format!("Failed to unmarshal payload: {malformed}"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::warn!("an executor could not be served: {error}");
        Self::error(error.to_string())
    }
}

impl From<Unread> for Failure {
    fn from(unread: Unread) -> Self {
        let status = match unread {
            Unread::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Unread::Broken(_) => StatusCode::BAD_REQUEST,
            Unread::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        };
        Self::text(status, Refusal::from(unread).to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        // Most of these are an executor's own doing, which must not fill the log; what is the server's was told where it came up.
        tracing::debug!(status = self.status.as_u16(), "an executor was answered: {:?}", self.said);
        let mut response = match self.said {
            Said::Text(text) => (self.status, text + "\n").into_response(),
            Said::Error(error) => (self.status, Json(json!({"error": error}))).into_response(),
            Said::Null => (self.status, Json(Value::Null)).into_response(),
        };
        if self.challenge {
            let basic = HeaderValue::from_static("Basic realm=\"Sourcegraph\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, basic);
        }
        response
    }
}
