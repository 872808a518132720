//! Patience with an engine that does not answer: it is asked again until it answers or patience ends, and nothing is concluded
//! from its silence before (DESIGN rules 1 and 6). Not for what must not be asked twice, such as a start.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use jobwright_backend::{Backend, Error};
use tokio::time::{Instant, sleep, sleep_until};

use crate::limits::after;

/// Pause between two looks at an engine that does not answer.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Since when an engine does not answer one kind of question.
pub(crate) struct Outage<'a> {
    backend: &'a dyn Backend,
    patience: Duration,
    since: Option<Instant>,
}

impl<'a> Outage<'a> {
    /// No outage so far.
    pub(crate) fn none(backend: &'a dyn Backend, patience: Duration) -> Self {
        Self { backend, patience, since: None }
    }

    /// The engine answered.
    pub(crate) fn ended(&mut self) {
        self.since = None;
    }

    /// Waits for an answer. During an outage a question that stays open says nothing by itself: it ends the outage when the
    /// engine says that it is there, and is given up (`None`) when patience ends before that.
    pub(crate) async fn hear<T>(&mut self, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = pin!(answer);
        if let Some(since) = self.since {
            tokio::select! {
                biased;
                answer = &mut answer => return Some(answer),
                () = available(self.backend) => self.since = None,
                () = sleep_until(after(since, self.patience)) => return None,
            }
        }
        Some(answer.await)
    }

    /// The engine did not answer: waits before the next look. False when patience has ended.
    pub(crate) async fn look_again(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.patience {
            return false;
        }
        sleep(LOOK_AGAIN).await;
        true
    }
}

/// Asks until the engine answers, or until it has not answered for `patience`. For what may be asked twice.
///
/// # Errors
/// The engine's answer; [`Error::EngineGone`] when patience has ended.
pub async fn insist<T, F>(backend: &dyn Backend, patience: Duration, ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut outage = Outage::none(backend, patience);
    loop {
        match outage.hear(ask()).await {
            Some(Err(error @ Error::EngineGone { .. })) => {
                if !outage.look_again().await {
                    return Err(error);
                }
            }
            Some(answer) => return answer,
            None => {
                let reason = format!("nothing was heard of it for {patience:?}");
                return Err(Error::EngineGone { engine: backend.name(), reason });
            }
        }
    }
}

/// Waits until the engine says that it is there.
async fn available(backend: &dyn Backend) {
    loop {
        sleep(LOOK_AGAIN).await;
        if backend.is_available().await.is_available() {
            return;
        }
    }
}
