//! That what is destroyed is gone: asked first, then forced, the whole tree, and nothing else.

use jobwright_model::{ExitStatus, Step, StepType};

use super::{case, shell};
use crate::Error;
use crate::conformance::check::{ensure, refused, same, same_bytes};
use crate::conformance::{Case, CaseResult, Script, Task, Trial};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(destroying_a_step_twice_is_fine, "woodpecker 25"),
        case!(destroying_a_step_leaves_the_others_alone, "woodpecker 25"),
        case!(a_step_is_asked_to_end_before_it_is_forced, "woodpecker 53"),
        case!(a_step_that_ignores_sigterm_is_forced_to_end, "woodpecker 53"),
        case!(destroying_a_step_ends_its_grandchildren, "woodpecker 52", shell),
        case!(destroying_a_step_ends_what_left_its_process_group, "woodpecker 52", shell),
        case!(destroying_a_workflow_ends_its_grandchildren, "woodpecker 52", shell),
        case!(services_end_with_the_workflow, "woodpecker 17, 42"),
        case!(detached_steps_end_with_the_workflow, "woodpecker 17"),
        case!(a_background_step_that_ends_by_itself_tells_its_code, "woodpecker 40"),
        case!(wait_answers_although_something_holds_the_output, "woodpecker 60"),
        case!(wait_answers_although_something_goes_on_writing, "woodpecker 60"),
        case!(endless_output_is_ended, "woodpecker 60"),
        case!(a_workflow_is_destroyed_by_a_fresh_instance, "woodpecker 16, 84"),
    ]
}

async fn destroying_a_step_twice_is_fine(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    let (one, two) = tokio::join!(task.destroy_step(&step), task.destroy_step(&step));
    one?;
    two?;
    task.destroy_step(&step).await?;
    Ok(())
}

async fn destroying_a_step_leaves_the_others_alone(trial: &Trial<'_>) -> CaseResult {
    let doomed = trial.step("doomed", &Script::new().write_file("kept", "kept\n").say_ready().forever());
    let other = trial.step("other", &Script::new().say_ready().await_file("go").print_file("kept").exit(3));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&doomed, &other, &release]).await?;
    task.start_and_await_ready(&doomed).await?;
    let tail = task.start_and_await_ready(&other).await?;
    task.destroy_step(&doomed).await?;
    task.run(&release).await?;
    same("the other step's status", &task.wait(&other).await?.status, &ExitStatus::Code(3))?;
    same_bytes("the other step's output", &tail.to_end().await?.stdout(), b"ready\nkept\n")
}

async fn a_step_is_asked_to_end_before_it_is_forced(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().on_term("asked", 7).say_ready().forever());
    let witness = trial.step("witness", &Script::new().print_file("asked"));
    let task = trial.set_up(&[&step, &witness]).await?;
    task.start_and_await_ready(&step).await?;
    task.destroy_step(&step).await?;
    let (_, exit) = task.run(&witness).await?;
    same("the status of the step that looks for the trace of SIGTERM", &exit.status, &ExitStatus::Code(0))
}

async fn a_step_that_ignores_sigterm_is_forced_to_end(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().ignore_term().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    task.destroy_step(&step).await?;
    refused("waiting for what is gone", task.wait(&step).await, |error| {
        matches!(error, Error::UnknownStep { .. })
    })
}

/// Shell text for a process that ignores SIGTERM and counts in the file `beat` ten times a second.
const HEART: &str = "trap '' TERM; i=0; \
                     while :; do i=$((i + 1)); echo $i > beat.new; mv beat.new beat; sleep 0.1; done";

/// A step that starts [`HEART`] by `prefix`, and says that it beats.
fn with_heart(trial: &Trial<'_>, prefix: &str) -> Step {
    let wait_for_it = "while [ ! -e beat ]; do sleep 0.05; done; echo ready; sleep 1000000 & wait";
    trial.shell("build", &format!("{prefix} \"{}\" & {wait_for_it}", HEART.replace('$', "\\$")))
}

/// Fails when the file `beat` still changes.
async fn nothing_beats(task: &Task, witness: &Step) -> CaseResult {
    let (output, exit) = task.run(witness).await?;
    let seen = output.stdout().escape_ascii().to_string();
    same(&format!("the witness's status (it saw {seen})"), &exit.status, &ExitStatus::Code(0))
}

