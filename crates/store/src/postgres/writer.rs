//! The task that writes. What comes while a transaction is being synced shares the next one. Not for reading.
//!
//! Several servers may write into one database. A queue's row is its lock: a transaction takes those of all queues that it writes of before anything
//! else, in the order of their names, so that no two wait for each other, and numbers, turns and counters need no other care.

use std::collections::{BTreeSet, HashSet};
use std::mem;

use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio_postgres::Config;

use super::listener::CHANNEL;
use super::session::Session;
use crate::batch::{Gathering, Waiting, pending};
use crate::database::{Operation, Statement, Touched, Transaction};
use crate::error::{Error, Result};
use crate::queue::Change;
use crate::value::values;

/// So many operations share a transaction at most. Past this many savepoints PostgreSQL goes another, slower way.
const MOST: usize = 60;

type Task = Box<dyn Waiting<Session>>;

/// A handle on the task, which ends with it when it has done what was asked.
pub(super) struct Writer {
    tasks: mpsc::UnboundedSender<Task>,
}

impl Writer {
    /// `name` is what this instance calls itself when it tells others of a change.
    pub(super) fn start(
        config: Config,
        session: Session,
        changes: watch::Sender<Change>,
        name: String,
    ) -> Self {
        let (tasks, waiting) = mpsc::unbounded_channel();
        tokio::spawn(Writing { config, session: Some(session), changes, name }.run(waiting));
        Self { tasks }
    }

