//! Whether who says something of a job holds it (DESIGN rule 8).

use jobwright_model::{QueueName, QueueRules, QueuedState, Speaker};

use crate::database::{Statement, Transaction};
use crate::error::Result;
use crate::rows;
use crate::value::{Row, Value, values};

/// An attempt that its speaker holds.
pub(super) struct Held {
    pub(super) attempt: u32,
    pub(super) cancel: bool,
    pub(super) failures: u32,
    pub(super) rules: QueueRules,
}

/// Asks for the attempt that the speaker holds.
pub(super) fn look(speaker: &Speaker) -> Statement {
    let (held_by, who) = match speaker {
        Speaker::Attempt(token) => ("attempt", token.attempt.into()),
        Speaker::Holder { name, .. } => ("holder", Value::free(name)),
    };
    let look = format!(
        "SELECT attempt, cancel, failures, rules FROM jobs JOIN queues ON name = queue \
         WHERE queue = ?1 AND id = ?2 AND state = ?3 AND {held_by} = ?4"
    );
    let job = speaker.job();
    Statement::look(
        look,
        vec![(&job.queue).into(), job.id.into(), QueuedState::Processing.as_str().into(), who],
    )
}

/// The answer to [`look`]; none when the speaker holds nothing.
pub(super) fn found(rows: Vec<Row>) -> Result<Option<Held>> {
    let Some(mut row) = rows.into_iter().next() else { return Ok(None) };
    Ok(Some(Held {
        attempt: row.number()?,
        cancel: row.flag()?,
        failures: row.number()?,
        rules: rows::rules(&mut row)?,
    }))
}

/// The attempt that the speaker holds; none when it holds none.
pub(super) async fn held<T: Transaction>(tx: &mut T, speaker: &Speaker) -> Result<Option<Held>> {
    found(tx.rows(look(speaker)).await?)
}

/// [`held`]; who holds nothing is counted.
pub(super) async fn held_or_counted<T: Transaction>(tx: &mut T, speaker: &Speaker) -> Result<Option<Held>> {
    let held = held(tx, speaker).await?;
    if held.is_none() {
        tx.rows(count_stale(&speaker.job().queue)).await?;
    }
    Ok(held)
}

/// One more wrote of what it did not hold.
pub(super) fn count_stale(queue: &QueueName) -> Statement {
    let count = "UPDATE queues SET stale_writes = stale_writes + 1 WHERE name = ?1";
    Statement::change(count, values![queue])
}
