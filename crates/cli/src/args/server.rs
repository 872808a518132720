//! The flags of `jobwright server`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::BackendArgs;

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// Listen on this unix socket, which only this user can open. By default `server/socket` in the state directory; `none` for no socket.
    #[arg(long, value_name = "PATH")]
    pub(crate) unix: Option<PathBuf>,
    /// Listen on this TCP address too, such as 127.0.0.1:8080. Whoever asks there must know the token.
    #[arg(long, value_name = "ADDRESS:PORT")]
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
    #[command(flatten)]
    pub(crate) backends: BackendArgs,
}
