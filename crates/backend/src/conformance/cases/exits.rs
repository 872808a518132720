//! How a step's end is told: codes, signals, to whoever asks, as often as asked.

use jobwright_model::ExitStatus;

use super::{case, shell, signals};
use crate::Error;
use crate::conformance::check::{ensure, refused, same};
use crate::conformance::{Case, CaseResult, Failure, Script, Trial};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(exit_codes_are_exact, "woodpecker 34"),
        case!(a_death_by_signal_is_told_from_an_exit_code, "", signals),
        case!(two_may_wait_for_one_step, "woodpecker 8"),
        case!(waiting_after_the_end_answers_again_and_again, ""),
        case!(a_fresh_instance_can_wait, "woodpecker 83"),
        case!(a_missing_program_is_a_start_failure, "woodpecker 22", shell),
        case!(a_wait_that_waits_is_answered_by_destroy, "woodpecker 49"),
        case!(a_destroyed_step_is_unknown, "woodpecker 25"),
        case!(start_and_end_times_are_in_order, ""),
    ]
}

async fn exit_codes_are_exact(trial: &Trial<'_>) -> CaseResult {
    let codes = [0, 1, 2, 3, 77, 125, 126, 127, 128, 130, 137, 143, 255];
    let steps: Vec<_> =
        codes.map(|code| trial.step(&format!("exit-{code}"), &Script::new().exit(code))).into();
    let task = trial.set_up(&steps.iter().collect::<Vec<_>>()).await?;
    for (step, code) in steps.iter().zip(codes) {
        task.start(step).await?;
        let exit = task.wait(step).await?;
        same("the status", &exit.status, &ExitStatus::Code(code.into()))?;
    }
    Ok(())
}

async fn a_death_by_signal_is_told_from_an_exit_code(trial: &Trial<'_>) -> CaseResult {
    for signal in [1, 6, 9, 11, 15] {
        let step = trial.step("dies", &Script::new().die(signal));
        let task = trial.set_up(&[&step]).await?;
        let (_, exit) = task.run(&step).await?;
        same("the status", &exit.status, &ExitStatus::Signal(signal))?;
        task.destroy().await?;
    }
    Ok(())
}

async fn two_may_wait_for_one_step(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().await_file("go").exit(3));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&step, &release]).await?;
    task.start_and_await_ready(&step).await?;
    let (one, two, released) = tokio::join!(task.wait(&step), task.wait(&step), task.run(&release));
    released?;
    same("what the first was told", &one?.status, &ExitStatus::Code(3))?;
    same("what the second was told", &two?.status, &ExitStatus::Code(3))
}

async fn waiting_after_the_end_answers_again_and_again(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().exit(3));
    let task = trial.set_up(&[&step]).await?;
    task.start(&step).await?;
    let first = task.wait(&step).await?;
    for _ in 0..3 {
        same("a later answer", &task.wait(&step).await?.status, &first.status)?;
    }
    Ok(())
}

async fn a_fresh_instance_can_wait(trial: &Trial<'_>) -> CaseResult {
    if !trial.backend().capabilities().survives_owner {
        return a_fresh_instance_knows_nothing(trial).await;
    }
    let ended = trial.step("ended", &Script::new().exit(3));
    let running = trial.step("running", &Script::new().say_ready().await_file("go").exit(4));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&ended, &running, &release]).await?;
    task.start(&ended).await?;
    task.wait(&ended).await?;
    task.start_and_await_ready(&running).await?;

    let later = trial.restarted(&task).await;
    same("what ended before", &later.wait(&ended).await?.status, &ExitStatus::Code(3))?;
    let (exit, released) = tokio::join!(later.wait(&running), task.run(&release));
    released?;
    same("what still ran", &exit?.status, &ExitStatus::Code(4))
}

/// A backend whose steps die with it must say so, and never invent an exit.
async fn a_fresh_instance_knows_nothing(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new());
    let task = trial.set_up(&[&step]).await?;
    task.start(&step).await?;
    task.wait(&step).await?;
    match trial.restarted(&task).await.wait(&step).await {
        Err(Error::UnknownStep { .. }) => Ok(()),
        Ok(exit) if exit.status == ExitStatus::Code(0) => Ok(()),
        other => Err(Failure::new(format!("waiting answered {other:?}"))),
    }
}

async fn a_missing_program_is_a_start_failure(trial: &Trial<'_>) -> CaseResult {
    let mut step = trial.empty_step("build");
    step.entrypoint = vec!["/no/such/program".to_owned()];
    let task = trial.set_up(&[&step]).await?;
    refused("starting it", task.start(&step).await, |error| matches!(error, Error::Start { .. }))?;
    task.destroy_step(&step).await?;
    Ok(())
}

async fn a_wait_that_waits_is_answered_by_destroy(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    let (exit, destroyed) = tokio::join!(task.wait(&step), task.destroy_step(&step));
    destroyed?;
    if let Ok(exit) = exit {
        ensure!(exit.status != ExitStatus::Code(0), "a step that was ended counts as a success");
        return Ok(());
    }
    refused("the wait", exit, |error| matches!(error, Error::UnknownStep { .. }))
}

async fn a_destroyed_step_is_unknown(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().print("x\n"));
    let task = trial.set_up(&[&step]).await?;
    task.run(&step).await?;
    let unknown = |error: &Error| matches!(error, Error::UnknownStep { .. });
    refused("waiting for it", task.wait(&step).await, unknown)?;
    refused("reading its output", task.tail(&step).await, unknown)
}

async fn start_and_end_times_are_in_order(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().sleep(1));
    let task = trial.set_up(&[&step]).await?;
    let (_, exit) = task.run(&step).await?;
    if let (Some(started), Some(finished)) = (exit.started, exit.finished) {
        ensure!(started <= finished, "it ended at {finished}, before it started at {started}");
    }
    Ok(())
}
