//! Giving a job to whoever asks. The queue's row remembers the job from one statement to the next, so that all of them can be asked at once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jobwright_model::{AttemptToken, QueueName, QueuedState};

use super::check_name;
use super::line::{self, Line};
use crate::database::{Operation, Statement, Then, Touched, Transaction};
use crate::error::Result;
use crate::queue::{Ask, Lease};
use crate::rows;
use crate::value::{Row, Value, makes_no_sense, values};

/// See [`QueueStore::dequeue`](crate::QueueStore::dequeue).
pub(crate) struct Dequeue {
    pub(crate) ask: Ask,
    pub(crate) now: Timestamp,
}

impl Operation for Dequeue {
    type Answer = Option<Lease>;

    fn touched(&self) -> Touched {
        Touched { queues: self.ask.queues.clone(), ..Touched::default() }
    }

    async fn run<T: Transaction>(&self, tx: &mut T) -> Result<Option<Lease>> {
        check_name("asking for a job", "holder", &self.ask.holder)?;
        for queue in &self.ask.queues {
            let mut given = given(tx.all(self.giving(queue)).await?)?;
            if matches!(given, Given::NotYet) {
                self.line_up(tx, queue).await?;
                given = self::given(tx.all(self.giving(queue)).await?)?;
            }
            if let Given::Job(lease) = given {
                return Ok(Some(*lease));
            }
        }
        Ok(None)
    }

    fn first(&self) -> Option<Vec<Statement>> {
        let [queue] = &self.ask.queues[..] else { return None };
        check_name("", "", &self.ask.holder).is_ok().then(|| self.giving(queue))
    }

    fn then(&self, answers: Vec<Vec<Row>>) -> Result<Then<Option<Lease>>> {
        Ok(match given(answers)? {
            Given::Job(lease) => Then::Done(Some(*lease)),
            Given::Nothing => Then::Done(None),
            Given::NotYet => Then::Alone,
        })
    }
}

/// Whether the time of a job has come that is in no line.
const COME: &str = "SELECT id FROM jobs WHERE queue = ?1 AND place IS NULL AND due_at <= ?2 LIMIT 1";

/// One look into one index for whose turn it is, one into another for that line's first job. None while somebody's time has come who is in no line.
const CHOOSE: &str = "UPDATE queues SET given = (SELECT (SELECT place FROM jobs WHERE jobs.queue = lines.queue AND jobs.priority = lines.priority \
     AND jobs.tenant = lines.tenant AND place IS NOT NULL ORDER BY place LIMIT 1 {free}) \
     FROM lines WHERE lines.queue = ?1 AND lines.turn > 0 ORDER BY lines.priority DESC, lines.turn LIMIT 1) WHERE name = ?1 AND paused = 0 \
     AND EXISTS (SELECT 1 FROM lines WHERE queue = ?1 AND turn > 0) \
     AND NOT EXISTS (SELECT 1 FROM jobs WHERE queue = ?1 AND place IS NULL AND due_at <= ?2)";

const ATTEMPT: &str = "INSERT INTO attempts (queue, id, attempt, holder, started_at, state) \
     SELECT queue, id, attempt, holder, started_at, state FROM jobs WHERE queue = ?1 AND id = (SELECT given FROM queues WHERE name = ?1)";

const PAYLOAD: &str =
    "SELECT payload FROM payloads WHERE queue = ?1 AND id = (SELECT given FROM queues WHERE name = ?1)";

/// No statement but these finds a job there.
const FORGET: &str = "UPDATE queues SET given = NULL WHERE name = ?1 AND given IS NOT NULL";

/// What came of it.
enum Given {
    Job(Box<Lease>),
    Nothing,
    /// Nothing is given until those whose time has come are in their lines.
    NotYet,
}

impl Dequeue {
    /// Everything that giving a job of `queue` takes; its answers are for [`given`].
    fn giving(&self, queue: &QueueName) -> Vec<Statement> {
        let begin = format!(
            "UPDATE jobs SET state = ?2, due_at = NULL, place = NULL, started_at = ?3, heartbeat_at = ?3, finished_at = NULL, \
             failure_message = NULL, attempt = attempt + 1, holder = ?4, token = ?5 \
             WHERE queue = ?1 AND id = (SELECT given FROM queues WHERE name = ?1) RETURNING {}",
            rows::JOB
        );
        let begun = vec![
            queue.into(),
            QueuedState::Processing.as_str().into(),
            self.now.into(),
            Value::free(&self.ask.holder),
            self.ask.token.map(Vec::from).into(),
        ];
        let mut statements = vec![
            Statement::look(COME, values![queue, self.now]),
            Statement::change(CHOOSE, values![queue, self.now]),
            Statement::change(begin, begun),
            Statement::look(PAYLOAD, values![queue]),
            Statement::change(ATTEMPT, values![queue]),
        ];
        statements.extend(line::given(queue));
        statements.push(Statement::change(FORGET, values![queue]));
        statements
    }

    /// Jobs whose time has come join their lines.
    async fn line_up<T: Transaction>(&self, tx: &mut T, queue: &QueueName) -> Result<()> {
        let due = "UPDATE jobs SET place = id WHERE queue = ?1 AND place IS NULL AND due_at <= ?2 RETURNING priority, tenant";
        let mut lines = BTreeMap::<Line, i64>::new();
        for mut row in tx.rows(Statement::change(due, values![queue, self.now])).await? {
            *lines.entry(Line { priority: row.integer()?, tenant: row.text()? }).or_default() += 1;
        }
        tx.all(lines.iter().map(|(line, jobs)| line.join(queue, *jobs)).collect()).await.map(drop)
    }
}

/// The answers to what was asked for giving a job.
fn given(answers: Vec<Vec<Row>>) -> Result<Given> {
    let mut answers = answers.into_iter().map(|rows| rows.into_iter().next());
    let come = answers.next().flatten();
    let (begun, payload) = (answers.nth(1).flatten(), answers.next().flatten());
    let Some(mut begun) = begun else {
        return Ok(if come.is_some() { Given::NotYet } else { Given::Nothing });
    };
    let mut job = rows::job(&mut begun)?;
    let lost = || makes_no_sense(format!("of job {} it is not known what is to be run", job.job));
    job.payload = rows::json(&payload.ok_or_else(lost)?.text()?)?;
    let token = AttemptToken { job: job.job.clone(), attempt: job.attempt };
    Ok(Given::Job(Box::new(Lease { job, token })))
}
