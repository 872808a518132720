//! JSON that a server sent. What is wrong with it is told by its place and kind, never in its own words: those of `serde` quote the text,
//! and the text may be a secret, somebody's output, or a page of another server.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// Reads JSON.
///
/// # Errors
/// What is wrong with it, as a clause about `it`.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Data => format!("its JSON has another form (line {line}, column {column})"),
            _ => format!("it is no JSON (line {line}, column {column})"),
        }
    })
}
