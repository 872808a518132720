//! Set-up, start, wait and destroy in their order, out of order, and twice.

use jobwright_model::{ExitStatus, Stage, StepType, StepUuid, Workflow};

use super::case;
use crate::conformance::check::{ensure, refused, same, same_bytes};
use crate::conformance::{Case, CaseResult, Script, Trial};
use crate::{Error, Silent};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(a_step_prints_and_exits_0, "woodpecker 20, 21"),
        case!(start_returns_while_the_step_runs, "woodpecker 20"),
        case!(steps_of_one_task_run_at_the_same_time, "woodpecker 20, 33"),
        case!(what_was_prepared_can_be_started, ""),
        case!(what_was_prepared_has_not_run, ""),
        case!(what_was_prepared_and_never_started_is_destroyed, "woodpecker 25"),
        case!(a_second_start_is_an_error, "woodpecker 31"),
        case!(preparing_what_was_started_is_an_error, "woodpecker 31"),
        case!(a_step_that_was_never_started_is_unknown, "woodpecker 25"),
        case!(an_unsupported_type_is_a_typed_error, "woodpecker 32"),
        case!(a_workflow_without_stages_is_set_up_and_destroyed, "woodpecker 19"),
        case!(an_empty_first_stage_is_set_up_and_destroyed, "woodpecker 19"),
        case!(a_step_without_environment_runs, "woodpecker 29"),
        case!(odd_step_names_run_or_are_refused_by_name, ""),
        case!(steps_of_the_same_name_do_not_collide, ""),
    ]
}

async fn a_step_prints_and_exits_0(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().print("hello\n"));
    let task = trial.set_up(&[&step]).await?;
    let (output, exit) = task.run(&step).await?;
    same("the status", &exit.status, &ExitStatus::Code(0))?;
    same("the memory verdict", &exit.oom, &false)?;
    same_bytes("the output", &output.stdout(), b"hello\n")?;
    task.destroy().await?;
    Ok(())
}

async fn start_returns_while_the_step_runs(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("service", &Script::new().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    // Were start to wait for the end, this would hang and the deadline would name the case.
    task.start_and_await_ready(&step).await?;
    Ok(())
}

async fn steps_of_one_task_run_at_the_same_time(trial: &Trial<'_>) -> CaseResult {
    // Each waits for what the other one does: one after the other, neither would ever end.
    let first = trial.step("first", &Script::new().write_file("first", "1").await_file("second"));
    let second = trial.step("second", &Script::new().await_file("first").write_file("second", "2"));
    let task = trial.set_up(&[&first, &second]).await?;
    let (one, two) = tokio::join!(task.start(&first), task.start(&second));
    one?;
    two?;
    for step in [&first, &second] {
        same("the status", &task.wait(step).await?.status, &ExitStatus::Code(0))?;
    }
    Ok(())
}

async fn what_was_prepared_can_be_started(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().print("ran\n"));
    let task = trial.set_up(&[&step]).await?;
    task.backend.prepare_step(&step, &task.uuid, &Silent).await?;
    let (output, exit) = task.run(&step).await?;
    same("the status", &exit.status, &ExitStatus::Code(0))?;
    same_bytes("the output", &output.stdout(), b"ran\n")
}

async fn what_was_prepared_has_not_run(trial: &Trial<'_>) -> CaseResult {
    let prepared = trial.step("prepared", &Script::new().write_file("trace", "prepared ran"));
    let other = trial.step("other", &Script::new().print_file("trace"));
    let task = trial.set_up(&[&prepared, &other]).await?;
    task.backend.prepare_step(&prepared, &task.uuid, &Silent).await?;
    let (_, exit) = task.run(&other).await?;
    same("the status of the step that looks for the trace", &exit.status, &ExitStatus::Code(1))
}

async fn what_was_prepared_and_never_started_is_destroyed(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().print("never\n"));
    let other = trial.step("other", &Script::new());
    let task = trial.set_up(&[&step, &other]).await?;
    task.backend.prepare_step(&step, &task.uuid, &Silent).await?;
    task.backend.prepare_step(&other, &task.uuid, &Silent).await?;
    task.destroy_step(&step).await?;
    task.destroy().await?;
    Ok(())
}

