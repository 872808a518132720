//! Finding what a dead owner's instance left running, and taking it over (`WorkflowDiscoverer`, `WorkflowResumer`). Labels say
//! whose a container is; those of other owners are not seen.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jobwright_backend::{
    DiscoveredStep, DiscoveredWorkflow, Error, Result, Resumed, WorkflowDiscoverer, WorkflowResumer, labels,
};
use jobwright_model::{Step, StepUuid, TaskUuid};

use crate::Docker;
use crate::failure;
use crate::records::{Life, ListedContainer};
use crate::tasks::{Container, Phase};

#[async_trait]
impl WorkflowDiscoverer for Docker {
    async fn discover_workflows(&self) -> Result<Vec<DiscoveredWorkflow>> {
        let engine = self.inner.engine().await?;
        let marks = [(labels::OWNER, self.inner.owner.as_str())];
        let ours = engine.containers(&marks).await?;
        let mut workflows: BTreeMap<TaskUuid, Vec<DiscoveredStep>> = BTreeMap::new();
        for (task, step) in ours.into_iter().filter(|found| may_run(&found.life())).filter_map(discovered) {
            // Whoever takes it over next need not look for it again.
            let container = Container::new(step.container_id.clone(), Phase::Started, None);
            self.inner.tasks.get(&task).remember_found(&step.uuid, container);
            workflows.entry(task).or_default().push(step);
        }
        Ok(workflows.into_iter().map(|(task, steps)| DiscoveredWorkflow { task, steps }).collect())
    }
}

/// Whether there may be something to adopt. What an unclear state means is found out by whoever waits for its end.
fn may_run(life: &Life) -> bool {
    matches!(life, Life::Alive | Life::Unclear(_))
}

/// A container as a step; none for one whose labels are not those of a step.
fn discovered(container: ListedContainer) -> Option<(TaskUuid, DiscoveredStep)> {
    let mut carried = container.labels?;
    let task = TaskUuid::new(carried.remove(labels::TASK)?).ok()?;
    let uuid = StepUuid::new(carried.remove(labels::STEP)?).ok()?;
    let name = carried.remove(labels::NAME).unwrap_or_default();
    Some((task, DiscoveredStep { uuid, name, container_id: container.id }))
}

#[async_trait]
impl WorkflowResumer for Docker {
    /// A step that ended in the meantime is taken over too: its exit status and its output are still there.
    async fn resume_step(&self, step: &Step, task: &TaskUuid) -> Result<Resumed> {
        let engine = self.inner.engine().await?;
        let unknown = || Error::unknown_step(step, task);
        let found = self.inner.container_of(step, task).await?.ok_or_else(unknown)?;
        let state = match engine.inspect(&found.id).await {
            Ok(container) => container.into_state(),
            Err(error) if failure::is_absent(&error) => return Err(unknown()),
            Err(error) => return Err(engine.error("inspect the container", &error)),
        };
        let resumed = match state.life() {
            Life::Before => return Err(Error::NotStarted(step.uuid.clone())),
            Life::Over => Resumed::Ended,
            Life::Alive | Life::Unclear(_) => Resumed::Running,
        };
        self.inner.tasks.get(task).remember(&step.uuid, Container { phase: Phase::Started, ..found });
        Ok(resumed)
    }
}
