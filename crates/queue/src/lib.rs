//! A queue's rules and wire types: what an agent and a queue say to each other, in every form that executors of Sourcegraph have spoken
//! (`reference/sourcegraph.md`); what of a job is kept; whose turn it is where an agent serves several queues; which paths and names are safe.
//!
//! Not for HTTP (`server`, `client`), nor for keeping jobs (`store`), nor for running them (`agent`). There is no I/O here.

mod checks;
mod paths;
mod payload;
mod turns;
pub mod wire;

pub use checks::InvalidPayload;
pub use paths::{InvalidPath, InvalidRepository, check_repository, directory_path, file_path};
pub use payload::{CliStep, DockerStep, File, Payload};
pub use turns::{Share, Turns};
