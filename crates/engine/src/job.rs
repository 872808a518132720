//! A job as the schedule sees it: when it may begin, and what its ending means for the others. Not for what it runs: that is the
//! executor's, which knows it by its name.

use std::num::NonZeroU32;

use jobwright_events::Name;
use jobwright_model::Ending;
use jobwright_pipeline::{AllowFailure, Concurrency, PipelineJob, Retry};
use serde::{Deserialize, Serialize};

/// A job that was selected.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PreparedJob {
    /// Its name.
    pub name: Name,
    /// Its stage.
    pub stage: Name,
    /// The jobs that must have passed before it begins.
    pub needs: Vec<String>,
    /// It runs beside everything else and holds nothing up.
    pub detached: bool,
    /// The matrix that it is a variant of.
    pub matrix: Option<MatrixGroup>,
    /// When it is tried again.
    pub retry: Retry,
    /// Which of its failures the run passes over.
    pub allow_failure: AllowFailure,
    /// How many jobs of its group may run at a time.
    pub concurrency: Option<Concurrency>,
    /// Why it is not to run at all: how it is skipped when it is due.
    pub unmet: Option<Ending>,
}

/// The variants of one job, which form a barrier where the mode has none of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixGroup {
    /// The job's name in the file.
    pub name: Name,
    /// How many of its variants may run at a time.
    pub max_parallel: Option<NonZeroU32>,
}

impl PreparedJob {
    /// What the schedule has to know of `job`.
    #[must_use]
    pub fn of(job: &PipelineJob) -> Self {
        Self {
            name: job.name.as_str().into(),
            stage: job.stage.as_str().into(),
            needs: job.needs.clone(),
            detached: job.detached,
            matrix: job.variant.as_ref().map(|variant| MatrixGroup {
                name: variant.group.as_str().into(),
                max_parallel: variant.max_parallel,
            }),
            retry: job.retry.clone(),
            allow_failure: job.allow_failure.clone(),
            concurrency: job.concurrency.clone(),
            unmet: None,
        }
    }

    /// The name of the matrix that it is a variant of.
    pub(crate) fn matrix_name(&self) -> Option<&Name> {
        self.matrix.as_ref().map(|matrix| &matrix.name)
    }
}
