//! Fixtures of this crate's integration tests.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part; a fixture that fails is a failed test"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use jobwright_events::{
    Bus, Event, EventKind, EventLog, ExecKind, LogError, LogOptions, OutputPiece, OutputPosition, Sink,
    StreamKind, WireLine,
};
use jobwright_model::{Cause, Ending, RunId};

pub(crate) fn run_id() -> RunId {
    RunId::new("20261120T134644Z-c0764b").unwrap()
}

/// Output of a job's step `s` on stdout.
pub(crate) fn output(job: &str, data: impl Into<Bytes>, position: Option<u64>) -> EventKind {
    EventKind::LogLine {
        job: Some(job.into()),
        step: Some("s".into()),
        exec: ExecKind::Concurrent,
        stream: StreamKind::Stdout,
        data: data.into(),
        position: position.map(OutputPosition::at),
    }
}

pub(crate) fn diagnostic(text: &str) -> EventKind {
    EventKind::Diagnostic { data: text.to_owned() }
}

pub(crate) fn run_finished() -> EventKind {
    EventKind::RunFinished {
        duration: Duration::from_secs(1),
        error: None,
        ending: Ending::new(Cause::Success),
    }
}

/// Remembers every event that it gets.
#[derive(Clone, Default)]
pub(crate) struct Memory(pub(crate) Arc<Mutex<Vec<Arc<Event>>>>);

impl Memory {
    pub(crate) fn events(&self) -> Vec<Arc<Event>> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.events().iter().map(|event| event.seq).collect()
    }
}

impl Sink for Memory {
    fn emit(&mut self, event: &Arc<Event>) {
        self.0.lock().unwrap().push(Arc::clone(event));
    }
}

/// A bus with a new log in `folder`.
pub(crate) fn logged_bus(folder: &std::path::Path) -> (Bus, EventLog) {
    let log = EventLog::open(folder, &run_id(), LogOptions::default()).unwrap();
    let recovered = log.recovered();
    let bus = Bus::resume(run_id(), recovered.last_seq, recovered.last_time);
    bus.attach("event log", log.sink());
    (bus, log)
}

pub(crate) async fn all(stream: impl Stream<Item = Result<WireLine, LogError>>) -> Vec<WireLine> {
    stream.map(Result::unwrap).collect().await
}

pub(crate) fn seqs(lines: &[WireLine]) -> Vec<u64> {
    lines.iter().map(|line| line.seq).collect()
}

/// All bytes of an output, and how many are missing.
pub(crate) async fn bytes_and_gaps(
    stream: impl Stream<Item = Result<OutputPiece, LogError>>,
) -> (Vec<u8>, u64) {
    let (mut all, mut missing) = (Vec::new(), 0);
    let mut stream = std::pin::pin!(stream);
    while let Some(piece) = stream.next().await {
        match piece.unwrap() {
            OutputPiece::Bytes { data, .. } => all.extend_from_slice(&data),
            OutputPiece::Gap { bytes, .. } => missing += bytes,
        }
    }
    (all, missing)
}
