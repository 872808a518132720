//! Bus, sinks, events, their wire form, the durable event log and its subscriptions (DESIGN section 6).
//!
//! A run's [`Bus`] stamps every event and hands it to its sinks; the event log is the sink that every reader reads from.
//! Nothing here knows how a job runs or how an event is drawn.

mod bus;
mod event;
mod kinds;
mod wire;

pub use bus::{Bus, Sink, SinkId};
pub use event::{Event, EventKind};
pub use kinds::{ExecKind, GapReason, Group, GroupKind, Name, RunMode, StreamKind, UnknownWord};
pub use wire::{WireError, WireEvent};
