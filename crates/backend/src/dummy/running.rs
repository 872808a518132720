//! A started dummy step: its output, its end, and the ways to reach it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use jobwright_model::{ExitStatus, Step, StepExit};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::files::Files;
use super::player::{End, Player, SIGKILL, SIGTERM};
use super::scenario::{EndOverride, Scenario};
use super::spool::Spool;

/// A step that was started. It ends when the last handle to it is dropped, as a process does with its machine.
pub(super) struct Running {
    pub(super) scenario: Scenario,
    pub(super) spool: Arc<Spool>,
    pub(super) began: Instant,
    exit: watch::Receiver<Option<StepExit>>,
    signals: mpsc::UnboundedSender<i32>,
    stopped: watch::Sender<bool>,
    _player: AbortOnDropHandle<()>,
}

impl Running {
    /// Starts `step`. Must be called within a tokio runtime.
    pub(super) fn start(step: &Step, scenario: Scenario, files: Arc<Files>) -> Self {
        let spool = Arc::new(Spool::new());
        let (signals, received) = mpsc::unbounded_channel();
        let stopped = watch::Sender::new(false);
        let (tell, exit) = watch::channel(None);
        let began = Instant::now();
        let started = Timestamp::now();
        let mut player = Player::new(
            step.clone(),
            scenario.delivery,
            Arc::clone(&spool),
            files,
            received,
            stopped.subscribe(),
        );
        let (acts, end_override) = (scenario.acts.clone(), scenario.end);
        let play = async move {
            let end = player.perform(&acts).await;
            tell.send_replace(Some(exit_of(end, end_override, started, began.elapsed())));
            player.outlive().await;
        };
        let player = AbortOnDropHandle::new(tokio::spawn(play));
        Self { scenario, spool, began, exit, signals, stopped, _player: player }
    }

    /// Whether it has not ended.
    pub(super) fn runs(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// How it ended; waits for it. `None` when the player was ended with its engine.
    pub(super) async fn exit(&self) -> Option<StepExit> {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.ok()?;
        ended.clone()
    }

    /// Sends a signal to it and to what it left behind; nothing happens when nothing is left of it.
    pub(super) fn signal(&self, signal: i32) {
        let _ = self.signals.send(signal);
    }

    pub(super) fn stop(&self, stopped: bool) {
        self.stopped.send_replace(stopped);
    }

    /// SIGTERM, the grace, SIGKILL, for the whole tree. Dropped half-way, it may be called again.
    pub(super) async fn end(&self, grace: Duration) {
        self.signal(SIGTERM);
        if timeout(grace, self.spool.closed()).await.is_err() {
            self.signal(SIGKILL);
            self.spool.closed().await;
        }
    }
}

/// What the engine says of an end. Times follow tokio's clock, so they fit together when a test pauses it.
fn exit_of(end: End, instead: EndOverride, started: Timestamp, took: Duration) -> StepExit {
    let status = if instead.unknown { ExitStatus::Unknown } else { end.status };
    let took = SignedDuration::try_from(took).unwrap_or(SignedDuration::MAX);
    StepExit {
        oom: end.oom || instead.oom,
        started: Some(started),
        finished: started.checked_add(took).ok(),
        ..StepExit::new(status)
    }
}
