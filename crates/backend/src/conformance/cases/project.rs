//! That a project's files reach the steps: those that its ignore rules leave, as they are.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use jobwright_model::{ExitStatus, TaskUuid};
use jobwright_workspace::{Project, TreeOptions};

use super::{case, files};
use crate::Error;
use crate::conformance::check::{refused, same, same_bytes};
use crate::conformance::{Case, CaseResult, Script, Trial};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(a_projects_files_are_seen_by_steps, "", files),
        case!(what_a_project_ignores_is_not_brought, "", files),
        case!(a_step_changes_its_copy_and_not_the_project, "", files),
        case!(a_project_that_is_not_there_is_an_error, "", files),
    ]
}

/// A project on disk that is removed with this value.
struct OnDisk(PathBuf);

impl OnDisk {
    fn new() -> CaseResult<Self> {
        let project =
            Self(std::env::temp_dir().join(format!("jobwright-conformance-{}", TaskUuid::random())));
        fs::create_dir_all(project.0.join("src"))?;
        fs::create_dir(project.0.join("build"))?;
        fs::write(project.0.join(".gitignore"), "build/\n*.log\n")?;
        fs::write(project.0.join("src/hello"), "hello\n")?;
        fs::write(project.0.join("build/made"), "made before\n")?;
        fs::write(project.0.join("old.log"), "old\n")?;
        symlink("src/hello", project.0.join("link"))?;
        fs::set_permissions(project.0.join("src/hello"), fs::Permissions::from_mode(0o755))?;
        Ok(project)
    }

    fn project(&self) -> Project {
        Project::new(&self.0, TreeOptions::default())
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        // What cannot be removed from the temporary directory is no verdict on the backend.
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn a_projects_files_are_seen_by_steps(trial: &Trial<'_>) -> CaseResult {
    let disk = OnDisk::new()?;
    let script = Script::new().print_file("src/hello").print_file("link").print_file(".gitignore");
    let reader = trial.step("reader", &script);
    let task = trial.set_up(&[&reader]).await?;
    task.backend.put_project(&task.uuid, &disk.project()).await?;
    let (output, exit) = task.run(&reader).await?;
    same("the status", &exit.status, &ExitStatus::Code(0))?;
    same_bytes("what the step read", &output.stdout(), b"hello\nhello\nbuild/\n*.log\n")
}

async fn what_a_project_ignores_is_not_brought(trial: &Trial<'_>) -> CaseResult {
    let disk = OnDisk::new()?;
    let [one, other] =
        ["build/made", "old.log"].map(|path| trial.step(path, &Script::new().print_file(path)));
    let task = trial.set_up(&[&one, &other]).await?;
    task.backend.put_project(&task.uuid, &disk.project()).await?;
    for step in [&one, &other] {
        let what = format!("the status of reading {}", step.name);
        same(&what, &task.run(step).await?.1.status, &ExitStatus::Code(1))?;
    }
    Ok(())
}

async fn a_step_changes_its_copy_and_not_the_project(trial: &Trial<'_>) -> CaseResult {
    let disk = OnDisk::new()?;
    let writer = trial.step("writer", &Script::new().write_file("src/hello", "changed\n"));
    let task = trial.set_up(&[&writer]).await?;
    task.backend.put_project(&task.uuid, &disk.project()).await?;
    task.run(&writer).await?;
    same_bytes("the project's own file", &fs::read(disk.path().join("src/hello"))?, b"hello\n")
}

async fn a_project_that_is_not_there_is_an_error(trial: &Trial<'_>) -> CaseResult {
    let task = trial.set_up(&[]).await?;
    let missing = Project::new("/no/such/project", TreeOptions::default());
    refused("bringing it", task.backend.put_project(&task.uuid, &missing).await, |error| {
        matches!(error, Error::Workspace(_))
    })
}