async fn a_second_start_is_an_error(trial: &Trial<'_>) -> CaseResult {
    let running = trial.step("running", &Script::new().say_ready().forever());
    let ended = trial.step("ended", &Script::new());
    let task = trial.set_up(&[&running, &ended]).await?;
    task.start_and_await_ready(&running).await?;
    task.start(&ended).await?;
    task.wait(&ended).await?;
    for step in [&running, &ended] {
        let again = task.start(step).await;
        refused("a second start", again, |error| matches!(error, Error::AlreadyStarted(_)))?;
    }
    Ok(())
}

async fn preparing_what_was_started_is_an_error(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    let late = task.backend.prepare_step(&step, &task.uuid, &Silent).await;
    refused("preparing a started step", late, |error| matches!(error, Error::AlreadyStarted(_)))
}

async fn a_step_that_was_never_started_is_unknown(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new());
    let task = trial.set_up(&[&step]).await?;
    let unknown = |error: &Error| matches!(error, Error::UnknownStep { .. });
    refused("waiting for it", task.wait(&step).await, unknown)?;
    refused("reading its output", task.tail(&step).await, unknown)?;
    task.destroy_step(&step).await?;
    Ok(())
}

async fn an_unsupported_type_is_a_typed_error(trial: &Trial<'_>) -> CaseResult {
    let mut step = trial.step("odd", &Script::new());
    step.kind = StepType::from("teleport");
    let task = trial.plan(&[&step]);
    // A backend may look at all steps when it sets the workflow up, or at each when it is prepared.
    if let Err(error) = task.set_up().await {
        let typed = matches!(error, Error::InvalidWorkflow { .. } | Error::UnsupportedStepType { .. });
        ensure!(typed, "set-up answered the wrong error: {error:?}");
        return Ok(());
    }
    refused("starting it", task.start(&step).await, |error| {
        matches!(error, Error::UnsupportedStepType { .. })
    })
}

async fn a_workflow_without_stages_is_set_up_and_destroyed(trial: &Trial<'_>) -> CaseResult {
    let task = trial.plan_workflow(Workflow::default());
    task.set_up().await?;
    task.destroy().await?;
    Ok(())
}

async fn an_empty_first_stage_is_set_up_and_destroyed(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().print("second\n"));
    let stages = vec![Stage::default(), Stage { steps: vec![step.clone()] }];
    let task = trial.plan_workflow(Workflow { stages, ..Workflow::default() });
    task.set_up().await?;
    let (output, _) = task.run(&step).await?;
    same_bytes("the output", &output.stdout(), b"second\n")
}

async fn a_step_without_environment_runs(trial: &Trial<'_>) -> CaseResult {
    let mut step = trial.step("build", &Script::new().exit(4));
    step.environment.clear();
    // The dummy's script is in the environment: without one it does nothing, and exits 0.
    let code = if trial.fixture().runs_shells() { 4 } else { 0 };
    let task = trial.set_up(&[&step]).await?;
    same("the status", &task.run(&step).await?.1.status, &ExitStatus::Code(code))
}

async fn odd_step_names_run_or_are_refused_by_name(trial: &Trial<'_>) -> CaseResult {
    let long = "x".repeat(300);
    for name in
        ["", " ", "größe 📦", "a/b/../c", "../../etc", "-rf", ".", "with\nnewline", "quote\"'`$(id)", &long]
    {
        let step = trial.step(name, &Script::new().print("ran\n"));
        let task = trial.plan(&[&step]);
        let ran = async {
            task.set_up().await?;
            task.start(&step).await?;
            task.wait(&step).await
        };
        match ran.await {
            Ok(exit) => same("the status", &exit.status, &ExitStatus::Code(0))?,
            Err(Error::InvalidStep { .. } | Error::InvalidWorkflow { .. }) => {}
            Err(error) => ensure!(false, "the name {name:?} gave the wrong error: {error:?}"),
        }
        task.destroy().await?;
    }
    Ok(())
}

async fn steps_of_the_same_name_do_not_collide(trial: &Trial<'_>) -> CaseResult {
    let first = trial.step("build", &Script::new().say_ready().forever());
    let mut second = trial.step("build", &Script::new().print("second\n"));
    second.uuid = StepUuid::random();
    let task = trial.set_up(&[&first, &second]).await?;
    task.start_and_await_ready(&first).await?;
    let (output, _) = task.run(&second).await?;
    same_bytes("the output", &output.stdout(), b"second\n")
}
