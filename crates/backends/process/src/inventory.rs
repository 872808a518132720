//! The tasks of this state directory, and whether steps of theirs run (`Inventory`). Those of other state directories are not seen from
//! here. Looks only: no folder is made, no shim is started.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use jobwright_backend::{Error, Holding, Result};
use jobwright_model::{OwnerId, TaskUuid};

use crate::discovery::discover;
use crate::shims::Shims;

pub(crate) async fn holdings(root: &Path, shims: &Shims, owner: &OwnerId) -> Result<Vec<Holding>> {
    let running: HashSet<TaskUuid> =
        discover(root, shims).await?.into_iter().map(|workflow| workflow.task).collect();
    let mut tasks: HashSet<TaskUuid> = folders(&root.join("tasks"))?.into_iter().collect();
    // One that removed its own folder runs all the same.
    tasks.extend(running.iter().cloned());
    let holding = |task: TaskUuid| Holding {
        owner: Some(owner.clone()),
        run: None,
        kind: "host task",
        name: task.as_str().to_owned(),
        runs: running.contains(&task),
        task: Some(task),
    };
    let mut found: Vec<Holding> = tasks.into_iter().map(holding).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn folders(path: &Path) -> Result<Vec<TaskUuid>> {
    let failed = |error| Error::io(format!("reading {}", path.display()), error);
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut tasks = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        tasks.extend(name.to_str().and_then(|name| TaskUuid::new(name).ok()));
    }
    Ok(tasks)
}
