//! The client of a queue: one of Sourcegraph's, of whatever age, or one of ours on the same wire (`reference/sourcegraph.md` 1). Not for when what is
//! asked, which is the agent's.

use std::time::Duration;

use jobwright_model::QueueName;
use jobwright_queue::wire::{
    AddExecutionLogEntryRequest, DequeueRequest, HeartbeatAnswer, HeartbeatRequest, Job, LogForm, Malformed,
    MarkCompleteRequest, MarkErroredRequest, UpdateExecutionLogEntryRequest, entry_id,
};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode, Url};
use tokio::time::timeout;

use crate::Error;
use crate::http::{self, chain};

/// The job's number, on everything that is said of it.
pub(crate) const JOB_ID: &str = "x-sourcegraph-job-id";
/// Who says it.
pub(crate) const EXECUTOR_NAME: &str = "x-sourcegraph-executor-name";
/// Below what everything lies.
const ROOT: &str = ".executors";

/// The largest answer: a job with all its files.
const LARGEST: usize = 256 << 20;
/// How long an answer may take; a server that has work for us may wait for it.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a file may take.
const FILE: Duration = Duration::from_secs(600);

/// How an agent is known to the server.
#[derive(Clone)]
pub enum ExecutorAuth {
    /// The secret that all agents share.
    Token(String),
    /// The form of before 2022.
    Basic {
        /// The user.
        username: String,
        /// The secret.
        password: String,
    },
}

/// Of which job is spoken.
#[derive(Debug, Clone, Copy)]
pub struct OfJob<'a> {
    /// Its queue.
    pub queue: &'a QueueName,
    /// Its number there.
    pub id: i64,
    /// Its token; empty from servers that give none.
    pub token: &'a str,
}

