//! What is wrong with what the other side said.

/// Why a body cannot be read. No value is repeated: it may be secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It is no JSON.
    #[error("{0}")]
    Syntax(#[source] serde_json::Error),
    /// Something is of another kind than it has to be.
    #[error("{place}: {wanted} is needed, not {found}")]
    Kind {
        /// Where, as a path such as `dockerSteps[0].image`.
        place: String,
        /// What it has to be.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// There is a key that is none, where no other may be.
    #[error("{place}: there is no such key; there may be {known}")]
    UnknownKey {
        /// Where.
        place: String,
        /// Which there are.
        known: String,
    },
}
