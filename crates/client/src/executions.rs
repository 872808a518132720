//! The executions of a server of ours (`docs/book/http.md`), over its unix socket or over TCP with its token. Every call of the executor's
//! interface is one here, and an error keeps the code that the server gave it.

mod asking;
mod output;
mod queues;
mod sse;

use std::path::Path;
use std::time::Duration;

use jobwright_model::{
    ExecCommand, ExecOutput, ExecutionId, ExecutionInfo, ExecutionList, ExecutionListItem, ExecutionRequest,
    ExecutionResult, ExecutionStats, ExecutionStatus, ExecutorAnswer, NetInfo, Started, StatusAnswer, Waited,
    is_loopback_host,
};
use reqwest::{Client, Method, Url};

use crate::Error;
use crate::http::{build, builder};

pub use output::{ByteStream, EventStream, LogEvent};
pub use queues::{JobLogEvent, JobLogStream, JobsFilter, QueuesClient};

/// How long an answer may take that the server has at hand.
const LIMIT: Duration = Duration::from_secs(60);
/// How long an execution has to end that is cancelled: as long as the server's own cleanup, of which its grace is a part.
const ENDING: Duration = Duration::from_secs(120);
/// How long is waited for a status when nobody says.
const STATUS_WAIT: Duration = Duration::from_secs(10);
/// How long one wait of [`ExecutionsClient::wait_to_end`] lasts.
const POLL: Duration = Duration::from_secs(60);

/// Asks a server about executions. Cheap to clone.
#[derive(Clone)]
pub struct ExecutionsClient {
    client: Client,
    base: Url,
    /// What it is called in errors.
    server: String,
    token: Option<String>,
    limit: Duration,
}

/// Without the token.
impl std::fmt::Debug for ExecutionsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecutionsClient").field("server", &self.server).finish_non_exhaustive()
    }
}

impl ExecutionsClient {
    /// Asks over a unix socket.
    ///
    /// # Errors
    /// [`Error::Client`] when no HTTP can be spoken here. Whether a server is there is found out by asking it.
    pub fn unix(socket: impl AsRef<Path>) -> Result<Self, Error> {
        let socket = socket.as_ref();
        let client = build(builder().unix_socket(socket))?;
        let base = address("http://localhost/")?;
        Ok(Self { client, base, server: format!("unix:{}", socket.display()), token: None, limit: LIMIT })
    }

