//! What the queues' interface is to be. Not for how it answers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jobwright_queue::Turns;
use jobwright_store::QueueStore;
use reqwest::Url;
use tokio::sync::Semaphore;

use super::access::Access;
use super::git::Upstream;
use super::metrics::AgentMetrics;
use super::names::Names;
use super::shared::Shared;
use crate::ready::Readiness;
use crate::token::Token;

/// The most bytes of an entry of a log, with its command.
const LOG_BODY: usize = 100 << 20;
/// How many bodies of more than a mebibyte are taken at a time.
const LARGE_BODIES: usize = 4;
/// How often it is looked whether an attempt has stalled.
const STALL_CHECK: Duration = Duration::from_secs(5);

/// Why the queues' interface cannot be as it was to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidQueueApi {
    /// The path before all others is none.
    #[error(
        "the base path {0:?} is not usable: one such as /jobs is needed, of letters, digits and . _ - ~, without a slash at its end"
    )]
    BasePath(String),
    /// A name for signing on is none.
    #[error(
        "the name {0:?} is not usable: it has to have a character, and none of them a colon or a control character"
    )]
    Name(String),
    /// The place of the repositories is none. It is not repeated, as it may hold a password.
    #[error(
        "the place of the git repositories is not usable: {0}; a URL such as https://git.example.org/ is needed"
    )]
    Git(String),
}

/// Queues, as executors of Sourcegraph ask for them.
pub struct QueueApi {
    store: Arc<dyn QueueStore>,
    access: Access,
    files: Option<PathBuf>,
    git: Option<Upstream>,
    log_body: usize,
    base_path: String,
    turns: Turns,
    stall_check: Duration,
    metrics: AgentMetrics,
}

impl QueueApi {
    /// Of what this store keeps. Without any credentials every question is answered as by an original that nobody has set up.
    #[must_use]
    pub fn new(store: Arc<dyn QueueStore>) -> Self {
        Self {
            store,
            access: Access::default(),
            files: None,
            git: None,
            log_body: LOG_BODY,
            base_path: String::new(),
            turns: Turns::default(),
            stall_check: STALL_CHECK,
            metrics: AgentMetrics::default(),
        }
    }

    /// A word by which executors sign on (`Authorization: token-executor TOKEN`). There may be several, so that they can be changed one after the
    /// other. Only its hash is kept.
    #[must_use]
    pub fn executor_token(mut self, token: &Token) -> Self {
        self.access.add_token(token.as_str());
        self
    }

    /// A name and a password by which executors of before late 2021 sign on, and git.
    ///
    /// # Errors
    /// [`InvalidQueueApi::Name`].
    pub fn basic(mut self, name: &str, password: &Token) -> Result<Self, InvalidQueueApi> {
        if name.is_empty() || name.chars().any(|c| c == ':' || c.is_control()) {
            return Err(InvalidQueueApi::Name(name.to_owned()));
        }
        self.access.add_pair(name, password.as_str());
        Ok(self)
    }

    /// Without credentials, whoever reaches this server may ask; it then listens on loopback addresses and unix sockets only. With credentials it
    /// changes nothing.
    #[must_use]
    pub fn open_on_loopback(mut self, open: bool) -> Self {
        self.access.open(open);
        self
    }

    /// The directory with the files that jobs of the queue `batches` fetch, as `SPEC/FILE`.
    #[must_use]
    pub fn files(mut self, directory: Option<PathBuf>) -> Self {
        self.files = directory;
        self
    }

    /// Where repositories are fetched from: a URL, below which each is by its name. It may hold a name and a password.
    ///
    /// # Errors
    /// [`InvalidQueueApi::Git`] when it is no such URL.
    pub fn git(mut self, base: Option<&str>) -> Result<Self, InvalidQueueApi> {
        let invalid = |reason: String| InvalidQueueApi::Git(reason);
        self.git = match base {
            None => None,
            Some(base) => {
                let url = Url::parse(base).map_err(|error| invalid(error.to_string()))?;
                Some(Upstream::new(url).map_err(invalid)?)
            }
        };
        Ok(self)
    }

    /// The most bytes of an entry of a log; 100 MiB when nobody says.
    #[must_use]
    pub fn log_body(mut self, bytes: usize) -> Self {
        self.log_body = bytes;
        self
    }

    /// A path before all others, such as `/jobs`, for whoever asks through something that does not take it away. Without it is answered too.
    ///
    /// # Errors
    /// [`InvalidQueueApi::BasePath`].
    pub fn base_path(mut self, path: &str) -> Result<Self, InvalidQueueApi> {
        let is_part = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-~".contains(&byte))
        };
        if !path.is_empty() && !path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_part)) {
            return Err(InvalidQueueApi::BasePath(path.to_owned()));
        }
        path.clone_into(&mut self.base_path);
        Ok(self)
    }

    /// What each queue gets beside others, where an executor asks several.
    #[must_use]
    pub fn turns(mut self, turns: Turns) -> Self {
        self.turns = turns;
        self
    }

    /// How often it is looked whether an attempt has stalled; every 5 seconds when nobody says.
    #[must_use]
    pub fn stall_check(mut self, every: Duration) -> Self {
        self.stall_check = every;
        self
    }

    /// What executors tell of themselves.
    #[must_use]
    pub fn metrics(&self) -> AgentMetrics {
        self.metrics.clone()
    }

    pub(crate) fn build(self) -> Arc<Shared> {
        Arc::new(Shared {
            names: Names::new(Arc::clone(&self.store)),
            store: self.store,
            access: self.access,
            files: self.files,
            git: self.git,
            log_body: self.log_body,
            large: Arc::new(Semaphore::new(LARGE_BODIES)),
            base_path: self.base_path,
            turns: Mutex::new(self.turns),
            stall_check: self.stall_check,
            metrics: self.metrics,
            ready: Readiness::default(),
        })
    }
}
