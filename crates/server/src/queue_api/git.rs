//! The repositories of jobs, fetched from another server under its own credentials: an executor sees neither those nor any repository but its job's.
//! Only what fetching needs is passed on (`info/refs` and `git-upload-pack`), streamed both ways within bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, USER_AGENT,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use jobwright_model::is_loopback_host;
use jobwright_queue::{Payload, check_repository};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use rustls::crypto::{CryptoProvider, ring};
use tokio::time::timeout;

use super::Desk;
use super::access::{Caller, Wanted};
use super::failure::Failure;
use crate::places::Place;

/// How long a connection may take to come about.
const CONNECTION: Duration = Duration::from_secs(10);
/// How long either side may be silent. A server that looks for what to send says in between that it still does.
const SILENCE: Duration = Duration::from_secs(300);
/// The most bytes of what an executor says it wants and has.
const WISHES: u64 = 64 << 20;
/// What only fetching asks for.
const SERVICE: &str = "service=git-upload-pack";
/// The header by which git says which version of its protocol it speaks.
const PROTOCOL: HeaderName = HeaderName::from_static("git-protocol");
/// What is passed on of a question, and of an answer.
const ASKED: [HeaderName; 7] =
    [ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, PROTOCOL, USER_AGENT];
const ANSWERED: [HeaderName; 3] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE];

/// The server that has the repositories.
pub(crate) struct Upstream {
    base: Url,
    client: Client,
}

impl Upstream {
    /// The one at that URL, or why it cannot be; the URL is not repeated.
    pub(crate) fn new(base: Url) -> Result<Self, String> {
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err("it is neither of http nor of https".into());
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err("it has more than a path".into());
        }
        if CryptoProvider::get_default().is_none() {
            // Whoever was faster has installed one too, which is as good.
            let _ = ring::default_provider().install_default();
        }
        // A redirection could lead anywhere, and credentials would go along.
        let client =
            Client::builder().redirect(Policy::none()).connect_timeout(CONNECTION).read_timeout(SILENCE);
        let is_here = base.host_str().is_some_and(is_loopback_host);
        let client = if is_here { client.no_proxy() } else { client };
        let client = client.build().map_err(|error| error.without_url().to_string())?;
        Ok(Self { base, client })
    }

    /// Where that part of a repository is.
    fn url(&self, repository: &str, part: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(repository.split('/')).extend(part);
        }
        url
    }
}

/// What there is to fetch.
pub(crate) async fn info_refs(
    State(desk): State<Desk>,
    method: Method,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let repository = path.strip_suffix("/info/refs");
    let (upstream, repository) = admit(&desk, &headers, repository).await?;
    if query.as_deref() != Some(SERVICE) || method != Method::GET {
        let message = format!("only fetching is served here: GET info/refs?{SERVICE}");
        return Err(Failure::forbidden(message));
    }
    let mut url = upstream.url(&repository, &["info", "refs"]);
    url.set_query(Some(SERVICE));
    let request = upstream.client.get(url).headers(only(&headers, &ASKED));
    pass(&desk, request).await
}

/// What is fetched.
pub(crate) async fn upload_pack(
    State(desk): State<Desk>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let repository = path.strip_suffix("/git-upload-pack");
    let (upstream, repository) = admit(&desk, &headers, repository).await?;
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > WISHES) {
        let message = format!("the body is larger than {WISHES} bytes");
        return Err(Failure::text(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    let request = upstream.client.post(upstream.url(&repository, &["git-upload-pack"]));
    let request = request.headers(only(&headers, &ASKED)).body(reqwest::Body::wrap_stream(bounded(body)));
    pass(&desk, request).await
}

/// Whether whoever asks may have that repository.
async fn admit<'a>(
    desk: &'a Desk,
    headers: &HeaderMap,
    repository: Option<&str>,
) -> Result<(&'a Upstream, String), Failure> {
    let shared = &desk.shared;
    let caller = shared.access.job(&*shared.store, headers, Wanted::Repository).await?;
    let absent = "there is nothing here but info/refs and git-upload-pack of a repository";
    let repository = repository.ok_or_else(|| Failure::not_found(absent))?;
    check_repository(repository).map_err(|error| Failure::bad(error.to_string()))?;
    if let Caller::Job { token, .. } = caller {
        let job = shared.store.job(&token.job).await?;
        let own =
            job.and_then(|job| Payload::from_stored(job.payload).ok()).map(|payload| payload.repository_name);
        if own.as_deref() != Some(repository) {
            return Err(Failure::forbidden("the token is of a job with another repository"));
        }
    }
    let upstream =
        shared.git.as_ref().ok_or_else(|| Failure::not_found("no repositories are served here"))?;
    Ok((upstream, repository.to_owned()))
}

/// The headers of these names.
fn only(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    names.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect()
}

/// A body that breaks off when it is too long or its sender is silent.
fn bounded(body: Body) -> impl Stream<Item = Result<Bytes, String>> + Send + 'static {
    stream::unfold((body.into_data_stream(), 0_u64), |(mut pieces, length)| async move {
        let piece = match timeout(SILENCE, pieces.next()).await {
            Err(_) => Err("the executor was silent for too long".to_owned()),
            Ok(None) => return None,
            Ok(Some(piece)) => piece.map_err(|error| error.to_string()),
        };
        let length = length + piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let piece = if length > WISHES { Err("the body is too large".to_owned()) } else { piece };
        Some((piece, (pieces, length)))
    })
}

/// Asks, and passes the answer on. A fetch may last, so it takes one of the places for that.
async fn pass(desk: &Desk, request: reqwest::RequestBuilder) -> Result<Response, Failure> {
    let place = desk
        .waits
        .take()
        .map_err(|refusal| Failure::text(StatusCode::SERVICE_UNAVAILABLE, refusal.to_string()))?;
    let gateway = |message: String| {
        tracing::warn!("a repository could not be fetched: {message}");
        Failure::text(StatusCode::BAD_GATEWAY, message)
    };
    let answer = request.send().await.map_err(|error| {
        gateway(format!("the server of the repositories does not answer: {}", chain(&error.without_url())))
    })?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err(Failure::not_found("there is no such repository")),
        // Its credentials are this server's business and not the executor's, who would send others.
        status => return Err(gateway(format!("the server of the repositories answers {}", status.as_u16()))),
    }
    let headers = only(answer.headers(), &ANSWERED);
    let body = Body::from_stream(held(answer.bytes_stream(), Arc::new(place)));
    Ok((StatusCode::OK, headers, body).into_response())
}

/// A stream that keeps a place until it ends.
fn held<T>(
    pieces: impl Stream<Item = T> + Send + 'static,
    place: Arc<Place>,
) -> impl Stream<Item = T> + Send + 'static {
    pieces.map(move |piece| {
        let _place = &place;
        piece
    })
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
