//! Finding steps that still run under some shim of this state directory, and attaching to them. Whether their owner lives
//! is told by the lock on its journal (DESIGN rule 5), which is `runtime`'s to look at.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::try_join_all;
use jobwright_backend::{DiscoveredStep, DiscoveredWorkflow, Error, Result, Resumed};
use jobwright_model::{Step, StepUuid, TaskUuid};
use jobwright_shim::protocol::Order;
use jobwright_shim::{Answer, ShimError, StepStatus};

use crate::exit;
use crate::link::Link;
use crate::place::{StepPlace, TaskPlace};
use crate::shims::{Shims, Whereabouts, does_not_answer};

/// Every task with at least one running step: each living shim is asked once for all of its steps, all shims at the same time.
pub(crate) async fn discover(root: &Path, shims: &Shims) -> Result<Vec<DiscoveredWorkflow>> {
    let lists = try_join_all(shims.all().await?.into_iter().map(list)).await?;
    let mut found: BTreeMap<TaskUuid, Vec<DiscoveredStep>> = BTreeMap::new();
    for status in lists.into_iter().flatten().filter(|status| status.exit.is_none()) {
        let Some((task, step)) = ids(&status) else { continue };
        let place = TaskPlace::new(root, &task).step(&step);
        // A step that removed its own output runs all the same, without a name.
        let name = place.start()?.map(|start| start.label).unwrap_or_default();
        let container_id = format!("{}-{}", status.pid, status.start_time);
        found.entry(task).or_default().push(DiscoveredStep { uuid: step, name, container_id });
    }
    Ok(found.into_iter().map(|(task, steps)| DiscoveredWorkflow { task, steps }).collect())
}

async fn list(link: Arc<Link>) -> Result<Vec<StepStatus>> {
    match link.call(Order::List).await {
        Ok(Answer::List(steps)) => Ok(steps),
        Ok(other) => Err(does_not_answer(&ShimError::Protocol(format!("{other:?}")))),
        // It ended, and it does so only when none of its steps runs any more.
        Err(ShimError::Gone) => Ok(Vec::new()),
        Err(error) => Err(does_not_answer(&error)),
    }
}

/// Task and step of a step's name in its shim ([`TaskPlace::step`]).
fn ids(status: &StepStatus) -> Option<(TaskUuid, StepUuid)> {
    let (task, step) = status.step.as_str().split_once('/')?;
    Some((TaskUuid::new(task).ok()?, StepUuid::new(step).ok()?))
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
pub(crate) async fn resume(
    shims: &Shims,
    place: &StepPlace,
    step: &Step,
    task: &TaskUuid,
) -> Result<Resumed> {
    let runs = look_up(shims, place).await?.map(|status| status.exit.is_none());
    match (runs, exit::recorded(place)?.is_some()) {
        (_, true) | (Some(false), _) => Ok(Resumed::Ended),
        (Some(true), false) => Ok(Resumed::Running),
        // The first thing that a shim does for a step is to make its output; where the task's folder is gone too, that says nothing.
        (None, false) if place.files.dir.is_dir() && !place.has_output() => {
            Err(Error::NotStarted(step.uuid.clone()))
        }
        (None, false) => Err(Error::unknown_step(step, task)),
    }
}
