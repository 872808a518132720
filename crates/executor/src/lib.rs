//! Executions by id: a program, a service or a person asks for one thing to be run, under an id of their own, and waits for it, watches it,
//! goes into it or ends it; one interface, whatever isolates it.
//!
//! An execution is one job of one phase of one step, and goes through `runtime` as every other: so its recovery, masking, cancellation and
//! ending are those of all jobs (DESIGN section 2). Not here: HTTP (`server`), and what a person sees (`cli`).

mod copies;
mod error;
mod executions;
mod live;
mod output;
mod plan;
mod port;
mod provision;
mod reader;
mod store;

pub use error::{Error, Result};
pub use executions::{ExecutionFolder, Executions, ExecutorOptions, Sink};
pub use port::{DEFAULT_WAIT, Executor, OutputChunk, OutputStream};
