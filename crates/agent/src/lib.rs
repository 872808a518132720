//! An agent: takes jobs from queues, prepares their workspaces, runs them through `runtime`, and reports. A Sourcegraph cannot tell it from its own
//! executor (`reference/sourcegraph.md` 2 to 4).
//!
//! - [`JobSource`] is where jobs come from and reports go; [`Remote`] is that over HTTP;
//! - [`Agent`] is the loop: slots, signs of life, drain;
//! - `job` is one job from the moment on at which it was taken until its end was reported.
//!
//! Not for how queues decide (`queue`, `store`), nor for how a step is run.

mod agent;
mod error;
mod job;
mod leftovers;
mod metrics;
mod name;
mod pace;
mod remote;
mod running;
mod settings;
mod source;

pub use agent::{Agent, Outcome};
pub use error::{Error, Result};
pub use name::name_of;
pub use remote::{Offer, Remote};
pub use settings::{AgentSettings, HostRules, Identity};
pub use source::{Beat, Held, JobSource, SourceError};
