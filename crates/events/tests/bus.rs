//! The bus and queued sinks as behaviours.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use common::{Memory, diagnostic, run_finished, run_id};
use jobwright_events::{Bus, Event, QueuedSink, Sink};

// covers: local-ci 3, local-ci 4, local-ci 5, local-ci 6, local-ci 9
#[test]
fn many_threads_emit_and_every_sink_sees_one_order_without_gaps_and_time_that_never_runs_back() {
    let bus = Bus::new(run_id());
    let sinks = [Memory::default(), Memory::default()];
    for sink in &sinks {
        bus.attach("memory", sink.clone());
    }
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..500).for_each(|_| assert!(bus.emit(diagnostic("x")) > 0)));
        }
    });
    let events = sinks[0].events();
    assert_eq!(sinks[0].seqs(), (1..=4000).collect::<Vec<_>>());
    assert_eq!(events, sinks[1].events());
    assert!(events.is_sorted_by_key(|event| event.time));
    assert_eq!(bus.last_seq(), 4000);
}

// covers: local-ci 10
#[test]
fn sinks_are_called_in_the_order_in_which_they_were_attached() {
    struct Named(&'static str, Sender<&'static str>);
    impl Sink for Named {
        fn emit(&mut self, _: &Arc<Event>) {
            self.1.send(self.0).unwrap();
        }
    }
    let bus = Bus::new(run_id());
    let (sender, calls) = channel();
    for name in ["first", "second", "third"] {
        bus.attach(name, Named(name, sender.clone()));
    }
    bus.emit(diagnostic("x"));
    assert_eq!(calls.try_iter().collect::<Vec<_>>(), ["first", "second", "third"]);
}

struct Panicking;

impl Sink for Panicking {
    fn emit(&mut self, event: &Arc<Event>) {
        assert!(event.seq < 2, "cannot take event {}", event.seq);
    }
}

// covers: local-ci 10
#[test]
fn a_sink_that_panics_is_removed_and_the_run_goes_on() {
    let bus = Bus::new(run_id());
    let (before, after) = (Memory::default(), Memory::default());
    bus.attach("before", before.clone());
    let (broken, _) = bus.attach("broken", Panicking);
    bus.attach("after", after.clone());
    for expected in 1..=3 {
        assert_eq!(bus.emit(diagnostic("x")), expected);
    }
    assert_eq!((before.seqs(), after.seqs()), (vec![1, 2, 3], vec![1, 2, 3]));
    assert!(!bus.detach(broken), "it is gone already");
}

/// Emits into the bus that it is attached to, as a sink must not.
struct CallsBack(Arc<OnceLock<Arc<Bus>>>, Sender<()>);

impl Sink for CallsBack {
    fn emit(&mut self, _: &Arc<Event>) {
        self.1.send(()).unwrap();
        self.0.get().unwrap().emit(diagnostic("again"));
    }
}

// covers: local-ci 8
#[test]
fn a_sink_that_calls_back_into_its_bus_fails_alone_instead_of_a_deadlock() {
    let slot = Arc::new(OnceLock::new());
    let (sender, calls) = channel();
    let bus = Arc::new(Bus::new(run_id()));
    slot.set(Arc::clone(&bus)).unwrap();
    let memory = Memory::default();
    bus.attach("calls back", CallsBack(slot, sender));
    bus.attach("memory", memory.clone());
    assert_eq!((bus.emit(diagnostic("x")), bus.emit(diagnostic("y"))), (1, 2));
    assert_eq!(memory.seqs(), [1, 2], "its own event was not emitted");
    assert_eq!(calls.try_iter().count(), 1, "it was called once and then removed");
}

#[test]
fn a_sink_may_emit_into_another_bus() {
    let slot = Arc::new(OnceLock::new());
    let other = Arc::new(Bus::new(run_id()));
    slot.set(Arc::clone(&other)).unwrap();
    let bus = Bus::new(run_id());
    let (sender, _calls) = channel();
    bus.attach("forwards", CallsBack(slot, sender));
    bus.emit(diagnostic("x"));
    bus.emit(diagnostic("y"));
    assert_eq!(other.last_seq(), 2);
}

#[test]
fn a_late_sink_is_told_where_it_begins_and_a_detached_one_gets_nothing_more() {
    let bus = Bus::new(run_id());
    bus.emit(diagnostic("x"));
    let memory = Memory::default();
    let (id, last_missed) = bus.attach("late", memory.clone());
    bus.emit(diagnostic("y"));
    assert!(bus.detach(id));
    bus.emit(diagnostic("z"));
    assert_eq!((last_missed, memory.seqs()), (1, vec![2]));
}

