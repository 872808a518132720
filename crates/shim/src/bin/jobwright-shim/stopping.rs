//! Ending a step's whole tree: SIGTERM, the grace, SIGKILL until nothing is left (DESIGN rule 9).

use jobwright_shim::frame::OutputEnd;
use jobwright_shim::protocol::{Answer, Refusal};
use jobwright_shim::record::{EndedBy, Instants};

use crate::orders::nanoseconds;
use crate::shim::Shim;
use crate::step::{Stopping, Waiter};

/// Between two rounds of SIGKILL, in nanoseconds: processes may have started others meanwhile.
const KILL_PAUSE: u64 = 5_000_000;
/// After this long of killing, those who wait are told that something does not die, in nanoseconds.
const PATIENCE: u64 = 10_000_000_000;
/// Between two rounds once patience is over, in nanoseconds.
const LATE_PAUSE: u64 = 1_000_000_000;

impl Shim {
    /// Begins to end a step, or, if that has begun, shortens its grace. The waiter is answered when nothing is left.
    pub(crate) fn begin_stop(&mut self, key: u64, grace_ms: u64, cause: EndedBy, waiter: Option<Waiter>) {
        // An end that already happened must not be taken for the effect of this stop.
        self.wait_for_children();
        let now = Instants::now().boottime_ns;
        let until = now.saturating_add(nanoseconds(grace_ms));
        let Some(step) = self.steps.get_mut(key) else {
            return self.answer_gone(waiter);
        };
        if let Some(stopping) = &mut step.stopping {
            stopping.waiters.extend(waiter);
            stopping.next = if stopping.killing_since.is_some() { now } else { stopping.next.min(until) };
        } else {
            let waiters = waiter.into_iter().collect();
            let is_gone = step.is_gone;
            step.stopping = Some(Stopping { cause, next: until, killing_since: None, waiters });
            if is_gone {
                return self.complete_stop(key);
            }
            self.family.survey(&self.steps);
            if grace_ms > 0 {
                self.family.signal(key, &self.steps, libc::SIGTERM);
                // One that stands still, because it was paused or stopped by a terminal, can do nothing about it.
                self.family.signal(key, &self.steps, libc::SIGCONT);
            }
        }
        self.advance_stop(key);
    }

    /// The step was forgotten between the order and this moment, by another stop that asked for it.
    fn answer_gone(&mut self, waiter: Option<Waiter>) {
        if let Some(waiter) = waiter {
            self.answer(waiter.connection, waiter.request, Ok(Answer::Stopped { forced: false }));
        }
    }

    /// Goes on with a stop: done if nothing is left, killing if the grace is over.
    pub(crate) fn advance_stop(&mut self, key: u64) {
        self.family.survey(&self.steps);
        let left = self.family.members(key, &self.steps).len();
        if left == 0 {
            return self.complete_stop(key);
        }
        let now = Instants::now().boottime_ns;
        let Some(stopping) = self.steps.get_mut(key).and_then(|step| step.stopping.as_mut()) else { return };
        if now < stopping.next {
            return;
        }
        let since = *stopping.killing_since.get_or_insert(now);
        let impatient = now.saturating_sub(since) > PATIENCE;
        stopping.next = now + if impatient { LATE_PAUSE } else { KILL_PAUSE };
        let waiters = if impatient { std::mem::take(&mut stopping.waiters) } else { Vec::new() };
        self.family.signal(key, &self.steps, libc::SIGKILL);
        let Some(step) = self.steps.get(key) else { return };
        let refusal = Refusal::StillAlive { step: step.id.clone(), processes: left };
        for waiter in waiters {
            self.answer(waiter.connection, waiter.request, Err(refusal.clone()));
        }
    }

    fn complete_stop(&mut self, key: u64) {
        // Its processes are gone, so at most a stranger to whom a pipe was handed keeps the output open.
        self.end_output(key, OutputEnd::Closed);
        let Some(step) = self.steps.get_mut(key) else { return };
        let Some(stopping) = step.stopping.take() else { return };
        let forced = stopping.killing_since.is_some();
        let forget = stopping.waiters.iter().any(|waiter| waiter.forget);
        for waiter in stopping.waiters {
            self.answer(waiter.connection, waiter.request, Ok(Answer::Stopped { forced }));
        }
        if forget {
            self.steps.remove(key);
        }
    }
}
