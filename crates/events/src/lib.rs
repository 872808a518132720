//! Bus, sinks, events, their wire form, the durable event log and its subscriptions (DESIGN section 6).
//!
//! A run's [`Bus`] stamps every event and hands it to its sinks; the event log is the sink that every reader reads from.
//! Nothing here knows how a job runs or how an event is drawn.

mod bus;
mod event;
mod kinds;
mod log;
mod queue;
mod queued_sink;
mod quota;
mod text;
mod told;
mod utf8;
mod wire;

pub use bus::{Bus, Sink, SinkId};
pub use event::{Event, EventKind};
pub use kinds::{
    ExecKind, GapReason, Group, GroupKind, Name, OutputPosition, RunMode, StreamKind, UnknownWord,
};
pub use log::{
    EventLog, EventLogReader, EventLogSink, INDEX_FILE, LOG_FILE, LogError, LogOptions, LogSummary,
    OutputOrigin, OutputPiece, Recovered, ResumePosition, WireLine,
};
pub use queued_sink::{ConsumerPanicked, QueuedConsumer, QueuedSink};
pub use quota::{Admitted, Quota};
pub use told::Told;
pub use utf8::Utf8Splitter;
pub use wire::{WireError, WireEvent};
