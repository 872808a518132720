//! What tasks and owners keep from each other, and what a uuid means after its task is gone.

use futures_util::future::try_join_all;
use jobwright_model::{ExitStatus, TaskUuid};

use super::{case, stranger};
use crate::Error;
use crate::conformance::check::{ensure, refused, same, same_bytes};
use crate::conformance::{Case, CaseResult, Failure, Script, Task, Trial};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(tasks_of_one_workflow_share_no_files, "woodpecker 11"),
        case!(destroying_a_task_leaves_its_twin_alone, "woodpecker 10, 11"),
        case!(ten_tasks_at_the_same_time_keep_apart, "woodpecker 10"),
        case!(a_task_can_be_destroyed_without_set_up, "woodpecker 16"),
        case!(a_task_can_be_destroyed_twice, "woodpecker 16"),
        case!(a_uuid_can_be_used_again_and_finds_nothing, "woodpecker 16"),
        case!(another_owner_sees_nothing, "woodpecker 84", stranger),
        case!(another_owner_destroys_nothing, "woodpecker 84", stranger),
    ]
}

/// A second task of the same workflow: same names, same step uuids.
fn twin_of(trial: &Trial<'_>, task: &Task) -> Task {
    let twin = Task { uuid: TaskUuid::random(), ..task.clone() };
    trial.remember(&twin);
    twin
}

async fn tasks_of_one_workflow_share_no_files(trial: &Trial<'_>) -> CaseResult {
    let writer = trial.step("writer", &Script::new().write_file("mine", "1"));
    let reader = trial.step("reader", &Script::new().print_file("mine"));
    let task = trial.set_up(&[&writer, &reader]).await?;
    let twin = twin_of(trial, &task);
    twin.set_up().await?;
    task.run(&writer).await?;
    same("the reader's status in the same task", &task.run(&reader).await?.1.status, &ExitStatus::Code(0))?;
    same("the reader's status in the other task", &twin.run(&reader).await?.1.status, &ExitStatus::Code(1))
}

async fn destroying_a_task_leaves_its_twin_alone(trial: &Trial<'_>) -> CaseResult {
    let holder = trial.step("holder", &Script::new().say_ready().await_file("go").exit(3));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&holder, &release]).await?;
    let twin = twin_of(trial, &task);
    twin.set_up().await?;
    task.start_and_await_ready(&holder).await?;
    let tail = twin.start_and_await_ready(&holder).await?;
    task.destroy().await?;
    twin.run(&release).await?;
    same("the twin's status", &twin.wait(&holder).await?.status, &ExitStatus::Code(3))?;
    same_bytes("the twin's output", &tail.to_end().await?.stdout(), b"ready\n")
}

async fn ten_tasks_at_the_same_time_keep_apart(trial: &Trial<'_>) -> CaseResult {
    let tasks = (0..10_u8).map(|number| async move {
        let text = format!("task {number}\n");
        let script = Script::new().write_file("mine", &text).print_file("mine").exit(number);
        let step = trial.step("build", &script);
        let task = trial.set_up(&[&step]).await?;
        let (output, exit) = task.run(&step).await?;
        same("the status", &exit.status, &ExitStatus::Code(number.into()))?;
        same_bytes("the output", &output.stdout(), text.as_bytes())?;
        task.destroy().await?;
        Ok::<_, Failure>(())
    });
    try_join_all(tasks).await?;
    Ok(())
}

async fn a_task_can_be_destroyed_without_set_up(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new());
    let task = trial.plan(&[&step]);
    task.destroy_step(&step).await?;
    task.destroy().await?;
    Ok(())
}

async fn a_task_can_be_destroyed_twice(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    task.destroy().await?;
    task.destroy().await?;
    task.destroy_step(&step).await?;
    trial.restarted(&task).await.destroy().await?;
    refused("waiting for what is gone", task.wait(&step).await, |error| {
        matches!(error, Error::UnknownStep { .. })
    })
}

async fn a_uuid_can_be_used_again_and_finds_nothing(trial: &Trial<'_>) -> CaseResult {
    // It finds its own file only when the first task left it.
    let step = trial.step("build", &Script::new().print_file("trace"));
    let writer = trial.step("writer", &Script::new().write_file("trace", "left\n"));
    let task = trial.set_up(&[&step, &writer]).await?;
    task.run(&writer).await?;
    let (output, exit) = task.run(&step).await?;
    same("the first task's status", &exit.status, &ExitStatus::Code(0))?;
    same_bytes("the first task's output", &output.stdout(), b"left\n")?;
    task.destroy().await?;

    task.set_up().await?;
    let (output, exit) = task.run(&step).await?;
    same("the second task's status", &exit.status, &ExitStatus::Code(1))?;
    same_bytes("the second task's output", &output.stdout(), b"")
}

async fn other_owner(trial: &Trial<'_>, task: &Task) -> CaseResult<Task> {
    let other = trial.fixture().stranger().await;
    other.map(|other| task.on(other)).ok_or_else(|| Failure::new("the fixture has no second owner any more"))
}

async fn another_owner_sees_nothing(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    let theirs = other_owner(trial, &task).await?;
    let unknown = |error: &Error| matches!(error, Error::UnknownStep { .. });
    refused("waiting by another owner", theirs.wait(&step).await, unknown)?;
    refused("reading by another owner", theirs.tail(&step).await, unknown)?;
    if let Some(discoverer) = theirs.backend.discoverer() {
        let found = discoverer.discover_workflows().await?;
        ensure!(found.is_empty(), "another owner discovered {found:?}");
    }
    Ok(())
}

async fn another_owner_destroys_nothing(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().await_file("go").exit(3));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&step, &release]).await?;
    task.start_and_await_ready(&step).await?;
    let theirs = other_owner(trial, &task).await?;
    theirs.destroy_step(&step).await?;
    theirs.destroy().await?;
    task.run(&release).await?;
    same("the status", &task.wait(&step).await?.status, &ExitStatus::Code(3))
}
