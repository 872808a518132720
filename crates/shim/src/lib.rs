//! What the shim and those who use it share: the protocol, the files it writes, how a process is known again.
//!
//! The program itself is `src/bin/jobwright-shim/`. Not here: anything asynchronous (an asynchronous owner feeds
//! [`codec::Decoder`] from its own socket), and anything about workflows, shells or workspaces.
//!
//! ```no_run
//! # fn main() -> Result<(), jobwright_shim::ShimError> {
//! use jobwright_shim::{Client, StartOrder, StepId};
//! let mut shim = Client::ensure("/run/user/0/jobwright/shim".as_ref())?;
//! let step = StepId::new("task-1/step-1");
//! shim.start(StartOrder::new(step.clone(), "/run/user/0/jobwright/step-1", ["make", "all"]))?;
//! let exit = shim.wait(&step)?;
//! shim.forget(&step)?;
//! # Ok(()) }
//! ```

pub mod client;
pub mod codec;
pub mod descriptors;
pub mod error;
pub mod exec;
pub mod frame;
pub mod identity;
pub mod launch;
pub mod open_files;
pub mod procfs;
pub mod protocol;
pub mod record;
pub mod slot;
pub mod socket;

pub use client::Client;
pub use error::ShimError;
pub use exec::{ExecEnd, ExecOrder};
pub use frame::{Frame, FrameReader};
pub use identity::ProcessIdentity;
pub use launch::{ShimDir, find_shim, named_shim};
pub use protocol::{
    Answer, Message, Notice, Order, Refusal, Request, StartFailure, StartOrder, StartProblem, StepId,
    StepStatus,
};
pub use record::{ExitRecord, ExitStatus};
