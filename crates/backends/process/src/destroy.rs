//! Ending steps and removing what they and their task took. Everything here may be done again, after any interruption.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use jobwright_backend::{Error, Result};
use jobwright_model::StepUuid;
use jobwright_shim::protocol::Order;
use jobwright_shim::{Refusal, ShimError};
use jobwright_workspace::offload;

use crate::backend::NAME;
use crate::cgroups;
use crate::leftovers;
use crate::place::{StepPlace, TaskPlace, TaskRecord};
use crate::run_as::{RunAsChoice, release_all_of};
use crate::shims::{Shims, Whereabouts, does_not_answer};
use crate::spare::Spares;
use crate::watch::Watcher;

/// From this length on, freeing an output takes the system long enough to do it elsewhere.
const LARGE: u64 = 16 << 20;

/// Ends a step and removes its files.
pub(crate) async fn destroy_step(
    (shims, watcher): (&Shims, &Watcher),
    grace: Duration,
    place: &StepPlace,
    record: &TaskRecord,
) -> Result<()> {
    end(shims, grace, place).await?;
    cgroups::remove(place).await?;
    let is_large = fs::metadata(place.files.output()).is_ok_and(|output| output.len() >= LARGE);
    let removed = if is_large {
        let (place, record) = (place.clone(), record.clone());
        let removed = tokio::task::spawn_blocking(move || place.remove(&record, true)).await;
        removed.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    } else {
        place.remove(record, watcher.is_followed(&place.files.output()))
    };
    removed.map_err(|error| Error::io(format!("removing what step {} took", place.id), error))?;
    shims.forget(&place.id);
    Ok(())
}

/// Ends all processes of a step, through its shim or, when that is dead, by the mark they carry.
async fn end(shims: &Shims, grace: Duration, place: &StepPlace) -> Result<()> {
    loop {
        let link = match shims.locate(place).await? {
            Whereabouts::Under(link) => link,
            Whereabouts::Gone => return leftovers::end(place, grace).await,
            Whereabouts::Nowhere => return Ok(()),
        };
        let grace_ms = grace.as_millis().try_into().unwrap_or(u64::MAX);
        let stop = Order::Stop { step: place.id.clone(), grace_ms, forget: true };
        match link.call(stop).await {
            Ok(_) => return Ok(()),
            // Perhaps a successor under the same name: the shim that started the step is dead then.
            Err(ShimError::Refused(Refusal::UnknownStep { .. })) => {
                return leftovers::end(place, grace).await;
            }
            // The next round finds out whether the shim is gone too.
            Err(ShimError::Gone) => {}
            Err(ShimError::Refused(refusal @ Refusal::StillAlive { .. })) => {
                let operation = format!("end step {}", place.id);
                return Err(Error::Engine { engine: NAME, operation, message: refusal.to_string() });
            }
            Err(error) => return Err(does_not_answer(&error)),
        }
    }
}

/// Ends all steps of a task and removes its folder and its work. What fails does not keep the rest; the first failure is
/// answered, and the task's folder stays to be found again.
pub(crate) async fn destroy_task(
    (shims, watcher): (&Shims, &Watcher),
    grace: Duration,
    (task, record): (&TaskPlace, &TaskRecord),
    run_as: Option<RunAsChoice>,
    uids: &Path,
    spares: &Spares,
) -> Result<()> {
    let mut steps = task.steps()?;
    let seen: HashSet<StepUuid> = steps.iter().map(|step| step.uuid.clone()).collect();
    // A step that removed its own files runs all the same.
    steps.extend(shims.steps_of(task).into_iter().filter(|step| !seen.contains(&step.uuid)));
    let ended = join_all(steps.iter().map(|step| destroy_step((shims, watcher), grace, step, record))).await;
    ended.into_iter().collect::<Result<Vec<()>>>()?;
    if *record == task.default_record() && spares.keep(task) {
        return Ok(());
    }
    if record.work != task.dir {
        remove_tree(&record.work).await?;
    }
    let released = match record.owner() {
        Some(owner) => run_as.unwrap_or(RunAsChoice::Auto).release(owner, uids),
        None => release_all_of(&task.task, uids),
    };
    released.map_err(|error| Error::io(format!("giving back the user of task {}", task.task), error))?;
    remove_tree(&task.dir).await
}

async fn remove_tree(path: &Path) -> Result<()> {
    offload::remove_tree(path).await.map(drop).map_err(|error| Error::Workspace(error.to_string()))
}
