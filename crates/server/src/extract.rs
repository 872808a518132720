//! What stands in a request's path and query, checked. Not for bodies (`body`).

use std::time::Duration;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use jobwright_model::ExecutionId;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use crate::refusal::Refusal;

/// The longest time that a query may ask for.
const LONGEST: Duration = Duration::from_secs(3600);

/// The execution that the path names.
pub(crate) struct Id(pub(crate) ExecutionId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let bad = |reason: String| Refusal::bad("invalid_id", reason);
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|error| {
            bad(format!("the execution id in the path is not usable: {}", error.body_text()))
        })?;
        ExecutionId::new(text).map(Id).map_err(|error| bad(error.to_string()))
    }
}

/// What the query asks for.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let Query(query) = Query::<T>::try_from_uri(&parts.uri).map_err(|error| {
            Refusal::bad("invalid_query", format!("the query is wrong: {}", source(&error)))
        })?;
        Ok(Self(query))
    }
}

/// What is behind an error, without the words that say no more than that there is one.
fn source(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Reads a number of seconds, whole or broken, from 0 to an hour.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong =
        || D::Error::custom(format!("{text:?} is not a number of seconds from 0 to {}", LONGEST.as_secs()));
    let time = text.parse::<f64>().map_err(|_| wrong())?;
    let time = Duration::try_from_secs_f64(time).map_err(|_| wrong())?;
    if time > LONGEST { Err(wrong()) } else { Ok(Some(time)) }
}

/// Reads a yes or no.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        other => Err(D::Error::custom(format!("{other:?} is neither 1 (yes) nor 0 (no)"))),
    }
}

/// The query of a route that takes none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}