    /// Asks over TCP, at `http://HOST:PORT`. The token goes along as it is: over a network that is not trusted, `https` is needed.
    ///
    /// # Errors
    /// [`Error::Address`] when that is no such address, [`Error::Token`] when the token cannot be sent.
    pub fn tcp(url: &str, token: impl Into<String>) -> Result<Self, Error> {
        let token = token.into();
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Token);
        }
        let base = address(url)?;
        let server = crate::http::server(&base);
        // A proxy from the environment is no way to this machine, and would be told the token.
        let builder =
            if base.host_str().is_some_and(is_loopback_host) { builder().no_proxy() } else { builder() };
        Ok(Self { client: build(builder)?, base, server, token: Some(token), limit: LIMIT })
    }

    /// With this limit for answers that the server has at hand; 60 s when nobody says. A call that waits has the time of its wait beside it,
    /// and output that is followed has none after its head.
    #[must_use]
    pub fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The executor's id.
    ///
    /// # Errors
    /// Those of every call: [`Error::Unreachable`], [`Error::TimedOut`], [`Error::Answer`], and [`Error::Refused`] with the server's code.
    pub async fn get_id(&self) -> Result<String, Error> {
        let answer: ExecutorAnswer = self.ask(Method::GET, "executor").json().await?;
        Ok(answer.id)
    }

    /// Takes an execution in and begins with it.
    ///
    /// # Errors
    /// Refused as `already_started`, `already_completed`, `other_job`, `invalid`, `unknown_engine` or `unsupported`.
    pub async fn start(&self, request: &ExecutionRequest) -> Result<Started, Error> {
        self.ask(Method::POST, "executions").body(request)?.json().await
    }

    /// [`start`](Self::start) and then [`wait_to_end`](Self::wait_to_end).
    ///
    /// # Errors
    /// Those of both.
    pub async fn run(&self, request: &ExecutionRequest) -> Result<ExecutionResult, Error> {
        self.start(request).await?;
        Ok(self.wait_to_end(&request.execution_id).await?.result)
    }

    /// Waits for its end, but no longer than that (an hour at most); none when the time was over first.
    ///
    /// # Errors
    /// Refused as `not_found` or `too_many_waiting`.
    pub async fn wait(&self, id: &ExecutionId, time: Duration) -> Result<Option<Waited>, Error> {
        let asked = self.of(Method::GET, id, "/wait").query("timeout", time.as_secs_f64());
        asked.allowing(time).json_or_nothing().await
    }

    /// Waits for its end, however long it takes.
    ///
    /// # Errors
    /// Refused as `not_found` or `too_many_waiting`.
    pub async fn wait_to_end(&self, id: &ExecutionId) -> Result<Waited, Error> {
        // The first look tells whether it had concluded before it was waited for, and no later one does.
        let mut first = true;
        loop {
            if let Some(waited) = self.wait(id, POLL).await? {
                let concluded_before = first && waited.concluded_before;
                return Ok(Waited { concluded_before, ..waited });
            }
            first = false;
        }
    }

    /// Ends it; returns when it has ended, for which it has 2 minutes beside the limit. The server goes on ending it when they are over.
    ///
    /// # Errors
    /// Refused as `not_found` or `already_concluded`.
    pub async fn cancel(&self, id: &ExecutionId) -> Result<(), Error> {
        self.of(Method::POST, id, "/cancel").allowing(ENDING).nothing().await
    }

    /// Makes it stand still.
    ///
    /// # Errors
    /// Refused as `not_found`, `already_concluded`, `wrong_status` or `unsupported`.
    pub async fn pause(&self, id: &ExecutionId) -> Result<(), Error> {
        self.of(Method::POST, id, "/pause").nothing().await
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    pub async fn resume(&self, id: &ExecutionId) -> Result<(), Error> {
        self.of(Method::POST, id, "/resume").nothing().await
    }

    /// Ends it within `time` (an hour at most) if it has not ended, and forgets it.
    ///
    /// # Errors
    /// Refused as `not_found` or `did_not_reach`.
    pub async fn remove(&self, id: &ExecutionId, time: Duration) -> Result<(), Error> {
        let asked = self.of(Method::DELETE, id, "").query("timeout", time.as_secs_f64());
        asked.allowing(time).nothing().await
    }

    /// Removes all of the executor's executions, and waits for it so long. The server goes on with it when the time is over.
    ///
    /// # Errors
    /// Refused as `several`, when some could not be removed.
    pub async fn cleanup(&self, time: Duration) -> Result<(), Error> {
        self.ask(Method::DELETE, "executions").allowing(time).nothing().await
    }

    /// All executions, in the order of their ids.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list(&self) -> Result<Vec<ExecutionListItem>, Error> {
        let list: ExecutionList = self.ask(Method::GET, "executions").json().await?;
        Ok(list.executions)
    }

    /// How it stands.
    ///
    /// # Errors
    /// Refused as `not_found`.
    pub async fn get_status(&self, id: &ExecutionId) -> Result<ExecutionStatus, Error> {
        let answer: StatusAnswer = self.of(Method::GET, id, "/status").json().await?;
        Ok(answer.status)
    }

    /// Waits until it has exactly that status; for 10 s when nobody says how long, for an hour at most.
    ///
    /// # Errors
    /// Refused as `not_found`, `did_not_reach` or `too_many_waiting`.
    pub async fn wait_for_status(
        &self,
        id: &ExecutionId,
        status: ExecutionStatus,
        time: Option<Duration>,
    ) -> Result<(), Error> {
        let time = time.unwrap_or(STATUS_WAIT);
        let asked = self.of(Method::GET, id, "/status").query("until", status);
        let asked = asked.query("timeout", time.as_secs_f64()).allowing(time);
        asked.json::<StatusAnswer>().await.map(drop)
    }

    /// Runs a command beside it, in its environment, and waits so long for its end. When the time is over the command goes on.
    ///
    /// # Errors
    /// Refused as `not_found`, `already_concluded`, `wrong_status`, `invalid`, `unsupported`, `too_many_waiting`, or as `end_unknown` when the
    /// server ended first: then it was begun, and is not to be repeated unseen.
    pub async fn exec(&self, id: &ExecutionId, argv: &[String], time: Duration) -> Result<ExecOutput, Error> {
        let asked = self.of(Method::POST, id, "/exec").body(&ExecCommand { argv: argv.to_vec() })?;
        asked.allowing(time).json().await
    }

    /// What it uses.
    ///
    /// # Errors
    /// Refused as `not_found`, `already_concluded`, `wrong_status` or `unsupported`.
    pub async fn stats(&self, id: &ExecutionId) -> Result<ExecutionStats, Error> {
        self.of(Method::GET, id, "/stats").json().await
    }

    /// What is known of it.
    ///
    /// # Errors
    /// Refused as `not_found`.
    pub async fn get_info(&self, id: &ExecutionId) -> Result<ExecutionInfo, Error> {
        self.of(Method::GET, id, "").json().await
    }

    /// How it is reached.
    ///
    /// # Errors
    /// As [`stats`](Self::stats).
    pub async fn get_net_info(&self, id: &ExecutionId) -> Result<NetInfo, Error> {
        self.of(Method::GET, id, "/network").json().await
    }
}

/// An address with nothing but a scheme, a host and a port.
fn address(text: &str) -> Result<Url, Error> {
    let refuse =
        |reason: &str| Error::Address { address: without_credentials(text), reason: reason.to_owned() };
    let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refuse("http://HOST:PORT is one"));
    }
    let is_bare = url.username().is_empty() && url.password().is_none() && url.path() == "/";
    if !is_bare || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has more than a scheme, a host and a port"));
    }
    Ok(url)
}

/// What stands before an `@` may be a password.
fn without_credentials(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, rest)| format!("...@{rest}"))
}
