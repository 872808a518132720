//! The end of an attempt, as its agent says it.

use jiff::Timestamp;
use jobwright_model::{AttemptEnd, JobRef, QueuedState, Speaker};

use super::held::{self, Held};
use crate::database::{Operation, Statement, Then, Touched, Transaction, run_by_steps};
use crate::error::Result;
use crate::queue::Finished;
use crate::value::{Row, Value, values};

/// See [`QueueStore::finish`](crate::QueueStore::finish).
pub(crate) struct Finish {
    pub(crate) speaker: Speaker,
    pub(crate) end: AttemptEnd,
    pub(crate) now: Timestamp,
}

/// How a job goes on.
struct Next {
    state: QueuedState,
    failures: u32,
    due_at: Option<Timestamp>,
}

impl Operation for Finish {
    type Answer = Finished;

    fn touched(&self) -> Touched {
        Touched::queue(&self.speaker.job().queue)
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Finished> {
        let finished = run_by_steps(self, vec![held::look(&self.speaker)], tx).await?;
        Ok(finished.unwrap_or(Finished::Stale))
    }

    fn first(&self) -> Option<Vec<Statement>> {
        Some(vec![held::look(&self.speaker)])
    }

    fn then(&self, answers: Vec<Vec<Row>>) -> Result<Then<Finished>> {
        let job = self.speaker.job();
        let Some(held) = held::found(answers.into_iter().next().unwrap_or_default())? else {
            return Ok(Then::Last(vec![held::count_stale(&job.queue)], Finished::Stale));
        };
        let next = self.next(&held);
        Ok(Then::Last(self.changes(&held, &next), Finished::Now(next.state)))
    }

    fn alone_on(&self) -> Option<&JobRef> {
        Some(self.speaker.job())
    }
}

/// Of queue, job, attempt: state, time, message.
pub(super) const END_ATTEMPT: &str = "UPDATE attempts SET state = ?4, finished_at = ?5, failure_message = ?6 \
     WHERE queue = ?1 AND id = ?2 AND attempt = ?3";

impl Finish {
    fn changes(&self, held: &Held, next: &Next) -> Vec<Statement> {
        let message = match &self.end {
            AttemptEnd::Completed => Value::Null,
            AttemptEnd::Errored(message) | AttemptEnd::Failed(message) => Value::free(message),
        };
        let job = self.speaker.job();
        let end_job = "UPDATE jobs SET state = ?3, finished_at = ?4, failure_message = ?5, failures = ?6, due_at = ?7, token = NULL \
                       WHERE queue = ?1 AND id = ?2";
        let of_job = vec![
            (&job.queue).into(),
            job.id.into(),
            next.state.as_str().into(),
            self.now.into(),
            message.clone(),
            next.failures.into(),
            next.due_at.into(),
        ];
        let mut of_attempt = values![&job.queue, job.id, held.attempt, next.state.as_str(), self.now];
        of_attempt.push(message);
        vec![Statement::change(end_job, of_job), Statement::change(END_ATTEMPT, of_attempt)]
    }

    /// What the rules make of it (sourcegraph.md 1.6).
    fn next(&self, held: &Held) -> Next {
        let failures = held.failures.saturating_add(1);
        match &self.end {
            AttemptEnd::Completed => {
                Next { state: QueuedState::Completed, failures: held.failures, due_at: None }
            }
            _ if held.cancel => Next { state: QueuedState::Canceled, failures: held.failures, due_at: None },
            AttemptEnd::Errored(_) if held.rules.tries_again(failures) => {
                let back_off = held.rules.back_off(failures);
                let due_at = self.now.saturating_add(back_off).unwrap_or(Timestamp::MAX);
                Next { state: QueuedState::Errored, failures, due_at: Some(due_at) }
            }
            AttemptEnd::Errored(_) | AttemptEnd::Failed(_) => {
                Next { state: QueuedState::Failed, failures, due_at: None }
            }
        }
    }
}
