//! A server that has further variables for every job, as the file declares it. Not for asking it.

use std::fmt;

use jobwright_model::Secret;

use crate::secrets::{ResolveSecret, SecretError, SecretSource};
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

/// What it is, for people; an address may hold credentials, which are left out.
impl fmt::Display for RemoteProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("https", &self.url));
        let authority = rest.split('/').next().unwrap_or(rest);
        let credentials = authority.rfind('@').map_or(0, |at| at + 1);
        write!(f, "the project {} at {scheme}://{}", self.project_id, &rest[credentials..])
    }
}

/// A token, or where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessToken {
    /// It is read when the run begins.
    From(SecretSource),
    /// It stands in the file, as local-ci allows.
    Literal(Secret),
}

impl AccessToken {
    pub(crate) fn resolve(&self, secrets: &dyn ResolveSecret) -> Result<String, SecretError> {
        match self {
            Self::From(source) => secrets.resolve(source),
            Self::Literal(secret) => Ok(secret.value.clone()),
        }
    }

    /// What is to be done when it has no value.
    pub(crate) fn help(&self) -> String {
        match self {
            Self::From(SecretSource::Env(name)) => format!("set `{name}` where jobwright is started"),
            Self::From(SecretSource::File(_)) => {
                "put the file there; a relative path counts from the project".to_owned()
            }
            Self::Literal(_) => "write `$NAME`, and set that variable where jobwright is started".to_owned(),
        }
    }
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
