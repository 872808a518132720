//! Runs one job: its phases, their stages, their steps. The only caller of a backend, whatever the job came from
//! (DESIGN section 2), so that conditions, timeouts, masking, cancellation, cleanup and endings are written once.
//!
//! Not here: which jobs run when (`engine`, `queue`), and what is shown of them (an [`Observer`] is told; what it does with it
//! is its own business).
//!
//! One job's way: [`JobRun`] takes the phases in order and hands the workspace of each to the next; each is a [`WorkflowRun`]
//! under a task uuid of its own: set up, steps in the order of their [`plan`](self), destroyed exactly once. A step is started,
//! its log pumped through the masker, waited for, drained, destroyed; then it has an [`Ending`](jobwright_model::Ending).

mod activity;
mod adopt;
mod bound;
mod claims;
mod clock;
mod course;
mod environment;
mod gate;
mod handover;
mod job;
mod keeping;
mod kept;
mod lanes;
mod limits;
mod masking;
mod observer;
mod outage;
mod past;
mod plan;
mod progress;
mod pump;
mod readiness;
mod record;
mod running;
mod scope;
mod sealed;
mod shared;
mod step;
mod step_files;
mod visit;
mod workflow;

pub use claims::{Claim, Claims};
pub use clock::BootTime;
pub use gate::{Conditions, Gate, Situation, Verdict};
pub use handover::{WorkspaceSource, handovers_in};
pub use job::{Backends, JobReport, JobRun, Slot};
pub use keeping::WorkspaceKeeper;
pub use kept::{KeepWhen, KeptError, KeptStep, Revisit};
pub use limits::Limits;
pub use masking::{masker_for, secrets_of};
pub use observer::{MaskedChunk, Observer, ObserverError, ResumePoint, ToldBefore, Trace};
pub use outage::insist;
pub use past::{AttemptEnd, AttemptPast, Past};
pub use plan::PlanError;
pub use record::{Inheritance, KeptTask, Record, TaskPlace, open_tasks};
pub use scope::Scope;
pub use sealed::{DocumentError, Sealed, Unsealed, secret_values};
pub use step_files::StepFiles;
pub use visit::{Visited, Visitor, WAITING};
pub use workflow::{StepReport, WorkflowReport, WorkflowRun};
