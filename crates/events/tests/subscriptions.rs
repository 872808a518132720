//! Replay, then live: no gap, no duplicate, and no reader that slows the run.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod common;

use std::sync::Arc;
use std::thread;

use common::{Memory, all, diagnostic, logged_bus, output, run_finished, run_id, seqs};
use futures_util::StreamExt as _;
use jobwright_events::{Event, EventLogReader, Sink, WireEvent};
use proptest::prelude::*;
use tempfile::tempdir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Tells the test how far the run is.
struct Told(UnboundedSender<u64>);

impl Sink for Told {
    fn emit(&mut self, event: &Arc<Event>) {
        let _ = self.0.send(event.seq); // the test stops listening when all have joined
    }
}

/// When a subscriber joins (after which event), what it has already, and whether it reads as another process would.
#[derive(Debug, Clone)]
struct Joining {
    at: u64,
    after: u64,
    foreign: bool,
}

fn joining(events: u64) -> impl Strategy<Value = Joining> {
    (1..=events, 0..=events + 2, proptest::bool::weighted(0.2)).prop_map(|(at, after, foreign)| Joining {
        at,
        after,
        foreign,
    })
}

const EMITTERS: u64 = 4;
const EACH: u64 = 150;
const EVENTS: u64 = EMITTERS * EACH;

async fn a_run_with_subscribers(subscribers: Vec<Joining>, sizes: Vec<usize>) {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    let bus = Arc::new(bus);
    let memory = Memory::default();
    bus.attach("memory", memory.clone());
    let (told, mut progress) = unbounded_channel();
    bus.attach("told", Told(told));
    let reader = log.reader().unwrap();

    let emitters: Vec<_> = (0..EMITTERS)
        .map(|emitter| {
            let (bus, sizes) = (Arc::clone(&bus), sizes.clone());
            thread::spawn(move || {
                for round in 0..EACH {
                    let size = sizes[(round + emitter) as usize % sizes.len()];
                    let byte = if round % 7 == 0 { 0xff } else { b'\n' };
                    bus.emit(output(&format!("job{emitter}"), vec![byte; size], Some(round)));
                }
            })
        })
        .collect();

    let mut joined = Vec::new();
    for seq in 1..=EVENTS {
        assert_eq!(progress.recv().await, Some(seq));
        for who in subscribers.iter().filter(|who| who.at == seq) {
            let (reader, who, path) = (reader.clone(), who.clone(), folder.path().to_owned());
            joined.push((
                who.clone(),
                tokio::spawn(async move {
                    let reader =
                        if who.foreign { EventLogReader::open(&path, &run_id()).unwrap() } else { reader };
                    all(reader.subscribe(who.after)).await
                }),
            ));
        }
    }
    emitters.into_iter().for_each(|emitter| emitter.join().unwrap());
    bus.emit(run_finished());
    let emitted: Vec<WireEvent> = memory.events().iter().map(|event| WireEvent::from(&**event)).collect();
    for (who, lines) in joined {
        let got: Vec<WireEvent> = lines.await.unwrap().iter().map(|line| line.wire().unwrap()).collect();
        let expected = emitted.get(who.after as usize..).unwrap_or_default();
        assert!(got == expected, "{who:?} got {:?}", got.iter().map(|wire| wire.seq).collect::<Vec<_>>());
    }
    drop(log);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    // covers: local-ci 98, local-ci 99
    #[test]
    fn whenever_a_subscriber_joins_it_gets_each_later_event_once_and_in_order(
        subscribers in prop::collection::vec(joining(EVENTS), 1..12)
            .prop_map(|mut all| { all.iter_mut().for_each(|who| who.after = who.after.min(EVENTS)); all }),
        sizes in prop::collection::vec(prop_oneof![4 => 0..200_usize, 1 => Just(20_000)], 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
        runtime.block_on(a_run_with_subscribers(subscribers, sizes));
    }
}

// covers: local-ci 97, local-ci 98
#[tokio::test]
async fn a_finished_run_is_replayed_from_any_event_on_and_then_ends() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    for _ in 0..99 {
        bus.emit(diagnostic("x"));
    }
    bus.emit(run_finished());
    log.close().unwrap();
    let reader = EventLogReader::open(folder.path(), &run_id()).unwrap();
    for after in [0, 1, 50, 98, 99] {
        let lines = all(reader.subscribe(after)).await;
        assert_eq!(seqs(&lines), (after + 1..=100).collect::<Vec<_>>());
        assert!(lines.last().unwrap().is_last);
    }
    assert_eq!(all(reader.replay(100)).await, []);
    assert_eq!(all(reader.replay(u64::MAX)).await, []);
}

// covers: local-ci 24
#[tokio::test]
async fn a_line_is_given_out_byte_for_byte_as_it_lies_in_the_file() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    bus.emit(output("a", "é \"\\ \u{1}", None));
    bus.emit(run_finished());
    let lines = all(log.reader().unwrap().subscribe(0)).await;
    let text = std::fs::read_to_string(folder.path().join(jobwright_events::LOG_FILE)).unwrap();
    assert_eq!(
        lines.iter().map(|line| &line.json[..]).collect::<Vec<_>>(),
        text.lines().map(str::as_bytes).collect::<Vec<_>>()
    );
}

// covers: local-ci 100
#[tokio::test]
async fn a_subscriber_that_does_not_read_does_not_stop_the_run_and_misses_nothing() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    let mut stalled = std::pin::pin!(log.reader().unwrap().subscribe(0));
    bus.emit(diagnostic("first"));
    assert_eq!(stalled.next().await.unwrap().unwrap().seq, 1);
    for _ in 0..200 {
        bus.emit(output("a", vec![b'x'; 100_000], None)); // far more than any queue holds
    }
    bus.emit(run_finished());
    log.flush().await.unwrap();
    assert_eq!(seqs(&all(stalled).await), (2..=202).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_log_that_is_closed_without_run_finished_ends_its_subscribers() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    let subscriber = tokio::spawn(all(log.reader().unwrap().subscribe(0)));
    bus.emit(diagnostic("x"));
    log.close().unwrap();
    assert_eq!(seqs(&subscriber.await.unwrap()), [1]);
}

#[tokio::test]
async fn a_resumed_run_goes_on_for_a_subscriber_that_comes_back() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    bus.emit(diagnostic("x"));
    bus.emit(diagnostic("y"));
    log.close().unwrap();
    let (bus, log) = logged_bus(folder.path());
    let subscriber = tokio::spawn(all(log.reader().unwrap().subscribe(1)));
    bus.emit(diagnostic("z"));
    bus.emit(run_finished());
    assert_eq!(seqs(&subscriber.await.unwrap()), [2, 3, 4]);
}
