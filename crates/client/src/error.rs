//! Why a server's answer cannot be had. No message holds a token, or anything of an answer's body but what another Jobwright says of an error.

use std::time::Duration;

use jobwright_model::ExecutionResult;

/// What went wrong with a request. Texts are whole clauses that name the server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is none that can be asked.
    #[error("{address:?} is not the address of a server: {reason}")]
    Address {
        /// What was given, without credentials.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The token cannot be sent.
    #[error("the access token has characters that no header can carry: a line break, perhaps")]
    Token,
    /// No HTTP can be spoken here at all.
    #[error("no HTTP client can be made: {0}")]
    Client(String),
    /// Nobody answers there, or the connection broke off.
    #[error("{server} cannot be reached: {reason}")]
    Unreachable {
        /// The server, as `scheme://host:port`.
        server: String,
        /// What the system says.
        reason: String,
    },
    /// It refused, and said why.
    #[error("{server} refuses ({code}): {message}")]
    Refused {
        /// The server.
        server: String,
        /// The HTTP status.
        status: u16,
        /// Which error, in one word (`docs/book/http.md`).
        code: String,
        /// What is wrong, and what would be right, in the server's words.
        message: String,
        /// What came of the execution, when the error is that it had concluded.
        result: Option<Box<ExecutionResult>>,
    },
    /// It took too long.
    #[error("{server} has not answered completely within {} s", limit.as_secs_f64())]
    TimedOut {
        /// The server.
        server: String,
        /// How long it had.
        limit: Duration,
    },
    /// It answered, but not with what was asked for.
    #[error("{server} answered with status {status}{}", clause(*status, hint))]
    Status {
        /// The server.
        server: String,
        /// The HTTP status.
        status: u16,
        /// What a person may have to put right, from whoever knows what was asked; empty when that is nothing beside what the status says
        /// of any server.
        hint: &'static str,
    },
    /// What it answered cannot be read.
    #[error("{server} answered with something else than {wanted}: {reason}")]
    Answer {
        /// The server.
        server: String,
        /// What was asked for.
        wanted: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// The server's own word for why it refused; none of other errors.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// The hint after a colon; without one what the status says of any server.
fn clause(status: u16, hint: &str) -> String {
    let general = match status {
        300..=399 => "it refers to another address, which is to be written in its place",
        429 => "it is asked too often",
        500..=599 => "it is in trouble itself",
        _ => "",
    };
    let hint = if hint.is_empty() { general } else { hint };
    if hint.is_empty() { String::new() } else { format!(": {hint}") }
}
