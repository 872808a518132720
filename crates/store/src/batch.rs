//! Operations that wait for a transaction, of whatever kind. Many share one, and with it one sync (docs/adr/0014). Not for how a transaction is
//! begun and ended: that is each database's own.

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jobwright_model::JobRef;
use tokio::sync::oneshot;

use crate::database::{Operation, Statement, Then, Touched, Transaction};
use crate::error::{Error, Result};
use crate::value::Row;

/// So long it is waited for those who were answered last: they mostly ask again at once, and then share the next sync instead of waiting for it. A small
/// part of what a sync takes.
const GATHERING: Duration = Duration::from_micros(500);

/// Who is expected to share the next transaction. One caller alone waits for nobody.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    expected: usize,
    until: Option<Instant>,
}

impl Gathering {
    /// So many were just answered, and so many wait already.
    pub(crate) fn after(answered: usize, waiting: usize) -> Self {
        Self { expected: answered + waiting, until: None }
    }

    /// How long to wait for more, when so many have come; none when it is enough.
    pub(crate) fn patience(&mut self, come: usize) -> Option<Duration> {
        if come >= self.expected {
            return None;
        }
        let until = *self.until.get_or_insert_with(|| Instant::now() + GATHERING);
        until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }
}

/// An operation of any kind that waits for a transaction of kind `T`.
pub(crate) trait Waiting<T>: Send {
    fn touched(&self) -> Touched;

    fn is_told(&self) -> bool;

    /// Nobody waits for what comes of it any more.
    fn is_abandoned(&self) -> bool;

    /// See [`Operation::first`].
    fn first(&self) -> Option<Vec<Statement>>;

    /// See [`Operation::alone_on`].
    fn alone_on(&self) -> Option<&JobRef>;

    /// Takes the answers to its first statements. What is still to be executed; none when that must be taken back and it be run by itself.
    fn take(&mut self, answers: Vec<Vec<Row>>) -> Option<Vec<Statement>>;

    /// Does it. False when what it did must be taken back.
    fn run<'a>(&'a mut self, tx: &'a mut T) -> BoxFuture<'a, bool>;

    /// Tells what came of it: it is synced.
    fn conclude(self: Box<Self>);

    /// Tells that nothing is to be known of it, or that it was not done.
    fn fail(self: Box<Self>, error: Error);
}

struct Pending<O: Operation> {
    operation: O,
    answer: Option<Result<O::Answer>>,
    reply: oneshot::Sender<Result<O::Answer>>,
}

/// Where the answer to an operation will come.
type Reply<O> = oneshot::Receiver<Result<<O as Operation>::Answer>>;

/// `operation` as one that waits, and where its answer will come.
pub(crate) fn pending<O: Operation, T: Transaction>(operation: O) -> (Box<dyn Waiting<T>>, Reply<O>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Pending { operation, answer: None, reply }), answer)
}

impl<O: Operation, T: Transaction> Waiting<T> for Pending<O> {
    fn touched(&self) -> Touched {
        self.operation.touched()
    }

    fn is_told(&self) -> bool {
        O::IS_TOLD
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn first(&self) -> Option<Vec<Statement>> {
        self.operation.first()
    }

    fn alone_on(&self) -> Option<&JobRef> {
        self.operation.alone_on()
    }

    fn take(&mut self, answers: Vec<Vec<Row>>) -> Option<Vec<Statement>> {
        let (statements, answer) = match self.operation.then(answers) {
            Ok(Then::Done(answer)) => (Vec::new(), answer),
            Ok(Then::Last(statements, answer)) => (statements, answer),
            // An error is found again, and told, when it is run by itself.
            Ok(Then::Alone) | Err(_) => return None,
        };
        self.answer = Some(Ok(answer));
        Some(statements)
    }

    fn run<'a>(&'a mut self, tx: &'a mut T) -> BoxFuture<'a, bool> {
        async move {
            let answer = self.operation.run(tx).await;
            let went_well = answer.is_ok();
            self.answer = Some(answer);
            went_well
        }
        .boxed()
    }

    fn conclude(self: Box<Self>) {
        let answer = self.answer.unwrap_or_else(|| Err(Error::Gone("it was not asked".to_owned())));
        // Whoever has gone away meanwhile does not want to know.
        let _ = self.reply.send(answer);
    }

    fn fail(self: Box<Self>, error: Error) {
        // Its own error, if it had one, may be what the others failed of.
        let own = self.answer.and_then(Result::err);
        let _ = self.reply.send(Err(own.unwrap_or(error)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_alone_waits_for_nobody() {
        assert_eq!(Gathering::after(1, 0).patience(1), None);
        assert_eq!(Gathering::default().patience(1), None);
    }

    #[test]
    fn those_who_were_answered_last_are_waited_for_a_moment() {
        let mut gathering = Gathering::after(3, 1);
        assert!(gathering.patience(1).is_some_and(|left| left <= GATHERING));
        assert_eq!(gathering.patience(4), None);
        while gathering.patience(3).is_some() {
            std::thread::yield_now();
        }
    }
}