/// Ten beats would come while it looks away.
fn witness(trial: &Trial<'_>) -> Step {
    trial.shell("witness", "a=$(cat beat); sleep 1; b=$(cat beat); echo \"$a $b\"; [ \"$a\" = \"$b\" ]")
}

async fn destroying_a_step_ends_its_grandchildren(trial: &Trial<'_>) -> CaseResult {
    let (step, witness) = (with_heart(trial, "sh -c"), witness(trial));
    let task = trial.set_up(&[&step, &witness]).await?;
    task.start_and_await_ready(&step).await?;
    task.destroy_step(&step).await?;
    nothing_beats(&task, &witness).await
}

async fn destroying_a_step_ends_what_left_its_process_group(trial: &Trial<'_>) -> CaseResult {
    let (step, witness) = (with_heart(trial, "setsid sh -c"), witness(trial));
    let task = trial.set_up(&[&step, &witness]).await?;
    task.start_and_await_ready(&step).await?;
    task.destroy_step(&step).await?;
    nothing_beats(&task, &witness).await
}

async fn destroying_a_workflow_ends_its_grandchildren(trial: &Trial<'_>) -> CaseResult {
    let step = with_heart(trial, "setsid sh -c");
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    // What would be left behind, the fixture finds after the case.
    task.destroy().await?;
    Ok(())
}

async fn ends_with_the_workflow(trial: &Trial<'_>, kind: StepType) -> CaseResult {
    let mut step = trial.step("background", &Script::new().say_ready().forever());
    step.kind = kind;
    step.detached = true;
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    let (exit, destroyed) = tokio::join!(task.wait(&step), task.destroy());
    destroyed?;
    if let Ok(exit) = exit {
        ensure!(exit.status != ExitStatus::Code(0), "a step that was ended counts as a success");
    }
    refused("waiting for what is gone", task.wait(&step).await, |error| {
        matches!(error, Error::UnknownStep { .. })
    })
}

async fn services_end_with_the_workflow(trial: &Trial<'_>) -> CaseResult {
    ends_with_the_workflow(trial, StepType::Service).await
}

async fn detached_steps_end_with_the_workflow(trial: &Trial<'_>) -> CaseResult {
    ends_with_the_workflow(trial, StepType::Commands).await
}

async fn a_background_step_that_ends_by_itself_tells_its_code(trial: &Trial<'_>) -> CaseResult {
    let mut step = trial.step("background", &Script::new().print("served\n").exit(5));
    step.kind = StepType::Service;
    step.detached = true;
    let task = trial.set_up(&[&step]).await?;
    let (output, exit) = task.run(&step).await?;
    same("the status", &exit.status, &ExitStatus::Code(5))?;
    same_bytes("the output", &output.stdout(), b"served\n")
}

/// Runs a `step` that leaves something behind: its exit is told all the same, and its output ends with its destruction.
async fn leaves_something_behind(trial: &Trial<'_>, step: &Step) -> CaseResult {
    let task = trial.set_up(&[step]).await?;
    let tail = task.start_and_await_ready(step).await?;
    same("the status", &task.wait(step).await?.status, &ExitStatus::Code(3))?;
    let (_, destroyed) = tokio::join!(tail.to_end(), task.destroy_step(step));
    destroyed?;
    Ok(())
}

async fn wait_answers_although_something_holds_the_output(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().leave_behind().say_ready().exit(3));
    leaves_something_behind(trial, &step).await
}

async fn wait_answers_although_something_goes_on_writing(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().leave_behind_writing("still here\n").say_ready().exit(3));
    leaves_something_behind(trial, &step).await
}

async fn endless_output_is_ended(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().repeat("again\n"));
    let task = trial.set_up(&[&step]).await?;
    let mut tail = task.start_and_await_ready(&step).await?;
    tail.until("again\nagain\n").await?;
    task.destroy().await?;
    Ok(())
}

async fn a_workflow_is_destroyed_by_a_fresh_instance(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().ignore_term().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    trial.restarted(&task).await.destroy().await?;
    let left = trial.fixture().leftovers().await;
    ensure!(left.is_empty(), "left behind: {}", left.join(", "));
    Ok(())
}
