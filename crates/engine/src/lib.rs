//! Runs a pipeline's jobs: which, in what order, how many at once; and tells it as the run's events.
//!
//! Two steps: [`prepare`] selects and checks, a [`Runner`] schedules what was prepared over a [`JobExecutor`]. The executor that runs
//! jobs for real is [`RuntimeExecutor`]; [`Engine`] puts all of it together for one run. Nothing here shows anything: that is a
//! sink's affair.

mod around;
mod backends;
mod conditions;
mod crew;
mod dag;
mod engine;
mod enter;
mod executor;
mod foresight;
mod git;
mod job;
mod keep;
mod kept;
mod manifest;
mod observer;
mod places;
mod prepare;
mod remote;
mod report;
mod resume;
mod runner;
mod runtime_executor;
mod select;
mod sequence;
mod shared_groups;
mod spec;

pub use engine::{Engine, EngineOptions, Run};
pub use executor::{Begun, JobExecutor, JobOutcome, JobOutput};
pub use foresight::{ForeseenCache, ForeseenJob, Foresight, Order, Waits, foresee};
pub use git::CloneError;
pub use job::{MatrixGroup, PreparedJob};
pub use keep::{JobArtifacts, RunArtifacts, caches};
pub use kept::{ReenterError, Reentered};
pub use prepare::{PrepareError, Prepared, RunPlan, find_config, prepare};
pub use remote::{FetchError, FetchedVariable, VariableSource};
pub use report::{JobReport, RunError, RunReport};
pub use resume::{ResumeError, Resumption, ask_to_cancel, give_up, is_asked_to_cancel, is_prepared};
pub use runner::Runner;
pub use runtime_executor::{ExecutorSettings, RuntimeExecutor};
pub use shared_groups::{SharedGroups, SharedGroupsError};
pub use spec::Spec;
