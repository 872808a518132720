//! Why a server cannot listen. Not for what it answers, which is `refusal`.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What a server answers its owner with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No address was given.
    #[error("there is no address to listen on; give a unix socket, a loopback address, or both")]
    Nowhere,
    /// A TCP address without a token.
    #[error(
        "{0} would be open to every user of this machine; give an access token, or listen on a unix socket"
    )]
    NoToken(SocketAddr),
    /// An address that other machines may reach, and nobody said that this is meant.
    #[error(
        "{0} is not a loopback address: other machines could reach it; say that this is meant, or use 127.0.0.1"
    )]
    NotLoopback(SocketAddr),
    /// Queues without credentials at an address that other machines may reach.
    #[error(
        "{0} is not a loopback address: other machines could take jobs without a token; give the queues an executor token"
    )]
    QueuesOpen(SocketAddr),
    /// A name under which the server is to be asked is none.
    #[error("{0:?} is not the name of a host; give a name or an address without a port")]
    Name(String),
    /// Others could get at the unix socket, or put their own in its place.
    #[error("the directory {} of the socket {problem}; choose one of your own with mode 0700", .path.display())]
    NotPrivate {
        /// The socket's directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Another server listens there.
    #[error("a server that lives listens on {}; end it, or choose another socket", .0.display())]
    InUse(PathBuf),
    /// There is something else.
    #[error("{} is there and is not a socket; remove it, or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("failed to listen on {address}: {operation}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}
