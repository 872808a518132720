//! How a case says that a promise does not hold.

use std::fmt;

use crate::{Error, Result};

/// What a case answers.
pub type CaseResult<T = ()> = std::result::Result<T, Failure>;

/// Why a case did not pass. Any error becomes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The promise does not hold, for this reason.
    Broken(String),
    /// It turned out on the way that the backend lacks this: the case counts as skipped.
    Lacking(&'static str),
}

impl Failure {
    /// A failure in these words.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self::Broken(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(reason) => f.write_str(reason),
            Self::Lacking(what) => write!(f, "the backend lacks {what}"),
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Broken(format!("unexpected error: {error}"))
    }
}

/// Fails the case with a text when a condition does not hold.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err($crate::conformance::Failure::new(format!($($text)+)));
        }
    };
}
pub(super) use ensure;

/// Fails unless `actual` equals `expected`.
pub(super) fn same<T: PartialEq + fmt::Debug>(what: &str, actual: &T, expected: &T) -> CaseResult {
    ensure!(actual == expected, "{what} is {actual:?}, not {expected:?}");
    Ok(())
}

/// Fails unless `actual` is exactly `expected`; says where the two part.
pub(super) fn same_bytes(what: &str, actual: &[u8], expected: &[u8]) -> CaseResult {
    if actual == expected {
        return Ok(());
    }
    let parts_at = actual.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let from = parts_at.saturating_sub(20);
    let excerpt = |bytes: &[u8]| bytes[from..bytes.len().min(from + 100)].escape_ascii().to_string();
    Err(Failure::new(format!(
        "{what} has {} bytes, not {}; they part at byte {parts_at}: \"{}\" where \"{}\" should be",
        actual.len(),
        expected.len(),
        excerpt(actual),
        excerpt(expected),
    )))
}

/// Fails unless `result` is an error for which `fits` holds.
pub(super) fn refused<T>(what: &str, result: Result<T>, fits: fn(&Error) -> bool) -> CaseResult {
    match result {
        Err(error) if fits(&error) => Ok(()),
        Err(error) => Err(Failure::new(format!("{what} answered the wrong error: {error} ({error:?})"))),
        Ok(_) => Err(Failure::new(format!("{what} succeeded"))),
    }
}

/// What `result` holds; a backend that answers that it never can has the case skipped.
pub(super) fn unless_unsupported<T>(what: &'static str, result: Result<T>) -> CaseResult<T> {
    match result {
        Err(Error::Unsupported { .. }) => Err(Failure::Lacking(what)),
        other => Ok(other?),
    }
}
