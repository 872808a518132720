//! The flags of `jobwright server`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use jobwright_model::QueueName;

use super::{BackendArgs, DatabaseArgs};

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Listen on this unix socket, which only this user can open. By default `server/socket` in the state directory; `none` for no socket.
    #[arg(long, value_name = "PATH")]
    pub(crate) unix: Option<PathBuf>,
    /// Listen on this TCP address too, such as 127.0.0.1:8080. Whoever asks there must know the token.
    #[arg(long, visible_alias = "listen", value_name = "ADDRESS:PORT")]
    pub(crate) tcp: Option<SocketAddr>,
    /// Read the token from this file. By default `server/token` in the state directory, which is made when it is not there.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Yes, listen on an address that others can reach. Nothing is encrypted: put a proxy that does it before it.
    #[arg(long, requires = "tcp")]
    pub(crate) beyond_loopback: bool,
    /// The name under which others reach it, such as ci.example: requests for another name are refused.
    #[arg(long, value_name = "NAME", requires = "tcp")]
    pub(crate) name: Option<String>,
    /// Serve this queue to executors; may be said several times. One that is not there is made.
    #[arg(long = "queue", value_name = "NAME")]
    pub(crate) queues: Vec<QueueName>,
    /// Read the token of executors from this file; several lines are several tokens. Else it is `JOBWRIGHT_EXECUTOR_TOKEN`.
    #[arg(long, value_name = "FILE", requires = "queues")]
    pub(crate) executor_token_file: Option<PathBuf>,
    /// Let whoever reaches a loopback address or the socket take jobs, without a token.
    #[arg(long, requires = "queues")]
    pub(crate) insecure_no_auth: bool,
    /// Where the jobs' repositories are fetched from: a URL, below which each is by its name.
    #[arg(long, env = "JOBWRIGHT_GIT_BASE", value_name = "URL", hide_env_values = true)]
    pub(crate) git_base: Option<String>,
    /// The directory with the files that jobs fetch, as SPEC/FILE.
    #[arg(long, value_name = "DIR", requires = "queues")]
    pub(crate) files: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}
