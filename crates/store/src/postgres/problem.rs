//! What an error of the database means: whether it is gone, or refuses.

use tokio_postgres::error::SqlState;

use crate::error::Error;

/// The server's words for "I am going": nothing is known of what was asked for last.
const GOING: [SqlState; 7] = [
    SqlState::ADMIN_SHUTDOWN,
    SqlState::CRASH_SHUTDOWN,
    SqlState::CANNOT_CONNECT_NOW,
    SqlState::CONNECTION_EXCEPTION,
    SqlState::CONNECTION_FAILURE,
    SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    SqlState::TOO_MANY_CONNECTIONS,
];

pub(super) fn problem(error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(said) if GOING.contains(said.code()) => Error::Gone(said.message().to_owned()),
        Some(said) => Error::Failed {
            operation: "asking the database".to_owned(),
            reason: format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        },
        None => Error::Gone(reason(error)),
    }
}

/// The error with what it comes from: the outer one says only of what kind it is.
fn reason(error: &tokio_postgres::Error) -> String {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !reason.contains(&cause_text) {
            reason += &format!(": {cause_text}");
        }
        source = cause.source();
    }
    reason
}
