//! What a new instance can do after a restart: find, take over, go on.

use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use jobwright_model::{ExitStatus, Step, StepType, StepUuid};

use super::{case, survives};
use crate::conformance::check::{ensure, refused, same, same_bytes};
use crate::conformance::{Case, CaseResult, Facilities, Failure, Script, Task, Trial};
use crate::{DiscoveredWorkflow, Error, LogPosition, LogPrecision, Resumed, WorkflowResumer};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(nothing_running_is_an_empty_discovery, "woodpecker 85", discovery),
        case!(discovery_finds_a_task_with_its_running_steps, "woodpecker 78, 84", discovery),
        case!(every_running_step_of_a_workflow_is_discovered, "woodpecker 78", discovery),
        case!(what_was_destroyed_is_not_discovered, "woodpecker 78", discovery),
        case!(a_resumed_step_behaves_as_a_started_one, "woodpecker 79, 82", resume),
        case!(a_resumed_step_can_be_destroyed, "woodpecker 82", resume),
        case!(a_resumed_output_goes_on_where_it_was_left, "woodpecker 82, 86", resume),
        case!(a_resumed_output_is_read_from_any_position, "woodpecker 82, 86", resume),
        case!(services_and_detached_steps_are_resumed, "woodpecker 82", resume),
        case!(resuming_again_changes_nothing, "woodpecker 80, 82", resume),
        case!(what_ends_while_nobody_watches_tells_its_own_exit, "woodpecker 83", resume),
        case!(many_running_steps_are_taken_over_at_once, "woodpecker 79", resume),
        case!(another_owner_takes_nothing_over, "woodpecker 84", stranger_resumes),
        case!(what_ended_while_away_tells_its_own_exit, "woodpecker 83", resume),
        case!(resuming_what_is_not_there_is_an_error_and_makes_nothing, "woodpecker 80, 81", resume),
        case!(a_fresh_instance_cannot_start_a_step_again, "woodpecker 31", survives),
        case!(a_fresh_instance_runs_the_next_step, "woodpecker 82", survives),
        case!(a_fresh_instance_names_the_same_engine, ""),
    ]
}

fn discovery(has: &Facilities) -> Option<&'static str> {
    (!has.discovery).then_some("discovery")
}

fn resume(has: &Facilities) -> Option<&'static str> {
    (!has.resume).then_some("resuming")
}

fn stranger_resumes(has: &Facilities) -> Option<&'static str> {
    (!has.stranger).then_some("another owner").or_else(|| resume(has))
}

async fn discover(task: &Task) -> CaseResult<Vec<DiscoveredWorkflow>> {
    let discoverer = task.backend.discoverer().ok_or(Failure::Lacking("discovery after a restart"))?;
    Ok(discoverer.discover_workflows().await?)
}

fn resumer(task: &Task) -> CaseResult<&dyn WorkflowResumer> {
    task.backend.resumer().ok_or(Failure::Lacking("resuming after a restart"))
}

async fn nothing_running_is_an_empty_discovery(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("ended", &Script::new());
    let task = trial.plan(&[&step]);
    same("what is found before", &discover(&task).await?, &vec![])?;
    task.set_up().await?;
    task.start(&step).await?;
    task.wait(&step).await?;
    same("what is found when all steps ended", &discover(&trial.restarted(&task).await).await?, &vec![])
}

async fn discovery_finds_a_task_with_its_running_steps(trial: &Trial<'_>) -> CaseResult {
    let running = trial.step("größe / 1", &Script::new().say_ready().forever());
    let ended = trial.step("ended", &Script::new());
    let never = trial.step("never started", &Script::new());
    let task = trial.set_up(&[&running, &ended, &never]).await?;
    task.start(&ended).await?;
    task.wait(&ended).await?;
    task.start_and_await_ready(&running).await?;

    let found = discover(&trial.restarted(&task).await).await?;
    ensure!(found.len() == 1, "one task is running, {found:?} was found");
    same("the task", &found[0].task, &task.uuid)?;
    ensure!(found[0].steps.len() == 1, "one step is running, {:?} was found", found[0].steps);
    same("the step", &found[0].steps[0].uuid, &running.uuid)?;
    same("its name", &found[0].steps[0].name, &running.name)?;
    ensure!(!found[0].steps[0].container_id.is_empty(), "it has no id of the engine's");
    Ok(())
}

