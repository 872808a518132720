//! A job's environment without its script: prepared as for a run, with a step in the script's place that waits for a visitor and ends
//! with the visit. Not for what the visitor does there.
//!
//! What a job does beside its script is done where the environment needs it (services, caches, the commands on the host before and after)
//! and left out where it is the run's business: conditions, retries, concurrency, time limits, `after_script`, and keeping caches and
//! artifacts.

use std::time::Duration;

use jobwright_model::{Job, StepType, Timeouts};
use jobwright_pipeline::PipelineJob;
use jobwright_runtime::{Backends, WAITING};

use crate::job::PreparedJob;
use crate::prepare::{PrepareError, Prepared};
use crate::report::RunError;

/// Leaves exactly one job in the plan, to be gone into whatever its conditions, needs and retries say.
///
/// # Errors
/// [`PrepareError::SeveralVariants`].
pub(crate) fn single(mut prepared: Prepared) -> Result<Prepared, PrepareError> {
    let names = || prepared.plan.jobs.iter().map(|job| job.name.to_string());
    let [job] = prepared.plan.jobs.as_slice() else {
        let job = prepared.selected().first().map(|job| job.base().to_owned()).unwrap_or_default();
        return Err(PrepareError::SeveralVariants { job, variants: names().collect() });
    };
    let (name, stage) = (job.name.clone(), job.stage.clone());
    prepared.plan.jobs = vec![PreparedJob { name, stage, ..PreparedJob::default() }];
    Ok(prepared)
}

/// Checks that the backend of the phase at `place` can be gone into at all.
pub(crate) fn check(job: &Job, place: usize, backends: &Backends) -> Result<(), RunError> {
    let backend = job.phases.get(place).and_then(|phase| backends.get(&phase.backend));
    match backend {
        Some(backend) if backend.control().is_none() => {
            let (job, what) = (job.name.clone(), "open a shell");
            Err(RunError::Unsupported { job, backend: backend.name(), what })
        }
        _ => Ok(()),
    }
}

/// Puts a step that waits in the place of the script of `job`, which was compiled from `file`, and has the time `limits` of its phases
/// follow. Gives the place of its phase.
pub(crate) fn wait_instead(
    file: &PipelineJob,
    job: &mut Job,
    limits: Option<&mut Vec<(usize, Duration)>>,
) -> usize {
    // The order of a job's phases is the compiler's promise.
    let place = usize::from(file.bootstrap.is_some());
    if !file.after_script.is_empty() {
        job.phases.remove(place + 1);
        let later = limits.into_iter().flatten().filter(|(at, _)| *at > place);
        later.for_each(|(at, _)| *at -= 1);
    }
    job.timeouts = Timeouts::default();
    let script = job.phases[place].workflow.stages.iter_mut().flat_map(|stage| &mut stage.steps);
    for step in script.filter(|step| step.kind == StepType::Commands) {
        // As commands: an engine is told of less of these than of an entrypoint's surroundings.
        step.commands = vec![WAITING.to_owned()];
    }
    place
}
