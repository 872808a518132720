//! How the runtime behaves, against the scripted engine. Time is tokio's and paused: a test takes none, and waits for a signal
//! where it waits at all.

#![allow(clippy::unwrap_used)] // The fixture is test code too, which the lint does not see.

mod background;
mod cancel;
mod chaos;
mod environment;
mod failures;
mod files;
mod gates;
mod jobs;
mod journal;
mod keeping;
mod kept;
mod lifecycle;
mod logs;
mod masking;
mod outages;
mod readiness;
mod scheduling;
mod setup;
mod step_files;
mod support;
mod timeouts;
mod visits;
mod workspaces;
