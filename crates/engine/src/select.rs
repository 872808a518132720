//! Which jobs of a pipeline a run takes, and in what order (local-ci.md 2.4). Not for when each may begin.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use jobwright_pipeline::{Pipeline, PipelineJob};

use crate::job::PreparedJob;
use crate::prepare::PrepareError;
use crate::spec::Spec;

/// The jobs that `spec` asks for: those that it names (with what they need, if it says so), else those of the stages that it names,
/// both in the file's order; else all, by stage and then in the file's order.
pub(crate) fn select(
    pipeline: &Pipeline,
    spec: &Spec,
    config: &Path,
) -> Result<Vec<PreparedJob>, PrepareError> {
    check_names(pipeline, spec, config)?;
    let selected: Vec<&PipelineJob> = if !spec.job_names.is_empty() {
        named(pipeline, spec)
    } else if !spec.stages.is_empty() {
        pipeline.jobs.iter().filter(|job| spec.stages.contains(&job.stage)).collect()
    } else {
        by_stage(pipeline)
    };
    if selected.is_empty() {
        return Err(PrepareError::NothingSelected(config.to_owned()));
    }
    Ok(selected.into_iter().map(PreparedJob::of).collect())
}

fn by_stage(pipeline: &Pipeline) -> Vec<&PipelineJob> {
    let place: HashMap<&str, usize> =
        pipeline.stages.iter().enumerate().map(|(place, stage)| (stage.as_str(), place)).collect();
    let mut jobs: Vec<&PipelineJob> = pipeline.jobs.iter().collect();
    jobs.sort_by_key(|job| place.get(job.stage.as_str()));
    jobs
}

/// The name of a job with a matrix means all its variants.
fn named<'p>(pipeline: &'p Pipeline, spec: &Spec) -> Vec<&'p PipelineJob> {
    let wanted: HashSet<&str> = spec.job_names.iter().map(String::as_str).collect();
    let is_meant = |job: &PipelineJob| wanted.contains(job.name.as_str()) || wanted.contains(job.base());
    let mut taken: HashSet<&str> =
        pipeline.jobs.iter().filter(|job| is_meant(job)).map(|job| job.name.as_str()).collect();
    if spec.with_needs {
        add_needs(pipeline, &mut taken);
    }
    pipeline.jobs.iter().filter(|job| taken.contains(job.name.as_str())).collect()
}

/// Adds what the jobs of `taken` need, directly or not.
fn add_needs<'p>(pipeline: &'p Pipeline, taken: &mut HashSet<&'p str>) {
    let index: HashMap<&str, &PipelineJob> =
        pipeline.jobs.iter().map(|job| (job.name.as_str(), job)).collect();
    let mut open: Vec<&str> = taken.iter().copied().collect();
    while let Some(job) = open.pop().and_then(|name| index.get(name)) {
        open.extend(job.needs.iter().map(String::as_str).filter(|need| taken.insert(need)));
    }
}

fn check_names(pipeline: &Pipeline, spec: &Spec, config: &Path) -> Result<(), PrepareError> {
    let config = config.to_owned();
    if let Some(name) = spec.job_names.iter().find(|name| pipeline.named(name).next().is_none()) {
        let mut known: Vec<String> = pipeline.jobs.iter().map(|job| job.base().to_owned()).collect();
        known.dedup();
        return Err(PrepareError::UnknownJob { name: name.clone(), config, known });
    }
    if let Some(name) = spec.stages.iter().find(|name| !pipeline.stages.contains(name)) {
        return Err(PrepareError::UnknownStage {
            name: name.clone(),
            config,
            known: pipeline.stages.clone(),
        });
    }
    Ok(())
}
