//! An observer that remembers all that it was told, in order; it can be slow, and it can fail.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jobwright_backend::{ProgressEvent, StreamKind};
use jobwright_model::{Ending, Step};
use jobwright_runtime::{MaskedChunk, Observer, ObserverError, Trace};
use tokio::sync::watch;

/// What was told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Started,
    Ended(Ending),
    Skipped(Ending),
    Log(StreamKind, Bytes),
    Notice(String),
    Progress(ProgressEvent),
}

#[derive(Default)]
pub(crate) struct Seen {
    events: Mutex<Vec<(Option<String>, Event)>>,
    count: watch::Sender<usize>,
    /// From now on everything that is told is told in vain.
    pub(crate) fails: AtomicBool,
    /// How long the taking of each piece of output takes, in milliseconds.
    pub(crate) pace: AtomicU64,
    /// While this is set no output is taken.
    pub(crate) is_full: watch::Sender<bool>,
}

impl Seen {
    fn note(&self, step: Option<&Step>, event: Event) -> Result<(), ObserverError> {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push((step.map(|step| step.name.clone()), event));
        self.count.send_replace(events.len());
        if self.fails.load(Ordering::Relaxed) { Err(ObserverError("no".to_owned())) } else { Ok(()) }
    }

    /// All of it, with the names of the steps.
    pub(crate) fn all(&self) -> Vec<(Option<String>, Event)> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was told of `step`.
    pub(crate) fn of(&self, step: &str) -> Vec<Event> {
        let all = self.all().into_iter();
        all.filter(|(name, _)| name.as_deref() == Some(step)).map(|(_, event)| event).collect()
    }

    /// How the state of `step` changed.
    pub(crate) fn traces(&self, step: &str) -> Vec<Event> {
        let is_trace = |event: &Event| matches!(event, Event::Started | Event::Ended(_) | Event::Skipped(_));
        self.of(step).into_iter().filter(is_trace).collect()
    }

    /// The names of the steps of which `wanted` was told, in order.
    pub(crate) fn order(&self, wanted: impl Fn(&Event) -> bool) -> Vec<String> {
        let all = self.all().into_iter();
        all.filter(|(_, event)| wanted(event)).filter_map(|(name, _)| name).collect()
    }

    /// What `step` printed.
    pub(crate) fn output(&self, step: &str) -> String {
        String::from_utf8_lossy(&self.bytes(step, &[StreamKind::Stdout, StreamKind::Stderr])).into_owned()
    }

    /// What `step` printed to these streams.
    pub(crate) fn bytes(&self, step: &str, streams: &[StreamKind]) -> Vec<u8> {
        let of_stream = |event| match event {
            Event::Log(stream, bytes) if streams.contains(&stream) => bytes,
            _ => Bytes::new(),
        };
        self.of(step).into_iter().flat_map(of_stream).collect()
    }

    /// What a person was told.
    pub(crate) fn notices(&self) -> Vec<String> {
        let notice = |(_, event)| match event {
            Event::Notice(text) => Some(text),
            _ => None,
        };
        self.all().into_iter().filter_map(notice).collect()
    }

    /// Everything as one text, to look for what must not be in it.
    pub(crate) fn text(&self) -> String {
        let shown = |(name, event): (Option<String>, Event)| match event {
            Event::Log(_, bytes) => format!("{name:?} {}\n", String::from_utf8_lossy(&bytes)),
            other => format!("{name:?} {other:?}\n"),
        };
        self.all().into_iter().map(shown).collect()
    }

    /// Waits until `wanted` was told of `step`.
    pub(crate) async fn until(&self, step: &str, wanted: impl Fn(&Event) -> bool) {
        let mut count = self.count.subscribe();
        while !self.of(step).iter().any(&wanted) {
            count.changed().await.unwrap();
        }
    }

    /// Waits until `step` has printed `text`.
    pub(crate) async fn until_printed(&self, step: &str, text: &str) {
        let mut count = self.count.subscribe();
        while !self.output(step).contains(text) {
            count.changed().await.unwrap();
        }
    }

    /// Output comes after the start of its step and before its end.
    pub(crate) fn check_order(&self, step: &str) {
        let events = self.of(step);
        let begin = events.iter().position(|event| *event == Event::Started);
        let end = events.iter().position(|event| matches!(event, Event::Ended(_)));
        for (at, event) in events.iter().enumerate() {
            if let Event::Log(..) = event {
                assert!(begin.is_some_and(|begin| begin < at), "{step} printed before it was started");
                assert!(end.is_none_or(|end| at < end), "{step} printed after it had ended");
            }
        }
    }
}

#[async_trait]
impl Observer for Seen {
    async fn ready(&self) {
        let mut is_full = self.is_full.subscribe();
        is_full.wait_for(|is_full| !is_full).await.unwrap();
        let pace = self.pace.load(Ordering::Relaxed);
        if pace > 0 {
            tokio::time::sleep(Duration::from_millis(pace)).await;
        }
    }

    fn trace(&self, step: &Step, trace: &Trace) -> Result<(), ObserverError> {
        let event = match trace {
            Trace::Started(_) => Event::Started,
            Trace::Ended(ending) => Event::Ended(ending.clone()),
            Trace::Skipped(ending) => Event::Skipped(ending.clone()),
        };
        self.note(Some(step), event)
    }

    fn log(&self, step: &Step, chunk: MaskedChunk) -> Result<(), ObserverError> {
        self.note(Some(step), Event::Log(chunk.stream, chunk.bytes))
    }

    fn progress(&self, step: &Step, event: &ProgressEvent) {
        let _ = self.note(Some(step), Event::Progress(event.clone()));
    }

    fn notice(&self, step: Option<&Step>, text: &str) {
        let _ = self.note(step, Event::Notice(text.to_owned()));
    }
}
