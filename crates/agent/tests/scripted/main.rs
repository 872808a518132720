//! The agent against a server that behaves as a Sourcegraph does, over real HTTP, with real git and real processes: every request is looked at.

// The lint's exception for tests does not reach their fixtures.
#![allow(clippy::unwrap_used)]

mod agents;
mod containers;
mod jobs;
mod original;

#[path = "../../../backends/docker/tests/support/mod.rs"]
mod engines;
#[path = "../../../backends/process/tests/support/mod.rs"]
mod host;
