//! Runs one job: its phases, their stages, their steps. The only caller of a backend, whatever the job came from
//! (DESIGN section 2), so that conditions, timeouts, masking, cancellation, cleanup and endings are written once.
//!
//! Not here: which jobs run when (`engine`, `queue`), and what is shown of them (an [`Observer`] is told; what it does with it
//! is its own business).
//!
//! One job's way: [`JobRun`] takes the phases in order; each is a [`WorkflowRun`] under a task uuid of its own: set up, steps in
//! the order of their [`plan`](self), destroyed exactly once. A step is started, its log pumped through the masker, waited for,
//! drained, destroyed; then it has an [`Ending`](jobwright_model::Ending).

mod environment;
mod gate;
mod job;
mod observer;
mod plan;
mod pump;
mod record;
mod scope;
mod step;
mod workflow;

pub use gate::{Conditions, Gate, Situation, Verdict};
pub use job::{Backends, JobReport, JobRun};
pub use observer::{MaskedChunk, Observer, ObserverError, ResumePoint, Trace};
pub use plan::PlanError;
pub use record::{Record, open_tasks};
pub use scope::Scope;
pub use workflow::{Limits, StepReport, WorkflowReport, WorkflowRun, WorkspaceSource, secrets_of};
