//! How a client is made, and one GET at a time, within bounds. Not for what is in an answer.

use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, StatusCode, Url};
use rustls::crypto::{CryptoProvider, ring};

use crate::Error;

/// How long a connection may take to come about.
const CONNECTION: Duration = Duration::from_secs(10);

/// A client that follows no redirection.
pub(crate) fn client() -> Result<Client, Error> {
    build(builder())
}

/// The same, before it is made.
pub(crate) fn builder() -> ClientBuilder {
    if CryptoProvider::get_default().is_none() {
        // Whoever was faster has installed one too, which is as good.
        let _ = ring::default_provider().install_default();
    }
    let agent = concat!("jobwright/", env!("CARGO_PKG_VERSION"));
    Client::builder().redirect(Policy::none()).connect_timeout(CONNECTION).user_agent(agent)
}

/// Makes it.
pub(crate) fn build(builder: ClientBuilder) -> Result<Client, Error> {
    builder.build().map_err(|error| Error::Client(chain(&error)))
}

/// What is asked of a server: its headers hold the secrets.
pub(crate) struct Asked<'a> {
    pub(crate) url: Url,
    /// The header that holds a token, and the token.
    pub(crate) token: (&'static str, &'a str),
    /// The most bytes that the answer may have.
    pub(crate) most: usize,
    /// What the answer should be, for people.
    pub(crate) wanted: &'static str,
    /// What a person may have to put right when the status is this one; empty when there is nothing to say.
    pub(crate) hint: fn(u16) -> &'static str,
}

/// The headers and the body of an answer with the status 200.
pub(crate) async fn get(client: &Client, asked: Asked<'_>) -> Result<(HeaderMap, Vec<u8>), Error> {
    let server = server(&asked.url);
    let mut token = HeaderValue::from_str(asked.token.1).map_err(|_| Error::Token)?;
    token.set_sensitive(true);
    let request = client.get(asked.url).header(ACCEPT, "application/json");
    let request = request.header(HeaderName::from_static(asked.token.0), token);
    let unreachable = |error: reqwest::Error| Error::Unreachable {
        server: server.clone(),
        reason: chain(&error.without_url()),
    };
    let mut answer = request.send().await.map_err(unreachable)?;
    if answer.status() != StatusCode::OK {
        let status = answer.status().as_u16();
        return Err(Error::Status { server, status, hint: (asked.hint)(status) });
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > asked.most {
            let reason = format!("it is longer than {} MiB", asked.most >> 20);
            return Err(Error::Answer { server, wanted: asked.wanted, reason });
        }
        body.extend_from_slice(&piece);
    }
    Ok((std::mem::take(answer.headers_mut()), body))
}

/// `https://host:port`, without credentials.
pub(crate) fn server(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// An error and what is behind it: alone it often says no more than that there was one.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(behind) = source {
        text = format!("{text}: {behind}");
        source = behind.source();
    }
    text
}