async fn every_running_step_of_a_workflow_is_discovered(trial: &Trial<'_>) -> CaseResult {
    let lasting = |name: &str| trial.step(name, &Script::new().say_ready().forever());
    let (one, two) = (lasting("one"), lasting("two"));
    let detached = Step { detached: true, ..lasting("detached") };
    let service = Step { detached: true, kind: StepType::Service, ..lasting("service") };
    let all = [&one, &two, &detached, &service];
    let task = trial.set_up(&all).await?;
    for step in all {
        task.start_and_await_ready(step).await?;
    }
    let found = discover(&trial.restarted(&task).await).await?;
    ensure!(found.len() == 1, "one task is running, {found:?} was found");
    let mut uuids: Vec<_> = found[0].steps.iter().map(|step| &step.uuid).collect();
    let mut expected: Vec<_> = all.iter().map(|step| &step.uuid).collect();
    uuids.sort();
    expected.sort();
    same("the steps", &uuids, &expected)
}

async fn what_was_destroyed_is_not_discovered(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    task.destroy_step(&step).await?;
    same("what is found", &discover(&trial.restarted(&task).await).await?, &vec![])
}

async fn a_resumed_step_behaves_as_a_started_one(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().await_file("go").print("end\n").exit(3));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&step, &release]).await?;
    task.start_and_await_ready(&step).await?;

    let later = trial.restarted(&task).await;
    let resumed = resumer(&later)?.resume_step(&step, &later.uuid).await?;
    same("how it was found", &resumed, &Resumed::Running)?;
    let tail = later.tail(&step).await?;
    later.run(&release).await?;
    same_bytes("the output", &tail.to_end().await?.stdout(), b"ready\nend\n")?;
    same("the status", &later.wait(&step).await?.status, &ExitStatus::Code(3))?;
    later.destroy_step(&step).await?;
    refused("waiting for what is gone", later.wait(&step).await, |error| {
        matches!(error, Error::UnknownStep { .. })
    })
}

async fn a_resumed_step_can_be_destroyed(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().on_term("asked", 7).say_ready().forever());
    let witness = trial.step("witness", &Script::new().print_file("asked"));
    let task = trial.set_up(&[&step, &witness]).await?;
    task.start_and_await_ready(&step).await?;
    let later = trial.restarted(&task).await;
    resumer(&later)?.resume_step(&step, &later.uuid).await?;
    later.destroy_step(&step).await?;
    same("the witness's status", &later.run(&witness).await?.1.status, &ExitStatus::Code(0))
}

async fn a_resumed_output_goes_on_where_it_was_left(trial: &Trial<'_>) -> CaseResult {
    if trial.backend().capabilities().log_precision == LogPrecision::BestEffort {
        return Err(Failure::Lacking("exact log positions"));
    }
    let step = trial.step("build", &Script::new().print("one\n").say_ready().await_file("go").print("two\n"));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&step, &release]).await?;
    let tail = task.start_and_await_ready(&step).await?;
    let left_at = tail.seen().chunks.last().map_or(LogPosition::START, |chunk| chunk.next);
    same_bytes("what came before", &tail.seen().stdout(), b"one\nready\n")?;
    drop(tail);

    let later = trial.restarted(&task).await;
    resumer(&later)?.resume_step(&step, &later.uuid).await?;
    later.run(&release).await?;
    later.wait(&step).await?;
    let rest = later.tail_from(&step, left_at).await?.to_end().await?;
    same_bytes("the rest", &rest.stdout(), b"two\n")
}

