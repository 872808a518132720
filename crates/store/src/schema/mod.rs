//! What the tables are, as numbered steps that only go forward. A step that was ever released is never changed: the next one mends it.
//!
//! The number of the last step that was done is in the table `schema_version`, which has one row.

use crate::database::{Statement, Transaction};
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::value::values;

/// The steps, the first first; a step's number is its place, from 1.
const STEPS: [&str; 3] =
    [include_str!("0001_queues.sql"), include_str!("0002_logs.sql"), include_str!("0003_executors.sql")];

/// The version that this program writes.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// Brings a database up to version `target`, in a transaction that nobody else is in. Its data stays.
///
/// # Errors
/// [`Error::Newer`] when a later version wrote it; then nothing is changed.
pub(crate) async fn migrate<T: Transaction>(tx: &mut T, dialect: Dialect, target: i64) -> Result<()> {
    let made = "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)";
    tx.rows(Statement::change(made, values![])).await?;
    let found = match tx.row(Statement::look("SELECT version FROM schema_version", values![])).await? {
        Some(mut row) => row.integer()?,
        None => {
            tx.rows(Statement::change("INSERT INTO schema_version VALUES (0)", values![])).await?;
            0
        }
    };
    if found > VERSION {
        return Err(Error::Newer { found, known: VERSION });
    }
    for version in found + 1..=target {
        for statement in statements(STEPS[usize::try_from(version - 1).unwrap_or_default()], dialect) {
            tx.rows(Statement::change(statement, values![])).await?;
        }
        tracing::info!(version, "the tables of queues are brought to a version");
        tx.rows(Statement::change("UPDATE schema_version SET version = ?1", values![version])).await?;
    }
    Ok(())
}

/// The statements of a step: comments are whole lines, and no text in it holds a semicolon.
fn statements(step: &str, dialect: Dialect) -> Vec<String> {
    let code: Vec<&str> = step.lines().filter(|line| !line.starts_with("--")).collect();
    let code = dialect.spell(&code.join("\n"));
    code.split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_statements_in_either_dialect() {
        for step in STEPS {
            for dialect in [Dialect::Sqlite, Dialect::Postgres] {
                for statement in statements(step, dialect) {
                    assert!(statement.starts_with("CREATE "), "{statement}");
                    assert!(!statement.contains(['{', ';']), "{statement}");
                }
            }
        }
    }
}
