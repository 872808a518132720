//! Credentials of a container registry.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a registry is told about who pulls (`Auth` of the Woodpecker interface document). Its `Debug` form does not show
/// the password.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Auth {
    /// The user's name; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The password or token; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub password: String,
}

impl Auth {
    /// Whether both halves are there: only then are they sent (woodpecker.md 2.1, "Pull & auth").
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.username.is_empty() && !self.password.is_empty()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("username", &self.username).finish_non_exhaustive()
    }
}
