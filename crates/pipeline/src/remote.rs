//! A server that has further variables for every job, as the file declares it. Not for asking it.

use std::fmt;

use jobwright_model::Secret;

use crate::secrets::SecretSource;
use crate::source::Span;

/// A GitLab project whose CI variables are variables of every job. Theirs is the lowest precedence of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteProvider {
    /// The server, with its scheme, without a `/` at its end.
    pub url: String,
    /// The project's number; never zero.
    pub project_id: u32,
    /// What to ask with.
    pub access_token: AccessToken,
    /// Where it is in the file.
    pub span: Span,
}

/// A token, or where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessToken {
    /// It is read when the run begins.
    From(SecretSource),
    /// It stands in the file, as local-ci allows.
    Literal(Secret),
}

/// A variable that the server gave.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteVariable {
    /// Its value.
    pub value: String,
    /// Whether it is a secret.
    pub masked: bool,
}

/// Without the value.
impl fmt::Debug for RemoteVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteVariable").field("masked", &self.masked).finish_non_exhaustive()
    }
}