async fn a_resumed_output_is_read_from_any_position(trial: &Trial<'_>) -> CaseResult {
    if trial.backend().capabilities().log_precision == LogPrecision::BestEffort {
        return Err(Failure::Lacking("exact log positions"));
    }
    let script =
        Script::new().print("one\n").await_file("go-1").print("two\n").await_file("go-2").print("three\n");
    let step = trial.step("build", &script);
    let releases = ["go-1", "go-2"].map(|file| trial.step(file, &Script::new().write_file(file, "")));
    let task = trial.set_up(&[&step, &releases[0], &releases[1]]).await?;
    task.start(&step).await?;
    let mut tail = task.tail(&step).await?;
    tail.until("one\n").await?;
    task.run(&releases[0]).await?;
    tail.until("two\n").await?;
    let seen = tail.seen().chunks.clone();
    drop(tail);

    let later = trial.restarted(&task).await;
    resumer(&later)?.resume_step(&step, &later.uuid).await?;
    later.run(&releases[1]).await?;
    later.wait(&step).await?;
    let whole = b"one\ntwo\nthree\n";
    same_bytes("all of it", &later.output(&step).await?.stdout(), whole)?;
    let mut read = 0;
    for chunk in seen {
        read += chunk.bytes.len();
        let rest = later.tail_from(&step, chunk.next).await?.to_end().await?;
        same_bytes(&format!("the rest after {read} bytes"), &rest.stdout(), &whole[read..])?;
    }
    Ok(())
}

async fn services_and_detached_steps_are_resumed(trial: &Trial<'_>) -> CaseResult {
    let script = Script::new().on_term("asked", 7).say_ready().forever();
    let service = Step { detached: true, kind: StepType::Service, ..trial.step("service", &script) };
    let ends = Script::new().say_ready().await_file("go").print("end\n").exit(5);
    let detached = Step { detached: true, ..trial.step("detached", &ends) };
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&service, &detached, &release]).await?;
    task.start_and_await_ready(&service).await?;
    task.start_and_await_ready(&detached).await?;

    let later = trial.restarted(&task).await;
    for step in [&service, &detached] {
        resumer(&later)?.resume_step(step, &later.uuid).await?;
    }
    later.run(&release).await?;
    same("the detached step's status", &later.wait(&detached).await?.status, &ExitStatus::Code(5))?;
    same_bytes("its output", &later.output(&detached).await?.stdout(), b"ready\nend\n")?;
    later.destroy_step(&service).await?;
    refused("waiting for what is gone", later.wait(&service).await, |error| {
        matches!(error, Error::UnknownStep { .. })
    })
}

async fn resuming_again_changes_nothing(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().await_file("go").print("end\n").exit(3));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&step, &release]).await?;
    task.start_and_await_ready(&step).await?;
    let (second, third) = (trial.restarted(&task).await, trial.restarted(&task).await);
    for later in [&second, &second, &third] {
        resumer(later)?.resume_step(&step, &later.uuid).await?;
    }
    let found = discover(&third).await?;
    let steps: usize = found.iter().map(|workflow| workflow.steps.len()).sum();
    same("how many steps run", &steps, &1)?;
    third.run(&release).await?;
    for later in [&second, &third] {
        same("the status", &later.wait(&step).await?.status, &ExitStatus::Code(3))?;
        same_bytes("the output", &later.output(&step).await?.stdout(), b"ready\nend\n")?;
    }
    resumer(&third)?.resume_step(&step, &third.uuid).await?;
    same("the status once more", &third.wait(&step).await?.status, &ExitStatus::Code(3))
}

/// Nobody waits for the step and nobody reads its output when it ends. One that a signal ended is told as such where signals are.
async fn what_ends_while_nobody_watches_tells_its_own_exit(trial: &Trial<'_>) -> CaseResult {
    let waits = || Script::new().say_ready().await_file("go").print("last\n");
    let mut ends = vec![(trial.step("failing", &waits().exit(6)), ExitStatus::Code(6))];
    if trial.backend().capabilities().signals {
        ends.push((trial.step("killed", &waits().die(9)), ExitStatus::Signal(9)));
    }
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let steps: Vec<&Step> = ends.iter().map(|(step, _)| step).chain([&release]).collect();
    let task = trial.set_up(&steps).await?;
    for (step, _) in &ends {
        task.start_and_await_ready(step).await?;
    }
    trial.restarted(&task).await.run(&release).await?;

    let later = trial.restarted(&task).await;
    for (step, status) in &ends {
        resumer(&later)?.resume_step(step, &later.uuid).await?;
        same_bytes("the output", &later.output(step).await?.stdout(), b"ready\nlast\n")?;
        same("the status", &later.wait(step).await?.status, status)?;
    }
    Ok(())
}

