//! Decides which selected jobs run at all (`if`). What a condition may ask stays the same throughout a run, so all are decided before
//! the first job; a job whose condition does not hold is skipped when it is due, and holds nobody up.

use std::collections::BTreeMap;

use jobwright_model::{Cause, Ending, RunId, StepUuid};
use jobwright_pipeline::{
    CompileContext, Condition, ConditionContext, HostSecrets, PipelineJob, Report, Target, visible_variables,
};

use crate::git;
use crate::prepare::Prepared;
use crate::report::RunError;
use crate::spec::Spec;

/// Notes on every job of `prepared` whose condition does not hold that it is not to run.
///
/// # Errors
/// [`RunError::Jobs`] when a job's variables cannot be had, [`RunError::Condition`] when a condition has no answer.
pub(crate) async fn decide(prepared: &mut Prepared, spec: &Spec, run: &RunId) -> Result<(), RunError> {
    let conditions = || prepared.selected().into_iter().filter_map(|job| job.condition.as_deref());
    if conditions().next().is_none() {
        return Ok(());
    }
    let changed = match conditions().any(Condition::asks_for_changes) {
        true => git::changed(&prepared.plan.project).await,
        false => None,
    };
    let tag = git::tag(&prepared.plan.project).await;
    let facts = Facts { prepared, spec, run, tag: &tag, changed: changed.as_deref() };
    let unmet: Vec<Option<Ending>> =
        prepared.selected().into_iter().map(|job| facts.unmet(job)).collect::<Result<_, _>>()?;
    for (job, unmet) in prepared.plan.jobs.iter_mut().zip(unmet) {
        job.unmet = unmet;
    }
    Ok(())
}

struct Facts<'a> {
    prepared: &'a Prepared,
    spec: &'a Spec,
    run: &'a RunId,
    tag: &'a str,
    changed: Option<&'a [String]>,
}

impl Facts<'_> {
    fn unmet(&self, job: &PipelineJob) -> Result<Option<Ending>, RunError> {
        let Some(condition) = &job.condition else { return Ok(None) };
        let variables = self.variables(job)?;
        let context = ConditionContext {
            variables: &variables,
            branch: &self.prepared.plan.branch,
            commit: &self.prepared.plan.commit,
            tag: self.tag,
            event: &self.spec.event,
            changed: self.changed,
        };
        let failed = |source| RunError::Condition { job: job.name.clone(), source };
        let holds = condition.evaluate(&context).map_err(failed)?;
        let unmet = || Ending::new(Cause::Condition).because(format!("`{}` does not hold", condition.text()));
        Ok((!holds).then(unmet))
    }

    fn variables(&self, job: &PipelineJob) -> Result<BTreeMap<String, String>, RunError> {
        variables(self.prepared, self.spec, self.run, job).map_err(|report| RunError::Jobs(Box::new(report)))
    }
}

/// The variables of `job` that are no secrets.
pub(crate) fn variables(
    prepared: &Prepared,
    spec: &Spec,
    run: &RunId,
    job: &PipelineJob,
) -> Result<BTreeMap<String, String>, Report> {
    let context = CompileContext {
        run,
        // Variables do not depend on where the job would run.
        target: Target { backend: "", images: false, limits: false },
        environment: &spec.env,
        secrets: &HostSecrets::new(&prepared.plan.project),
        workspace: false,
        step_uuid: &StepUuid::random,
    };
    visible_variables(&prepared.pipeline, job, &context)
}