    pub(super) async fn write<O: Operation>(&self, operation: O) -> Result<O::Answer> {
        let gone = || Error::Gone("the task that writes has ended".to_owned());
        let (task, answer) = pending(operation);
        self.tasks.send(task).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

struct Writing {
    config: Config,
    session: Option<Session>,
    changes: watch::Sender<Change>,
    name: String,
}

impl Writing {
    async fn run(mut self, mut waiting: mpsc::UnboundedReceiver<Task>) {
        let mut tasks = Vec::new();
        let mut gathering = Gathering::default();
        while waiting.recv_many(&mut tasks, MOST).await > 0 {
            // Not by a timer, whose grain is coarser.
            while tasks.len() < MOST && gathering.patience(tasks.len()).is_some() {
                yield_now().await;
                while let Ok(task) = waiting.try_recv() {
                    tasks.push(task);
                }
            }
            let answered = tasks.len();
            tasks.retain(|task| !task.is_abandoned());
            if !tasks.is_empty() {
                self.share(mem::take(&mut tasks)).await;
            }
            gathering = Gathering::after(answered, waiting.len());
        }
    }

    /// One transaction for all of these. A connection that broke is made anew by the next.
    async fn share(&mut self, mut tasks: Vec<Task>) {
        let session = match self.session.take().filter(|session| !session.is_broken()) {
            Some(session) => Ok(session),
            None => Session::connect(&self.config).await,
        };
        let shared = match session {
            Ok(mut session) => {
                let shared = share(&mut session, &mut tasks, &self.name).await;
                // One in which a transaction may still be open is not used again.
                self.session = Some(session).filter(|session| shared.is_ok() && !session.is_broken());
                shared
            }
            Err(error) => Err(error),
        };
        match shared {
            Ok(is_told) => {
                tasks.into_iter().for_each(Waiting::conclude);
                if is_told {
                    self.changes.send_modify(|change| *change += 1);
                }
            }
            Err(error) => tasks.into_iter().for_each(|task| task.fail(error.again())),
        }
    }
}

/// Whether something was changed that is told. An error is one of the whole transaction.
async fn share(session: &mut Session, tasks: &mut [Task], name: &str) -> Result<bool> {
    session.unsay(0);
    session.take_change();
    session.say_ahead(Statement::look("BEGIN", values![]));
    let mut touched = Touched::default();
    tasks.iter().for_each(|task| touched.add(task.touched()));
    locks(touched).into_iter().for_each(|lock| session.say_ahead(lock));
    let (mut has_changed, mut is_told) = (false, false);
    let is_alone = tasks.len() == 1;
    let mut rest = tasks;
    while !rest.is_empty() {
        let first = first_of_group(rest);
        let (group, after) = rest.split_at_mut(first.len().max(1));
        rest = after;
        if let Some(changed) = ask_together(session, group, first).await? {
            has_changed |= changed;
            is_told |= changed && group.iter().any(|task| task.is_told());
            continue;
        }
        for task in group {
            let changed = run_one(session, task, is_alone).await?;
            has_changed |= changed;
            is_told |= changed && task.is_told();
        }
    }
    if !has_changed {
        // Locks alone are not worth a sync.
        session.execute("ROLLBACK").await?;
        return Ok(false);
    }
    if is_told {
        let tell = "SELECT pg_notify(?1, ?2)::text";
        session.say_ahead(Statement::look(tell, values![CHANNEL, name.to_owned()]));
    }
    session.execute("COMMIT").await?;
    Ok(is_told)
}

/// The first statements of as many of these, from the first one on, as can ask together.
fn first_of_group(tasks: &[Task]) -> Vec<Vec<Statement>> {
    let (mut alone_on, mut first) = (HashSet::new(), Vec::new());
    for task in tasks {
        if task.alone_on().is_some_and(|job| !alone_on.insert(job)) {
            break;
        }
        let Some(statements) = task.first() else { break };
        first.push(statements);
    }
    first
}

/// Asks for all of these at once. Whether that changed something; none when nothing is done, and each must be run by itself.
async fn ask_together(
    session: &mut Session,
    tasks: &mut [Task],
    first: Vec<Vec<Statement>>,
) -> Result<Option<bool>> {
    if first.is_empty() {
        return Ok(None);
    }
    session.say_ahead(Statement::look("SAVEPOINT several", values![]));
    session.take_change();
    let lengths: Vec<_> = first.iter().map(Vec::len).collect();
    let answers = session.all(first.concat()).await;
    if session.is_broken() {
        return Err(answers.err().unwrap_or_else(|| Error::Gone("the connection broke".to_owned())));
    }
    let mut last = Vec::new();
    let mut is_done = answers.is_ok();
    let mut answers = answers.unwrap_or_default().into_iter();
    for (task, length) in tasks.iter_mut().zip(lengths) {
        match task.take(answers.by_ref().take(length).collect()) {
            Some(statements) if is_done => last.extend(statements),
            _ => is_done = false,
        }
    }
    if !is_done {
        session.execute("ROLLBACK TO several").await?;
        return Ok(None);
    }
    let changed = session.take_change() || !last.is_empty();
    last.into_iter().for_each(|statement| session.say_ahead(statement));
    session.say_ahead(Statement::look("RELEASE several", values![]));
    Ok(Some(changed))
}

/// Whether it changed something. In a savepoint of its own, unless there is nobody else whose work could be lost.
async fn run_one(session: &mut Session, task: &mut Task, is_alone: bool) -> Result<bool> {
    let unsaid = session.unsaid();
    if !is_alone {
        session.say_ahead(Statement::look("SAVEPOINT one", values![]));
    }
    session.take_change();
    let went_well = task.run(session).await;
    if session.is_broken() {
        return Err(Error::Gone("the connection broke".to_owned()));
    }
    let changed = session.take_change();
    if !went_well && session.unsaid() > 0 {
        // It was refused before it asked for anything.
        session.unsay(unsaid);
    } else if !went_well && is_alone {
        // Nothing is committed then.
    } else if !is_alone {
        if !went_well {
            session.execute("ROLLBACK TO one").await?;
        }
        session.say_ahead(Statement::look("RELEASE one", values![]));
    }
    Ok(went_well && changed)
}

/// Locks of what is touched, in the order in which everybody takes them.
fn locks(touched: Touched) -> Vec<Statement> {
    let mut locks = Vec::new();
    if touched.beyond {
        locks.push(Statement::look("SELECT pg_advisory_xact_lock(?1)::text", values![super::BEYOND]));
    }
    if touched.all {
        locks.push(Statement::look("SELECT name FROM queues ORDER BY name FOR UPDATE", values![]));
    } else {
        let lock = "SELECT name FROM queues WHERE name = ?1 FOR UPDATE";
        let queues: BTreeSet<_> = touched.queues.iter().collect();
        locks.extend(queues.into_iter().map(|queue| Statement::look(lock, values![queue])));
    }
    locks
}

#[cfg(test)]
mod tests {
    use jobwright_model::QueueName;

    use super::*;
    use crate::value::Value;

    #[test]
    fn locks_are_taken_in_one_order_each_once() {
        let queue = |name: &str| QueueName::new(name).unwrap();
        let mut touched = Touched::queue(&queue("b"));
        touched.add(Touched { queues: vec![queue("c"), queue("a"), queue("b")], ..Touched::beyond() });
        let values: Vec<_> = locks(touched).into_iter().map(|mut lock| lock.values.remove(0)).collect();
        let names = ["a", "b", "c"].map(|name| Value::Text(name.to_owned()));
        assert_eq!((&values[0], &values[1..]), (&Value::Integer(super::super::BEYOND), &names[..]));
        assert_eq!(locks(Touched::all()).len(), 1);
        assert!(locks(Touched::default()).is_empty());
    }
}