/// Within a second, which no series of questions for each step would fit into where an engine takes its time.
async fn many_running_steps_are_taken_over_at_once(trial: &Trial<'_>) -> CaseResult {
    let name = |number| format!("step-{number}");
    let step = |number| trial.step(&name(number), &Script::new().say_ready().await_file("go").exit(number));
    let steps: Vec<Step> = (1..=trial.fixture().many()).map(step).collect();
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&steps.iter().chain([&release]).collect::<Vec<_>>()).await?;
    for started in join_all(steps.iter().map(|step| task.start_and_await_ready(step))).await {
        started?;
    }
    let later = trial.restarted(&task).await;
    let begin = Instant::now();
    let found = discover(&later).await?;
    let resumer = resumer(&later)?;
    try_join_all(steps.iter().map(|step| resumer.resume_step(step, &later.uuid))).await?;
    let took = begin.elapsed();
    same("how many were found", &found.iter().map(|one| one.steps.len()).sum::<usize>(), &steps.len())?;
    ensure!(took < Duration::from_secs(1), "taking over {} steps took {took:?}", steps.len());
    later.run(&release).await?;
    let exits = try_join_all(steps.iter().map(|step| later.wait(step))).await?;
    let codes: Vec<_> = exits.iter().filter_map(|exit| exit.status.shell_code()).collect();
    same("their codes", &codes, &(1..=trial.fixture().many()).map(i32::from).collect())
}

async fn another_owner_takes_nothing_over(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    let stranger = trial.fixture().stranger().await.ok_or(Failure::Lacking("another owner"))?;
    let stranger = task.on(stranger);
    refused("resuming another's step", resumer(&stranger)?.resume_step(&step, &task.uuid).await, |error| {
        matches!(error, Error::UnknownStep { .. } | Error::NotStarted(_))
    })
}

async fn what_ended_while_away_tells_its_own_exit(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().print("once\n").exit(4));
    let task = trial.set_up(&[&step]).await?;
    task.start(&step).await?;
    task.wait(&step).await?;
    let later = trial.restarted(&task).await;
    let resumed = resumer(&later)?.resume_step(&step, &later.uuid).await?;
    same("how it was found", &resumed, &Resumed::Ended)?;
    same("the status", &later.wait(&step).await?.status, &ExitStatus::Code(4))?;
    same_bytes("the output", &later.output(&step).await?.stdout(), b"once\n")
}

async fn resuming_what_is_not_there_is_an_error_and_makes_nothing(trial: &Trial<'_>) -> CaseResult {
    let never = trial.step("never", &Script::new().say_ready().forever());
    let running = trial.step("running", &Script::new().say_ready().forever());
    let task = trial.set_up(&[&never, &running]).await?;
    task.start_and_await_ready(&running).await?;
    let mut mistaken = running.clone();
    mistaken.uuid = StepUuid::random();

    let later = trial.restarted(&task).await;
    for step in [&never, &mistaken] {
        let unknown = |error: &Error| matches!(error, Error::UnknownStep { .. });
        let not_there = |error: &Error| matches!(error, Error::UnknownStep { .. } | Error::NotStarted(_));
        refused("resuming it", resumer(&later)?.resume_step(step, &later.uuid).await, not_there)?;
        refused("waiting for it", later.wait(step).await, unknown)?;
    }
    Ok(())
}

async fn a_fresh_instance_cannot_start_a_step_again(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    let again = trial.restarted(&task).await.start(&step).await;
    refused("a second start", again, |error| matches!(error, Error::AlreadyStarted(_)))
}

async fn a_fresh_instance_runs_the_next_step(trial: &Trial<'_>) -> CaseResult {
    let first = trial.step("first", &Script::new().write_file("left", "by the first\n"));
    let second = trial.step("second", &Script::new().print_file("left"));
    let task = trial.set_up(&[&first, &second]).await?;
    task.run(&first).await?;
    let (output, _) = trial.restarted(&task).await.run(&second).await?;
    same_bytes("the output", &output.stdout(), b"by the first\n")
}

async fn a_fresh_instance_names_the_same_engine(trial: &Trial<'_>) -> CaseResult {
    let before = trial.backend().load().await?;
    let after = trial.fixture().fresh().await.load().await?;
    ensure!(before.engine_id.as_deref() != Some(""), "the engine's identity is empty, which is not none");
    same("the engine's identity", &after.engine_id, &before.engine_id)
}
