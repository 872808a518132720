//! The backend that runs steps as processes of this host, under `jobwright-shim` (DESIGN section 7).
//!
//! A task is a folder below the state directory; that folder, and nothing else, says what belongs to it (DESIGN rule 5).
//! A step's output, exit status and processes are the shim's affair and live in the step's folder, so every method works
//! in a later instance, in another process, as it does in the one that started the step.
//!
//! Not here: how output is framed and trees are ended (the shim), which files a project has (`jobwright-workspace`),
//! when a step runs and what its end means (`runtime`).

mod backend;
mod cgroups;
mod command;
mod control;
mod destroy;
mod discovery;
mod environment;
mod exec;
mod exit;
mod inventory;
mod leftovers;
mod link;
mod options;
mod place;
mod pty;
mod run_as;
mod script;
mod settings;
mod shims;
mod spare;
mod start;
mod streams;
mod tail;
mod watch;

pub use backend::{NAME, ProcessBackend};
pub use run_as::{InvalidRunAs, RunAsChoice};
pub use settings::ProcessSettings;
