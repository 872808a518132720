//! Finding what a dead owner's instance left running, and taking it over (`WorkflowDiscoverer`, `WorkflowResumer`). Labels say
//! whose a container is; those of other owners are not seen.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bollard::models::{ContainerStateStatusEnum as Status, ContainerSummary};
use bollard::query_parameters::ListContainersOptionsBuilder;
use jobwright_backend::{
    DiscoveredStep, DiscoveredWorkflow, Error, Result, WorkflowDiscoverer, WorkflowResumer, labels,
};
use jobwright_model::{Step, StepUuid, TaskUuid};

use crate::Docker;
use crate::belongings::{carries, having};
use crate::failure;
use crate::tasks::{Container, Phase};

#[async_trait]
impl WorkflowDiscoverer for Docker {
    async fn discover_workflows(&self) -> Result<Vec<DiscoveredWorkflow>> {
        let engine = self.inner.engine().await?;
        let marks = [(labels::OWNER, self.inner.owner.as_str())];
        let mut filters = having(&marks);
        filters.insert("status".to_owned(), vec!["running".to_owned(), "paused".to_owned()]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let found = engine.quick.list_containers(Some(options)).await;
        let found = found.map_err(|error| engine.error("list containers", &error))?;
        let mut workflows: BTreeMap<TaskUuid, Vec<DiscoveredStep>> = BTreeMap::new();
        let ours = found.into_iter().filter(|container| carries(container.labels.as_ref(), &marks));
        for (task, step) in ours.filter_map(discovered) {
            workflows.entry(task).or_default().push(step);
        }
        Ok(workflows.into_iter().map(|(task, steps)| DiscoveredWorkflow { task, steps }).collect())
    }
}

/// A container as a step; none for one whose labels are not those of a step.
fn discovered(container: ContainerSummary) -> Option<(TaskUuid, DiscoveredStep)> {
    let mut carried = container.labels?;
    let task = TaskUuid::new(carried.remove(labels::TASK)?).ok()?;
    let uuid = StepUuid::new(carried.remove(labels::STEP)?).ok()?;
    let name = carried.remove(labels::NAME).unwrap_or_default();
    Some((task, DiscoveredStep { uuid, name, container_id: container.id? }))
}

#[async_trait]
impl WorkflowResumer for Docker {
    /// A step that ended in the meantime is taken over too: its exit status and its output are still there.
    async fn resume_step(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        let engine = self.inner.engine().await?;
        let unknown = || Error::unknown_step(step, task);
        let found = self.inner.container_of(step, task).await?.ok_or_else(unknown)?;
        let state = match engine.quick.inspect_container(&found.id, None).await {
            Ok(container) => container.state.unwrap_or_default(),
            Err(error) if failure::is_absent(&error) => return Err(unknown()),
            Err(error) => return Err(engine.error("inspect the container", &error)),
        };
        if state.status == Some(Status::CREATED) {
            return Err(unknown());
        }
        self.inner.tasks.get(task).remember(&step.uuid, Container { phase: Phase::Started, ..found });
        Ok(())
    }
}
