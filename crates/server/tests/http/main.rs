//! The real routes over a real unix socket and real TCP, asked by the real client and by hand, in front of an executor that does what a
//! test tells it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod bodies;
mod calls;
mod doors;
mod ending;
mod events;
mod fake;
mod openapi;
mod places;
mod queue;
mod queues;
mod raw_output;
mod refusals;
mod support;
mod whole;
