//! What the reading of a step's log is doing, for everything that is told by the clock: the silence timeout of a step that runs,
//! and the end of a log that outlives its step.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::limits::after;

/// What a pump is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It waits for output: the step is silent.
    Reading,
    /// It waits for the observer, which is not the step's silence.
    Recording,
    /// It cannot read: whether the step is silent, nobody knows.
    BrokenOff,
}

/// What a pump is doing, and since when.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    doing: Doing,
    since: Instant,
    /// How long it waited for output before that.
    waited: Duration,
}

impl State {
    fn waited(&self) -> Duration {
        match self.doing {
            Doing::Recording => self.waited,
            Doing::Reading | Doing::BrokenOff => self.waited + self.since.elapsed(),
        }
    }
}

impl Activity {
    /// A log that is read from now on.
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { doing: Doing::Reading, since: Instant::now(), waited: Duration::ZERO }))
    }

    /// From now on the pump does this.
    pub(crate) fn turn_to(&self, doing: Doing) {
        let mut state = self.state();
        *state = State { doing, since: Instant::now(), waited: state.waited() };
    }

    /// Counts silence and waiting from now on.
    pub(crate) fn count_anew(&self) {
        let mut state = self.state();
        *state = State { since: Instant::now(), waited: Duration::ZERO, ..*state };
    }

    /// Waits until the step has printed nothing for `silence`.
    pub(crate) async fn silent_for(&self, silence: Duration) {
        loop {
            let State { doing, since, .. } = *self.state();
            let now = Instant::now();
            let due = after(if doing == Doing::Reading { since } else { now }, silence);
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }

    /// Waits until output was waited for so long in all. Reading what is there already does not count.
    pub(crate) async fn waited_for(&self, limit: Duration) {
        loop {
            let waited = self.state().waited();
            if waited >= limit {
                return;
            }
            sleep(limit - waited).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What `waiting` took while the pump turned to each of `turns` in turn, two seconds apart.
    async fn time_of(waiting: impl AsyncFn(&Activity), turns: &[Doing]) -> Duration {
        let activity = Activity::new();
        let begun = Instant::now();
        let pump = async {
            for turn in turns {
                sleep(2 * SECOND).await;
                activity.turn_to(*turn);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = waiting(&activity) => begun.elapsed(),
            () = pump => unreachable!("it waits for ever"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_output() {
        let silence = async |activity: &Activity| activity.silent_for(3 * SECOND).await;
        assert_eq!(time_of(silence, &[Doing::Reading; 3]).await, 9 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_slow_observer_is_no_silence() {
        let silence = async |activity: &Activity| activity.silent_for(3 * SECOND).await;
        let turns = [Doing::Recording, Doing::Recording, Doing::Recording, Doing::Reading];
        assert_eq!(time_of(silence, &turns).await, 11 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_cannot_be_read_is_not_called_silent() {
        let activity = Activity::new();
        activity.turn_to(Doing::BrokenOff);
        let silent = tokio::time::timeout(3600 * SECOND, activity.silent_for(3 * SECOND)).await;
        assert!(silent.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_output_adds_up_and_waiting_for_the_observer_does_not() {
        let waiting = async |activity: &Activity| activity.waited_for(5 * SECOND).await;
        assert_eq!(time_of(waiting, &[Doing::Reading, Doing::Recording, Doing::Reading]).await, 7 * SECOND);
    }
}
