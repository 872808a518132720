//! HTTP clients of what Jobwright asks of other servers: so far the CI variables of a GitLab project. Not for what is done with an
//! answer, nor for any engine's API, which is its backend's.
//!
//! What all of them keep: a redirection is not followed, because the header with the token would go along; an answer has a size and a
//! time that it may take; no error holds a token, or anything of an answer's body.

mod error;
mod gitlab;
mod http;

pub use error::Error;
pub use gitlab::{GitLab, Variable};