#[test]
fn a_sink_that_emits_when_it_is_dropped_does_not_stop_the_bus() {
    struct EmitsAtItsEnd(Arc<Bus>);
    impl Sink for EmitsAtItsEnd {
        fn emit(&mut self, event: &Arc<Event>) {
            assert_ne!(event.seq, 1);
        }
    }
    impl Drop for EmitsAtItsEnd {
        fn drop(&mut self) {
            self.0.emit(diagnostic("the end of me"));
        }
    }
    let bus = Arc::new(Bus::new(run_id()));
    bus.attach("dropped after its panic", EmitsAtItsEnd(Arc::clone(&bus)));
    assert_eq!(bus.emit(diagnostic("x")), 1);
    assert_eq!(bus.last_seq(), 2);
}

// covers: local-ci 7, local-ci 29
#[test]
fn nothing_follows_run_finished() {
    let bus = Bus::new(run_id());
    let memory = Memory::default();
    bus.attach("memory", memory.clone());
    assert_eq!(bus.emit(run_finished()), 1);
    assert_eq!(bus.emit(diagnostic("late")), 0, "the number of an event that never passed a bus");
    assert_eq!(memory.seqs(), [1]);
}

#[test]
fn a_resumed_bus_goes_on_after_the_last_event_and_not_before_its_time() {
    let future = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let bus = Bus::resume(run_id(), 41, future);
    let memory = Memory::default();
    bus.attach("memory", memory.clone());
    assert_eq!(bus.emit(diagnostic("x")), 42);
    assert_eq!(memory.events()[0].time, future);
}

/// Takes an event only when the test lets it.
struct Gated {
    gate: Receiver<()>,
    taken: Vec<u64>,
    missed: Vec<u64>,
}

impl Sink for Gated {
    fn emit(&mut self, event: &Arc<Event>) {
        let _ = self.gate.recv(); // an error: the test lets everything through
        self.taken.push(event.seq);
    }

    fn lagged(&mut self, missed: u64) {
        self.missed.push(missed);
    }
}

fn gated() -> (Sender<()>, Gated) {
    let (open, gate) = channel();
    (open, Gated { gate, taken: Vec::new(), missed: Vec::new() })
}

// covers: local-ci 11, local-ci 100
#[test]
fn a_sink_that_sleeps_does_not_slow_the_run_and_is_told_what_it_missed() {
    let bus = Bus::new(run_id());
    let (open, consumer) = gated();
    let (sink, consumer) = QueuedSink::spawn("slow", 16 << 10, consumer).unwrap();
    bus.attach("slow", sink);
    // The consumer takes nothing; were the bus to wait for it, this would never end.
    for _ in 0..10_000 {
        bus.emit(diagnostic("x"));
    }
    let lagged = consumer.lagged();
    assert!(lagged > 9_000, "{lagged}");
    drop(open);
    let consumer = consumer.close().unwrap();
    assert!(consumer.taken.is_sorted(), "order is kept");
    assert_eq!(consumer.taken.len() as u64 + lagged, 10_000);
    assert_eq!(consumer.missed.iter().sum::<u64>(), lagged);
}

#[test]
fn closing_a_queued_sink_gives_its_consumer_everything_first() {
    let bus = Bus::new(run_id());
    let (open, consumer) = gated();
    let (sink, consumer) = QueuedSink::spawn("slow", 1 << 20, consumer).unwrap();
    bus.attach("slow", sink);
    for _ in 0..100 {
        bus.emit(diagnostic("x"));
    }
    drop(open);
    let consumer = consumer.close().unwrap();
    assert_eq!((consumer.taken, consumer.missed), ((1..=100).collect(), vec![]));
    assert_eq!(bus.emit(diagnostic("nobody listens any more")), 101);
}

#[test]
fn an_event_larger_than_the_whole_queue_still_passes_when_nothing_waits() {
    let (open, consumer) = gated();
    drop(open);
    let (sink, consumer) = QueuedSink::spawn("small", 1, consumer).unwrap();
    let bus = Bus::new(run_id());
    bus.attach("small", sink);
    bus.emit(diagnostic(&"x".repeat(1 << 20)));
    assert_eq!(consumer.close().unwrap().taken, [1]);
}

#[test]
fn a_consumer_that_panics_does_not_hurt_the_run_and_is_reported() {
    let (sink, consumer) = QueuedSink::spawn("broken", 1 << 20, Panicking).unwrap();
    let bus = Bus::new(run_id());
    bus.attach("broken", sink);
    (1..=100).for_each(|seq| assert_eq!(bus.emit(diagnostic("x")), seq));
    assert!(consumer.close().is_err());
}
