//! The bus of one run: it stamps events and hands each to every sink, in one order. What a sink does with an event is not
//! its concern, only that no sink can hurt the run.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jobwright_model::RunId;

use crate::event::{Event, EventKind};
use crate::told::Told;

/// Consumes events.
///
/// A sink must not call back into the bus that it is attached to (neither from another thread that it waits for): on the
/// same thread that is caught, the sink is removed and named in an error; elsewhere nobody can catch it.
pub trait Sink: Send {
    /// Takes one event and returns at once; what may be slow goes behind a [`QueuedSink`](crate::QueuedSink).
    fn emit(&mut self, event: &Arc<Event>);

    /// Called in place of `missed` events that a bounded queue before this sink had no room for, where they would have come.
    fn lagged(&mut self, missed: u64) {
        let _ = missed;
    }
}

/// Fans a run's events out to its sinks. Shared by reference or `Arc`; safe from any thread.
pub struct Bus {
    run_id: RunId,
    state: Mutex<State>,
    /// The thread that is handing an event to the sinks, by [`this_thread`]; 0 when none is.
    fanning_out: AtomicU64,
    next_sink: AtomicU64,
}

struct State {
    seq: u64,
    time: Timestamp,
    finished: bool,
    sinks: Vec<Attached>,
    /// What an earlier process told, and is not told again.
    told: Told,
}

struct Attached {
    id: SinkId,
    name: String,
    sink: Box<dyn Sink>,
}

/// Names a sink on its bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SinkId(u64);

/// A sink that is no longer on the bus, and why.
struct Broken {
    attached: Attached,
    panic: String,
}

impl Bus {
    /// A bus for a new run: its first event gets `seq` 1.
    #[must_use]
    pub fn new(run_id: RunId) -> Self {
        Self::resume(run_id, 0, Timestamp::UNIX_EPOCH)
    }

    /// A bus that goes on after the event `last_seq` of `last_time` (what the event log says when it is opened again).
    #[must_use]
    pub fn resume(run_id: RunId, last_seq: u64, last_time: Timestamp) -> Self {
        let told = Told::default();
        let state = State { seq: last_seq, time: last_time, finished: false, sinks: Vec::new(), told };
        Self {
            run_id,
            state: Mutex::new(state),
            fanning_out: AtomicU64::new(0),
            next_sink: AtomicU64::new(1),
        }
    }

    /// Leaves out, each once, the events that the log tells already: they are told again by whoever goes through the run once more.
    #[must_use]
    pub fn without_repeating(mut self, told: Told) -> Self {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).told = told;
        self
    }

    /// The run.
    #[must_use]
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// The number of the newest event; 0 before the first.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.lock().seq
    }

    /// Attaches a sink behind those that are there; `name` is for messages. It gets every event from now on: the first
    /// has the number after the one that is returned. It may be called at any time, so that a late sink can read what came
    /// before from the event log.
    pub fn attach(&self, name: impl Into<String>, sink: impl Sink + 'static) -> (SinkId, u64) {
        let id = SinkId(self.next_sink.fetch_add(1, Ordering::Relaxed));
        let mut state = self.lock();
        state.sinks.push(Attached { id, name: name.into(), sink: Box::new(sink) });
        (id, state.seq)
    }

    /// Takes a sink off the bus and drops it; false when it is not there (any more).
    pub fn detach(&self, id: SinkId) -> bool {
        let mut state = self.lock();
        let found = state.sinks.iter().position(|attached| attached.id == id);
        let removed = found.map(|index| state.sinks.remove(index));
        drop(state); // what a sink does when it is dropped must not happen under the lock
        removed.is_some()
    }

    /// Stamps an event with the time and the next number, hands it to every sink, and returns its number.
    ///
    /// Nothing follows `run_finished`: after it an event is refused, said through `tracing`, and 0 returned (the number of
    /// an event that never passed a bus); likewise, without a word, what is [not to be repeated](Self::without_repeating).
    ///
    /// # Panics
    /// When a sink of this very bus calls it. The panic ends that sink only: the bus catches it.
    pub fn emit(&self, kind: EventKind) -> u64 {
        let mut state = self.lock();
        if state.finished {
            drop(state);
            tracing::error!(run = %self.run_id, event = kind.type_name(), "an event after run_finished is left out");
            return 0;
        }
        if state.told.take(&kind) {
            return 0;
        }
        state.seq += 1;
        state.time = state.time.max(Timestamp::now());
        state.finished = matches!(kind, EventKind::RunFinished { .. });
        let event = Arc::new(Event { seq: state.seq, time: state.time, run_id: self.run_id.clone(), kind });
        self.fanning_out.store(this_thread(), Ordering::Relaxed);
        let broken = hand_out(&mut state.sinks, &event);
        self.fanning_out.store(0, Ordering::Relaxed);
        drop(state);
        // Told outside the lock: a subscriber of `tracing` may itself lead to this bus.
        broken.into_iter().for_each(bury);
        event.seq
    }

    /// # Panics
    /// When this thread is handing out an event of this bus already.
    fn lock(&self) -> MutexGuard<'_, State> {
        assert!(
            self.fanning_out.load(Ordering::Relaxed) != this_thread(),
            "a sink called back into the bus that it is attached to; a sink must only take the event and return"
        );
        // No panic passes `hand_out`, so the state is whole even if a lock holder panicked elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the event to every sink in order; those that panic are taken out and returned.
fn hand_out(sinks: &mut Vec<Attached>, event: &Arc<Event>) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut index = 0;
    while let Some(attached) = sinks.get_mut(index) {
        match catch_unwind(AssertUnwindSafe(|| attached.sink.emit(event))) {
            Ok(()) => index += 1,
            Err(payload) => broken.push(Broken { attached: sinks.remove(index), panic: message(&*payload) }),
        }
    }
    broken
}

/// Says that a sink is gone and drops it; what its drop does is its own matter.
fn bury(broken: Broken) {
    let Broken { attached, panic } = broken;
    tracing::error!(sink = attached.name, panic, "a sink failed and gets no more events; the run goes on");
    if catch_unwind(AssertUnwindSafe(|| drop(attached.sink))).is_err() {
        tracing::error!(sink = attached.name, "the failed sink failed again when it was dropped");
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "not a text".to_owned())
}

/// A number that no other live thread of this process has, never 0.
fn this_thread() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static THIS: u64 = NEXT.fetch_add(1, Ordering::Relaxed));
    THIS.with(|number| *number)
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("run_id", &self.run_id).finish_non_exhaustive()
    }
}
