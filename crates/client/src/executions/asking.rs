//! One request and its answer, within bounds of size and time. Not for streams, which have no end that could be waited for.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use jobwright_model::{ErrorAnswer, ExecutionId};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::ExecutionsClient;
use crate::Error;
use crate::http::chain;
use crate::json;

/// The largest answer in bytes: a list of some hundred thousand executions.
const MOST: usize = 64 << 20;
const JSON: &str = "application/json";

/// A request that is being made.
pub(super) struct Asked<'a> {
    client: &'a ExecutionsClient,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    /// How long the answer may take.
    limit: Duration,
}

impl ExecutionsClient {
    pub(super) fn ask(&self, method: Method, path: &str) -> Asked<'_> {
        let mut url = self.base.clone();
        url.set_path(&format!("api/v1/{path}"));
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(JSON))]);
        Asked { client: self, method, url, headers, body: Vec::new(), limit: self.limit }
    }

    /// Asks about one execution; `what` is what follows its id in the path.
    pub(super) fn of(&self, method: Method, id: &ExecutionId, what: &str) -> Asked<'_> {
        self.ask(method, &format!("executions/{id}{what}"))
    }
}

impl Asked<'_> {
    pub(super) fn query(mut self, name: &str, value: impl Display) -> Self {
        self.url.query_pairs_mut().append_pair(name, &value.to_string());
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    pub(super) fn body(mut self, body: &impl Serialize) -> Result<Self, Error> {
        self.body = serde_json::to_vec(body).map_err(|error| Error::Client(error.to_string()))?;
        Ok(self.header(CONTENT_TYPE, HeaderValue::from_static(JSON)))
    }

    /// So much longer than an answer that the server has at hand.
    pub(super) fn allowing(mut self, time: Duration) -> Self {
        self.limit = self.limit.saturating_add(time);
        self
    }

    /// A success without a body.
    pub(super) async fn nothing(self) -> Result<(), Error> {
        self.bounded_body().await.map(drop)
    }

    /// A success with a body.
    pub(super) async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let client = self.client;
        self.json_or_nothing().await?.ok_or_else(|| client.wrong("an answer with a body", "there is none"))
    }

    /// A success that may have no body.
    pub(super) async fn json_or_nothing<T: DeserializeOwned>(self) -> Result<Option<T>, Error> {
        let client = self.client;
        let Some(body) = self.bounded_body().await? else { return Ok(None) };
        json::parse(&body).map(Some).map_err(|reason| client.wrong("the JSON of its kind", reason))
    }

    async fn bounded_body(self) -> Result<Option<Vec<u8>>, Error> {
        let (client, limit) = (self.client, self.limit);
        client.within(limit, self.body_of_success()).await
    }

    /// The whole body of a success; none when it has none.
    async fn body_of_success(self) -> Result<Option<Vec<u8>>, Error> {
        let client = self.client;
        let answer = self.send().await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        client.read(answer).await.map(Some)
    }

    /// The answer as soon as its head is there, when it is a success.
    pub(super) async fn head(self) -> Result<Response, Error> {
        let (client, limit) = (self.client, self.limit);
        client.within(limit, self.send()).await
    }

    async fn send(self) -> Result<Response, Error> {
        let client = self.client;
        let mut request = client.client.request(self.method, self.url).headers(self.headers).body(self.body);
        if let Some(token) = &client.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(|error| client.unreachable(error))?;
        if answer.status().is_success() { Ok(answer) } else { Err(client.refusal(answer).await) }
    }
}

impl ExecutionsClient {
    /// What comes of it, when it comes in time.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        what: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let late = |_| Err(Error::TimedOut { server: self.server.clone(), limit });
        timeout(limit, what).await.unwrap_or_else(late)
    }

    async fn read(&self, mut answer: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.unreachable(error))? {
            if body.len() + piece.len() > MOST {
                return Err(
                    self.wrong("an answer of bearable size", format!("it is longer than {} MiB", MOST >> 20))
                );
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    async fn refusal(&self, answer: Response) -> Error {
        let status = answer.status();
        match self.read(answer).await.map(|body| json::parse::<ErrorAnswer>(&body)) {
            Err(error) => error,
            Ok(Ok(refusal)) => self.refused(status.as_u16(), refusal),
            Ok(Err(_)) => self.wrong("an error as Jobwright writes them", format!("its status is {status}")),
        }
    }

    pub(super) fn refused(&self, status: u16, answer: ErrorAnswer) -> Error {
        let ErrorAnswer { error, result } = answer;
        Error::Refused {
            server: self.server.clone(),
            status,
            code: error.code,
            message: error.message,
            result,
        }
    }

    pub(super) fn wrong(&self, wanted: &'static str, reason: impl Display) -> Error {
        Error::Answer { server: self.server.clone(), wanted, reason: reason.to_string() }
    }

    pub(super) fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::Unreachable { server: self.server.clone(), reason: chain(&error.without_url()) }
    }
}
