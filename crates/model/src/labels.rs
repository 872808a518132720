//! The labels that everything which Jobwright creates in an engine carries (DESIGN rule 5), and those by which a compiler says what a
//! step is of. Cleanup and discovery touch nothing without them. Not for the labels that one backend needs for itself.

/// The id of the state directory whose thing it is.
pub const OWNER: &str = "dev.jobwright.owner";
/// The task uuid.
pub const TASK: &str = "dev.jobwright.task";
/// The step uuid.
pub const STEP: &str = "dev.jobwright.step";
/// The step's name.
pub const NAME: &str = "dev.jobwright.name";
/// The run id. A compiler puts it into a step's `workflow_labels` under this key.
pub const RUN: &str = "dev.jobwright.run";
/// The pipeline's stage that the job is of, from a compiler.
pub const STAGE: &str = "dev.jobwright.stage";
/// The job's name, from a compiler.
pub const JOB: &str = "dev.jobwright.job";

/// Woodpecker's own label for the step uuid, which its tools look for.
pub const WOODPECKER_UUID: &str = "wp_uuid";
/// Woodpecker's own label for the step name.
pub const WOODPECKER_STEP: &str = "wp_step";