/// How an attempt is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark<'a> {
    /// `markComplete`.
    Complete,
    /// `markErrored`: it may be tried again.
    Errored(&'a str),
    /// `markFailed`: it may not.
    Failed(&'a str),
}

/// A client of the queues of one server, under one agent's name. Cheap to clone.
#[derive(Clone)]
pub struct QueueClient {
    client: Client,
    base: Url,
    auth: HeaderValue,
    name: String,
}

impl QueueClient {
    /// For the server at `base`, whose path is kept, as the agent `name`.
    ///
    /// # Errors
    /// [`Error::Address`] when `base` is no address of HTTP, or holds credentials; [`Error::Token`]; [`Error::Client`].
    pub fn new(base: &str, auth: &ExecutorAuth, name: impl Into<String>) -> Result<Self, Error> {
        let wrong =
            |reason: &str| Error::Address { address: without_credentials(base), reason: reason.to_owned() };
        let mut url = Url::parse(base).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("it begins with http:// or https:// and names a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("credentials in it would show in logs; give them apart"));
        }
        url.set_query(None);
        url.set_fragment(None);
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { client: http::client()?, base: url, auth: header(auth)?, name: name.into() })
    }

    /// The server, for messages: `scheme://host:port`.
    #[must_use]
    pub fn server(&self) -> String {
        http::server(&self.base)
    }

    /// The agent's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the git repository `name` is read through the server.
    pub(crate) fn repository(&self, name: &str) -> Result<Url, Error> {
        self.url(&format!("git/{name}"))
    }

    pub(crate) fn http(&self) -> &Client {
        &self.client
    }

    /// Whether the server takes the secret; servers of before 2023 do not know the question, and answer 404.
    ///
    /// # Errors
    /// [`Error::Status`] and those of every request.
    pub async fn test_auth(&self) -> Result<(), Error> {
        let request =
            self.client.request(Method::GET, self.url("test/auth")?).header(AUTHORIZATION, self.auth.clone());
        self.answer(request, ANSWER, "ok").await.map(drop)
    }

    /// Asks for a job: of `queue`, or of those that the request names. Waits up to `within` for one, where the server does.
    ///
    /// # Errors
    /// [`Error::Status`] for anything but a job or none, [`Error::Answer`] for a job that cannot be read.
    pub async fn dequeue(
        &self,
        queue: Option<&QueueName>,
        request: &DequeueRequest,
        within: Duration,
    ) -> Result<Option<Job>, Error> {
        let path = of_queue(queue, "dequeue");
        let mut post = self.post(&path, request.encode(), None)?;
        if !within.is_zero() {
            post = post.header("prefer", format!("wait={}", within.as_secs()));
        }
        let job = self.answer(post, ANSWER + within, "a job").await?;
        job.map(|body| Job::decode(&body).map_err(|error| self.unreadable("a job", &error))).transpose()
    }

    /// Says what is run; gives the ids that the server knows to be ours, and those whose end is wanted.
    ///
    /// # Errors
    /// Those of every request.
    pub async fn heartbeat(
        &self,
        queue: Option<&QueueName>,
        request: &HeartbeatRequest,
    ) -> Result<(Vec<String>, Vec<String>), Error> {
        let post = self.post(&of_queue(queue, "heartbeat"), request.encode(), None)?;
        let body = self.answer(post, ANSWER, "what is known").await?.unwrap_or_default();
        HeartbeatAnswer::decode(&body).map_err(|error| self.unreadable("what is known", &error))
    }

    /// Adds an entry to the job's log, and gives its number; none from a server that takes each entry once.
    ///
    /// # Errors
    /// [`Error::Status`] with 500 when the job is not ours any more.
    pub async fn add_log(
        &self,
        of: OfJob<'_>,
        request: &AddExecutionLogEntryRequest,
    ) -> Result<Option<i64>, Error> {
        let path = of_queue(Some(of.queue), "addExecutionLogEntry");
        let post = self.post(&path, request.encode(LogForm::Live), Some(of))?;
        let body = self.answer(post, ANSWER, "an entry's number").await?.unwrap_or_default();
        entry_id(&body).map_err(|error| self.unreadable("an entry's number", &error))
    }

    /// Says anew what an entry is.
    ///
    /// # Errors
    /// As [`add_log`](Self::add_log).
    pub async fn update_log(
        &self,
        of: OfJob<'_>,
        request: &UpdateExecutionLogEntryRequest,
    ) -> Result<(), Error> {
        let post =
            self.post(&of_queue(Some(of.queue), "updateExecutionLogEntry"), request.encode(), Some(of))?;
        self.answer(post, ANSWER, "nothing").await.map(drop)
    }

    /// Says how the attempt ended.
    ///
    /// # Errors
    /// [`Error::Status`] with 404 when the job is not ours any more.
    pub async fn mark(&self, of: OfJob<'_>, mark: Mark<'_>) -> Result<(), Error> {
        let executor_name = self.name.clone();
        let (verb, body) = match mark {
            Mark::Complete => ("markComplete", MarkCompleteRequest { executor_name, job_id: of.id }.encode()),
            Mark::Errored(why) | Mark::Failed(why) => {
                let request =
                    MarkErroredRequest { executor_name, job_id: of.id, error_message: why.to_owned() };
                (
                    if matches!(mark, Mark::Errored(_)) { "markErrored" } else { "markFailed" },
                    request.encode(),
                )
            }
        };
        let post = self.post(&of_queue(Some(of.queue), verb), body, Some(of))?;
        self.answer(post, ANSWER, "nothing").await.map(drop)
    }

    /// A file of the job that lies with the server.
    ///
    /// # Errors
    /// [`Error::Status`] when it is not there or not this job's.
    pub async fn file(&self, of: OfJob<'_>, bucket: &str, key: &str) -> Result<Vec<u8>, Error> {
        let request = self.client.request(Method::GET, self.url(&format!("files/{bucket}/{key}"))?);
        let request = request.headers(self.of_job(of)?);
        Ok(self.answer(request, FILE, "a file").await?.unwrap_or_default())
    }

    fn url(&self, path: &str) -> Result<Url, Error> {
        let mut url = self.base.clone();
        {
            let unusable =
                |()| Error::Address { address: self.server(), reason: "it has no path".to_owned() };
            let mut segments = url.path_segments_mut().map_err(unusable)?;
            segments.pop_if_empty().push(ROOT).extend(path.split('/'));
        }
        Ok(url)
    }

    fn post(
        &self,
        path: &str,
        body: Vec<u8>,
        of: Option<OfJob<'_>>,
    ) -> Result<reqwest::RequestBuilder, Error> {
        let request =
            self.client.request(Method::POST, self.url(path)?).header(CONTENT_TYPE, "application/json");
        let request = match of {
            Some(of) => request.headers(self.of_job(of)?),
            None => request.header(AUTHORIZATION, self.auth.clone()),
        };
        Ok(request.body(body))
    }

    /// What goes with everything that is said of a job.
    pub(crate) fn of_job(&self, of: OfJob<'_>) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        let auth = match of.token {
            "" => self.auth.clone(),
            token => secret(&format!("Bearer {token}"))?,
        };
        headers.insert(AUTHORIZATION, auth);
        headers.insert(HeaderName::from_static(JOB_ID), HeaderValue::from(of.id));
        let name = HeaderValue::from_str(&self.name).map_err(|_| Error::Token)?;
        headers.insert(HeaderName::from_static(EXECUTOR_NAME), name);
        Ok(headers)
    }

    /// The body of a 200; none of a 204.
    async fn answer(
        &self,
        request: reqwest::RequestBuilder,
        limit: Duration,
        wanted: &'static str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let server = self.server();
        let unreachable = |error: reqwest::Error| Error::Unreachable {
            server: server.clone(),
            reason: chain(&error.without_url()),
        };
        let whole = async {
            let answer = request.send().await.map_err(unreachable)?;
            match answer.status() {
                StatusCode::NO_CONTENT => Ok(None),
                StatusCode::OK => self.body(answer, wanted).await.map(Some),
                status => {
                    let status = status.as_u16();
                    Err(Error::Status { server: server.clone(), status, hint: hint(status) })
                }
            }
        };
        let answered = timeout(limit, whole).await;
        answered.unwrap_or_else(|_| Err(Error::TimedOut { server: self.server(), limit }))
    }

    async fn body(&self, mut answer: Response, wanted: &'static str) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        loop {
            let piece = answer.chunk().await.map_err(|error| Error::Unreachable {
                server: self.server(),
                reason: chain(&error.without_url()),
            })?;
            let Some(piece) = piece else { return Ok(body) };
            if body.len() + piece.len() > LARGEST {
                let reason = format!("it is longer than {} MiB", LARGEST >> 20);
                return Err(Error::Answer { server: self.server(), wanted, reason });
            }
            body.extend_from_slice(&piece);
        }
    }

    fn unreadable(&self, wanted: &'static str, error: &Malformed) -> Error {
        Error::Answer { server: self.server(), wanted, reason: error.to_string() }
    }
}

/// `queue/QUEUE/verb`; without one `queue/verb`.
fn of_queue(queue: Option<&QueueName>, verb: &str) -> String {
    match queue {
        Some(queue) => format!("queue/{queue}/{verb}"),
        None => format!("queue/{verb}"),
    }
}

fn header(auth: &ExecutorAuth) -> Result<HeaderValue, Error> {
    match auth {
        ExecutorAuth::Token(token) => secret(&format!("token-executor {token}")),
        ExecutorAuth::Basic { username, password } => {
            use base64::Engine as _;
            let both = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
            secret(&format!("Basic {both}"))
        }
    }
}

fn secret(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Error::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What an operator has to put right.
fn hint(status: u16) -> &'static str {
    match status {
        401 => "it does not take this executor token (`executors.accessToken` of a Sourcegraph)",
        403 => "it refuses these credentials",
        404 => "it knows no such queue, or not this job as ours",
        _ => "",
    }
}

fn without_credentials(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => address.to_owned(),
    }
}
