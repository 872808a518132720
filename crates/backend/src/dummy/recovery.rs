//! Finding and taking over steps after a restart, which is to say: through another instance over the same engine.

use async_trait::async_trait;
use jobwright_model::{Step, TaskUuid};

use super::backend::Dummy;
use super::calls::Verb;
use super::engine::TaskPlace;
use crate::{DiscoveredStep, DiscoveredWorkflow, Result, Resumed, WorkflowDiscoverer, WorkflowResumer};

#[async_trait]
impl WorkflowDiscoverer for Dummy {
    async fn discover_workflows(&self) -> Result<Vec<DiscoveredWorkflow>> {
        self.called(Verb::Discover, None, None)?;
        let tasks = self.engine.tasks();
        let own = tasks.iter().filter(|((owner, _), _)| *owner == self.owner);
        let found = own.map(|((_, task), place)| DiscoveredWorkflow {
            task: task.clone(),
            steps: running_steps(task, place),
        });
        let mut found: Vec<_> = found.filter(|workflow| !workflow.steps.is_empty()).collect();
        found.sort_by(|a, b| a.task.cmp(&b.task));
        Ok(found)
    }
}

#[async_trait]
impl WorkflowResumer for Dummy {
    /// A step that ended meanwhile can be resumed as well: its exit and its output are there to be read.
    async fn resume_step(&self, step: &Step, task: &TaskUuid) -> Result<Resumed> {
        self.called(Verb::ResumeStep, Some(task), Some(step))?;
        let found = self.running(step, task)?;
        Ok(if found.runs() { Resumed::Running } else { Resumed::Ended })
    }
}

fn running_steps(task: &TaskUuid, place: &TaskPlace) -> Vec<DiscoveredStep> {
    let running =
        place.steps.iter().filter(|(_, step)| step.running.as_ref().is_some_and(|step| step.runs()));
    let mut found: Vec<_> = running
        .map(|(uuid, step)| DiscoveredStep {
            uuid: uuid.clone(),
            name: step.name.clone(),
            container_id: format!("dummy_{task}_{uuid}"),
        })
        .collect();
    found.sort_by(|a, b| a.uuid.cmp(&b.uuid));
    found
}
