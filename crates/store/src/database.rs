//! What an operation needs of a database, and what a database needs of an operation. With this between them the rules of queues are written
//! once, for both databases (`operations`), and how a database is spoken to once for all operations (`sqlite`, `postgres`).

use std::borrow::Cow;
use std::future::Future;

use jobwright_model::{JobRef, QueueName};
use tokio::sync::watch;

use crate::error::Result;
use crate::queue::Change;
use crate::value::{Row, Value};

/// One statement of SQL and what it is given. Parameters are `?1`, `?2`, ...; for what else differs there are words in braces ([`dialect`](crate::dialect)).
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sql: Cow<'static, str>,
    pub(crate) values: Vec<Value>,
    /// It only looks: rows that it gives are no change.
    pub(crate) is_look: bool,
}

impl Statement {
    /// One that changes something, and may give rows of what it changed.
    pub(crate) fn change(sql: impl Into<Cow<'static, str>>, values: Vec<Value>) -> Self {
        Self { sql: sql.into(), values, is_look: false }
    }

    /// One that changes nothing.
    pub(crate) fn look(sql: impl Into<Cow<'static, str>>, values: Vec<Value>) -> Self {
        Self { sql: sql.into(), values, is_look: true }
    }
}

/// A transaction that is open.
pub(crate) trait Transaction: Send {
    /// Executes the statements in their order, each seeing what those before it did, and gives the rows of each. None waits for another's
    /// answer, so what need not be known before the next is better given at once.
    fn all(&mut self, statements: Vec<Statement>) -> impl Future<Output = Result<Vec<Vec<Row>>>> + Send;

    /// The rows of one statement.
    fn rows(&mut self, statement: Statement) -> impl Future<Output = Result<Vec<Row>>> + Send {
        async { Ok(self.all(vec![statement]).await?.pop().unwrap_or_default()) }
    }

    /// The only row of one statement, when there is one.
    fn row(&mut self, statement: Statement) -> impl Future<Output = Result<Option<Row>>> + Send {
        async { Ok(self.rows(statement).await?.into_iter().next()) }
    }
}

/// What an operation writes of. It tells which locks a transaction takes, before anything else and in one order, so that no two servers wait
/// for each other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// What belongs to no queue: agents, and which queues there are.
    pub(crate) beyond: bool,
    /// Every queue.
    pub(crate) all: bool,
    /// These queues.
    pub(crate) queues: Vec<QueueName>,
}

impl Touched {
    pub(crate) fn queue(queue: &QueueName) -> Self {
        Self { queues: vec![queue.clone()], ..Self::default() }
    }

    pub(crate) fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    pub(crate) fn beyond() -> Self {
        Self { beyond: true, ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.beyond |= other.beyond;
        self.all |= other.all;
        self.queues.extend(other.queues);
    }
}

/// Something that is done in one transaction. It may be begun again when its transaction came to nothing.
pub(crate) trait Operation: Send + Sync + 'static {
    /// What comes of it.
    type Answer: Send + 'static;

    /// Whether somebody who waits for changes wants to know that it changed something.
    const IS_TOLD: bool = true;

    /// What it writes of. Nothing where it only reads.
    fn touched(&self) -> Touched {
        Touched::default()
    }

    fn run<T: Transaction>(&self, tx: &mut T) -> impl Future<Output = Result<Self::Answer>> + Send;

    /// Its statements up to the first whose answer it must know to go on, where those do not depend on anything: many operations that begin so can ask
    /// together, in their order, and nobody waits for the answers to one before the next is asked.
    fn first(&self) -> Option<Vec<Statement>> {
        None
    }

    /// How it goes on after the answers to [`first`](Self::first).
    fn then(&self, _answers: Vec<Vec<Row>>) -> Result<Then<Self::Answer>> {
        Ok(Then::Alone)
    }

    /// The job of which nobody else may write between its first statements and those that follow.
    fn alone_on(&self) -> Option<&JobRef> {
        None
    }
}

/// How an operation goes on.
pub(crate) enum Then<A> {
    /// It is done.
    Done(A),
    /// These are still to be executed, and give nothing that anybody waits for.
    Last(Vec<Statement>, A),
    /// Otherwise: what it did must be taken back, and it be [run](Operation::run) by itself.
    Alone,
}

/// Runs an operation that is its first statements and what follows from them.
pub(crate) async fn run_by_steps<O: Operation, T: Transaction>(
    operation: &O,
    first: Vec<Statement>,
    tx: &mut T,
) -> Result<Option<O::Answer>> {
    match operation.then(tx.all(first).await?)? {
        Then::Done(answer) => Ok(Some(answer)),
        Then::Last(statements, answer) => {
            tx.all(statements).await?;
            Ok(Some(answer))
        }
        Then::Alone => Ok(None),
    }
}

/// A database.
pub(crate) trait Database: Send + Sync {
    /// Does it: synced when this returns, or not done.
    fn write<O: Operation>(&self, operation: O) -> impl Future<Output = Result<O::Answer>> + Send;

    /// Does one that only reads, beside those that write.
    fn read<O: Operation>(&self, operation: O) -> impl Future<Output = Result<O::Answer>> + Send;

    /// See [`QueueStore::changes`](crate::QueueStore::changes).
    fn changed(&self) -> watch::Receiver<Change>;
}
