//! Who may ask over TCP: whoever has the token, and under a name that is this server's. A page of another site whose name was made to
//! lead here (DNS rebinding) sends its own name, and is refused before anything else. A unix socket has no guard but its file's mode.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jobwright_model::is_loopback_host;

use crate::api::HEALTH;
use crate::ready::READY;
use crate::refusal::Refusal;
use crate::token::Token;

/// What is asked of every request over TCP.
pub(crate) struct Guard {
    pub(crate) token: Token,
    /// The names that are this server's beside those of the loopback.
    pub(crate) names: Vec<String>,
    /// Beginnings of paths behind which credentials of another kind are asked for.
    pub(crate) others: Vec<String>,
}

/// Lets a request through, or refuses it.
pub(crate) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.refusal(&request) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

impl Guard {
    fn refusal(&self, request: &Request) -> Option<Refusal> {
        if let Err(refusal) = self.is_for_us(request) {
            return Some(refusal);
        }
        let path = request.uri().path();
        let is_others = self.others.iter().any(|beginning| path.starts_with(beginning));
        if path == HEALTH || path == READY || is_others || self.token.is_in(request.headers()) {
            return None;
        }
        let message = "the access token is missing or wrong; send it as authorization: Bearer TOKEN";
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
        Some(refusal.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
    }

    /// Whether the name that was asked for is ours, and the page that asks, where one does, is of the same name and port.
    fn is_for_us(&self, request: &Request) -> Result<(), Refusal> {
        let headers = request.headers();
        let host = one(headers, HOST).and_then(|value| value.parse::<Authority>().ok());
        let other = |what: &str| {
            let names = self.names.iter().map(|name| format!(", {name}")).collect::<String>();
            let message =
                format!("{what} is not this server's; ask it as localhost, 127.0.0.1 or [::1]{names}");
            Refusal::new(StatusCode::FORBIDDEN, "forbidden_host", message)
        };
        let Some(host) = host.filter(|host| self.knows(host)) else {
            return Err(other("the name in the header host"));
        };
        if request.uri().authority().is_some_and(|authority| !self.knows(authority)) {
            return Err(other("the name in the request's address"));
        }
        if !headers.contains_key(ORIGIN) || one(headers, ORIGIN).is_some_and(|origin| same(origin, &host)) {
            return Ok(());
        }
        let message = "a page of another origin may not ask this server";
        Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden_origin", message))
    }

    fn knows(&self, authority: &Authority) -> bool {
        let host = authority.host();
        !authority.as_str().contains('@')
            && (is_loopback_host(host) || self.names.iter().any(|name| name.eq_ignore_ascii_case(host)))
    }
}

/// The value of a header that stands there exactly once.
fn one(headers: &HeaderMap, name: axum::http::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    value.to_str().ok()
}

/// Whether a page's origin is the server that it asks. Behind something that speaks TLS for us it is an `https` one.
fn same(origin: &str, host: &Authority) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
}
