//! The thread that writes. What comes while a transaction is being synced shares the next one. Not for reading.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;

use super::session::{Session, now};
use crate::batch::{Gathering, Waiting, pending};
use crate::database::Operation;
use crate::error::{Error, Result};
use crate::queue::Change;

/// So many operations share a transaction at most.
const MOST: usize = 256;
/// So often it is looked whether another process changed something.
const LOOK: Duration = Duration::from_millis(500);

type Task = Box<dyn Waiting<Session>>;

/// A handle on the thread, which ends with it.
pub(super) struct Writer {
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(session: Session, changes: watch::Sender<Change>) -> Result<Self> {
        let (tasks, waiting) = mpsc::channel();
        let writing = Writing { session, changes, seen: 0 };
        let thread =
            thread::Builder::new().name("queue-writer".to_owned()).spawn(move || writing.run(&waiting));
        let thread = thread.map_err(|error| Error::Failed {
            operation: "starting the thread that writes".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self { tasks: Some(tasks), thread: Some(thread) })
    }

    pub(super) async fn write<O: Operation>(&self, operation: O) -> Result<O::Answer> {
        let gone = || Error::Gone("the thread that writes has ended".to_owned());
        let (task, answer) = pending(operation);
        self.tasks.as_ref().ok_or_else(gone)?.send(task).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// What was asked for is done first.
impl Drop for Writer {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Writing {
    session: Session,
    changes: watch::Sender<Change>,
    /// The database's number of what other connections changed, when it was last looked at.
    seen: i64,
}

impl Writing {
    fn run(mut self, waiting: &Receiver<Task>) {
        let mut gathering = Gathering::default();
        loop {
            match waiting.recv_timeout(LOOK) {
                Ok(first) => {
                    let mut tasks = gather(first, waiting, &mut gathering);
                    let answered = tasks.len();
                    tasks.retain(|task| !task.is_abandoned());
                    self.share(tasks);
                    gathering = Gathering::after(answered, 0);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look_at_others();
        }
    }

    /// One transaction for all of these, each in a savepoint of its own.
    fn share(&mut self, mut tasks: Vec<Task>) {
        if let Err(error) = self.session.execute("BEGIN IMMEDIATE") {
            return fail(tasks, &error);
        }
        let mut is_told = false;
        for task in &mut tasks {
            match self.run_one(task) {
                Ok(told) => is_told |= told,
                Err(error) => {
                    let _ = self.session.execute("ROLLBACK");
                    return fail(tasks, &error);
                }
            }
        }
        if let Err(error) = self.session.execute("COMMIT") {
            let _ = self.session.execute("ROLLBACK");
            return fail(tasks, &error);
        }
        tasks.into_iter().for_each(Waiting::conclude);
        if is_told {
            self.changes.send_modify(|change| *change += 1);
        }
    }

    /// Whether it changed something that is told. An error is one that ended the transaction.
    fn run_one(&mut self, task: &mut Task) -> Result<bool> {
        self.session.execute("SAVEPOINT one")?;
        self.session.take_change();
        let went_well = now(task.run(&mut self.session));
        if !self.session.is_in_transaction() {
            return Err(Error::Failed {
                operation: "writing".to_owned(),
                reason: "the database ended the transaction that this shared with others".to_owned(),
            });
        }
        if !went_well {
            self.session.execute("ROLLBACK TO one")?;
        }
        self.session.execute("RELEASE one")?;
        Ok(went_well && self.session.take_change() && task.is_told())
    }

    fn look_at_others(&mut self) {
        match self.session.number("PRAGMA data_version") {
            Ok(version) if version != self.seen => {
                self.seen = version;
                self.changes.send_modify(|change| *change += 1);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "it cannot be seen whether others changed the queues"),
        }
    }
}

/// Those who wait, and those who come in a moment.
fn gather(first: Task, waiting: &Receiver<Task>, gathering: &mut Gathering) -> Vec<Task> {
    let mut tasks = vec![first];
    while tasks.len() < MOST {
        tasks.extend(waiting.try_iter().take(MOST - tasks.len()));
        let Some(patience) = gathering.patience(tasks.len()) else { break };
        let Ok(task) = waiting.recv_timeout(patience) else { break };
        tasks.push(task);
    }
    tasks
}

fn fail(tasks: Vec<Task>, error: &Error) {
    for task in tasks {
        task.fail(error.again());
    }
}
