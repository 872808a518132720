//! A loopback proxy through which git reads one repository of a job without ever seeing a secret (sourcegraph.md 1.7): it adds the headers that the
//! server wants, and passes nothing on but the reading of that repository. Not for what git is told to do.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use reqwest::header::HeaderMap;
use reqwest::{Body, Client, Url};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::Error;
use crate::http::chain;
use crate::queue::{OfJob, QueueClient};

/// Whose the reading is, in the words of the original.
const ACTOR: (&str, &str) = ("x-sourcegraph-actor-uid", "internal");
/// What of a request git's own protocol needs.
const PASSED_ON: [HeaderName; 6] = [
    ACCEPT,
    ACCEPT_ENCODING,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    USER_AGENT,
    HeaderName::from_static("git-protocol"),
];
/// And of an answer.
const PASSED_BACK: [HeaderName; 2] = [CONTENT_TYPE, CONTENT_ENCODING];
/// So many connections at once: git opens one or two.
const CONNECTIONS: usize = 16;

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

/// A proxy that lives as long as this value.
pub struct GitProxy {
    address: SocketAddr,
    /// The repository, as a path.
    prefix: String,
    _serving: AbortOnDropHandle<()>,
}

struct Passage {
    client: Client,
    /// The repository, at the server.
    upstream: Url,
    /// The same, as the path below which git asks here.
    prefix: String,
    headers: HeaderMap,
}

impl GitProxy {
    /// Opens a way to `repository`, and to nothing else, on behalf of a job.
    ///
    /// # Errors
    /// [`Error::Client`] when there is no port to be had; [`Error::Token`].
    pub async fn open(queue: &QueueClient, of: OfJob<'_>, repository: &str) -> Result<Self, Error> {
        let unopened = |error: std::io::Error| Error::Client(format!("no loopback port for git: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(unopened)?;
        let address = listener.local_addr().map_err(unopened)?;
        let upstream = queue.repository(repository)?;
        let mut headers = queue.of_job(of)?;
        headers.insert(HeaderName::from_static(ACTOR.0), reqwest::header::HeaderValue::from_static(ACTOR.1));
        // As git escapes it in what it asks for.
        let prefix = path_of(repository);
        let passage =
            Arc::new(Passage { client: queue.http().clone(), upstream, prefix: prefix.clone(), headers });
        let serving = AbortOnDropHandle::new(tokio::spawn(serve(listener, passage)));
        Ok(Self { address, prefix, _serving: serving })
    }

    /// What git is to fetch from.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.prefix)
    }
}

/// The repository's name as a URL's path.
fn path_of(repository: &str) -> String {
    let mut url = Url::parse("http://localhost").expect("it is one");
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(repository.split('/'));
    }
    url.path().to_owned()
}

async fn serve(listener: TcpListener, passage: Arc<Passage>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if connections.len() < CONNECTIONS {
                        connections.spawn(attend(stream, Arc::clone(&passage)));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection of git was not taken");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn attend(stream: TcpStream, passage: Arc<Passage>) {
    let service = service_fn(move |request| {
        let passage = Arc::clone(&passage);
        async move { Ok::<_, Infallible>(passage.pass(request).await) }
    });
    if let Err(error) =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    {
        tracing::debug!(%error, "a connection of git broke off");
    }
}

impl Passage {
    async fn pass(&self, request: Request<Incoming>) -> Answer {
        let Some(upstream) = self.upstream_of(&request) else {
            return said(StatusCode::FORBIDDEN, "this job reads its own repository only\n");
        };
        let mut headers = self.headers.clone();
        for name in PASSED_ON {
            if let Some(value) = request.headers().get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let method = request.method().clone();
        let body = Body::wrap(request.into_body());
        let sent = self.client.request(method, upstream).headers(headers).body(body).send();
        match sent.await {
            Ok(answer) => passed_back(answer),
            Err(error) => {
                let why = format!(
                    "the server of the repository cannot be reached: {}\n",
                    chain(&error.without_url())
                );
                said(StatusCode::BAD_GATEWAY, &why)
            }
        }
    }

    /// Where a request goes that reads the repository; none of any other.
    fn upstream_of(&self, request: &Request<Incoming>) -> Option<Url> {
        let rest = request.uri().path().strip_prefix(&self.prefix)?;
        let query = request.uri().query();
        match (request.method(), rest, query) {
            (&Method::GET, "/info/refs", Some("service=git-upload-pack"))
            | (&Method::POST, "/git-upload-pack", None) => {}
            _ => return None,
        }
        let mut upstream = self.upstream.clone();
        upstream.path_segments_mut().ok()?.extend(rest.trim_start_matches('/').split('/'));
        upstream.set_query(query);
        Some(upstream)
    }
}

fn passed_back(answer: reqwest::Response) -> Answer {
    let mut response = Response::builder().status(answer.status());
    for name in PASSED_BACK {
        if let Some(value) = answer.headers().get(&name) {
            response = response.header(name, value);
        }
    }
    let body = Body::from(answer).map_err(std::io::Error::other).boxed_unsync();
    response
        .body(body)
        .unwrap_or_else(|_| said(StatusCode::BAD_GATEWAY, "the server's answer cannot be passed on\n"))
}

fn said(status: StatusCode, text: &str) -> Answer {
    let body = Full::new(Bytes::from(text.to_owned())).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}
