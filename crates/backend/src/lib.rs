//! The port behind which steps run (DESIGN section 3): what a backend is, what it can do, how its logs are read and how it
//! fails. The words and the JSON are those of `woodpecker-backend-types`; what is added is said at each item.
//!
//! A backend creates and destroys; it judges nothing. Conditions, timeouts, masking and endings belong to `runtime`, the
//! only caller of a backend. The dummy backend and the conformance suite, which every backend passes, live here too.

mod capabilities;
pub mod conformance;
mod control;
mod discovery;
pub mod dummy;
mod error;
mod inventory;
mod log;
pub mod names;
mod port;
mod progress;
pub mod quantities;
mod registry;

pub use capabilities::{Availability, BackendInfo, Capabilities, LogPrecision};
pub use control::{ExecRequest, ExecSession, Health, StepControl, StepStats, TerminalSize};
pub use discovery::{DiscoveredStep, DiscoveredWorkflow, Resumed, WorkflowDiscoverer, WorkflowResumer};
pub use error::{Error, ImageProblem, Result};
pub use inventory::{Holding, Inventory};
pub use jobwright_model::labels;
pub use log::{LogChunk, LogPosition, LogStream, StreamKind};
pub use port::{Backend, TarStream};
pub use progress::{Progress, ProgressEvent, Silent};
pub use registry::{BackendRegistry, FindError};
