//! Finding steps that still run under some shim of this state directory, and attaching to them. Whether their owner lives
//! is told by the lock on its journal (DESIGN rule 5), which is `runtime`'s to look at.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use jobwright_backend::{DiscoveredStep, DiscoveredWorkflow, Error, Result};
use jobwright_model::{Step, TaskUuid};
use jobwright_shim::protocol::Order;
use jobwright_shim::{Answer, ShimError, StepStatus};

use crate::place::{StepPlace, TaskPlace};
use crate::shims::{Shims, Whereabouts, does_not_answer};

/// Every task with at least one running step.
pub(crate) async fn discover(root: &Path, shims: &Shims) -> Result<Vec<DiscoveredWorkflow>> {
    let mut found = Vec::new();
    for task in tasks(root)? {
        let mut steps = Vec::new();
        for place in task.steps()? {
            let Some(status) = look_up(shims, &place).await? else { continue };
            if status.exit.is_none() {
                let container_id = format!("{}-{}", status.pid, status.start_time);
                let name = place.start()?.map(|start| start.label).unwrap_or_default();
                steps.push(DiscoveredStep { uuid: place.uuid, name, container_id });
            }
        }
        if !steps.is_empty() {
            found.push(DiscoveredWorkflow { task: task.task, steps });
        }
    }
    Ok(found)
}

fn tasks(root: &Path) -> Result<Vec<TaskPlace>> {
    let path = root.join("tasks");
    let failed = |error| Error::io(format!("reading {}", path.display()), error);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut tasks = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let uuid = name.to_str().and_then(|name| TaskUuid::new(name).ok());
        tasks.extend(uuid.map(|uuid| TaskPlace::new(root, &uuid)));
    }
    Ok(tasks)
}

/// What the step's shim says of it; `None` when there is none.
async fn look_up(shims: &Shims, place: &StepPlace) -> Result<Option<StepStatus>> {
    let Whereabouts::Under(link) = shims.locate(place).await? else { return Ok(None) };
    match link.call(Order::Status { step: place.id.clone() }).await {
        Ok(Answer::Status(status)) => Ok(Some(*status)),
        Ok(_) | Err(ShimError::Refused(_)) => Ok(None),
        Err(error) => Err(does_not_answer(&error)),
    }
}

/// Makes sure that the step was started and that its end is, or will be, known. Nothing else is needed to attach.
pub(crate) async fn resume(shims: &Shims, place: &StepPlace, step: &Step, task: &TaskUuid) -> Result<()> {
    let is_known = look_up(shims, place).await?.is_some() || place.files.exit().exists();
    match is_known {
        true => Ok(()),
        // The first thing that a shim does for a step is to make its output.
        false if !place.has_output() => Err(Error::NotStarted(step.uuid.clone())),
        false => Err(Error::unknown_step(step, task)),
    }
}
