//! Reaching into a running step, as far as the backend can: what it answers `Unsupported` to counts as skipped.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::StreamExt;
use jobwright_model::{ExitStatus, Step};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::{case, network, shell};
use crate::conformance::check::{ensure, same, same_bytes, unless_unsupported};
use crate::conformance::{Case, CaseResult, Facilities, Failure, Output, Script, Task, Trial};
use crate::{Error, ExecRequest, ExecSession, LogStream, StepControl, TerminalSize};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(a_command_runs_beside_the_step, "", control),
        case!(a_commands_exit_code_is_its_own, "", control),
        case!(a_command_reads_its_input, "", control),
        case!(a_command_without_input_finds_its_end_at_once, "", control),
        case!(a_command_sees_its_variables_and_the_steps, "", control),
        case!(a_command_beside_a_script_sees_its_secrets_and_works_where_it_works, "", control_and_shell),
        case!(a_commands_streams_come_apart, "", control_and_shell),
        case!(a_command_that_is_not_there_is_told, "", control_and_shell),
        case!(a_command_works_where_the_step_works, "", control_and_shell),
        case!(a_command_on_a_terminal_sees_its_size_and_each_change, "", control_and_shell),
        case!(a_size_without_a_terminal_is_an_error, "", control),
        case!(a_command_in_an_ended_step_is_an_error, "", control),
        case!(a_command_and_what_it_left_behind_end_with_the_step, "", control_and_shell),
        case!(a_paused_step_stands_still_until_it_is_resumed, "", control),
        case!(a_paused_step_can_be_destroyed, "", control),
        case!(a_signal_reaches_the_step, "", control),
        case!(a_running_step_has_stats, "", control),
        case!(a_running_step_says_how_it_is_reached, "nunet 72", control_and_network),
        case!(how_an_ended_step_was_reached_is_an_error, "", control_and_network),
    ]
}

fn control(has: &Facilities) -> Option<&'static str> {
    (!has.control).then_some("control of running steps")
}

fn control_and_shell(has: &Facilities) -> Option<&'static str> {
    control(has).or_else(|| shell(has))
}

fn control_and_network(has: &Facilities) -> Option<&'static str> {
    control(has).or_else(|| network(has))
}

fn reach(task: &Task) -> CaseResult<&dyn StepControl> {
    task.backend.control().ok_or(Failure::Lacking("control of running steps"))
}

async fn exec(task: &Task, step: &Step, argv: &[&str]) -> CaseResult<Box<dyn ExecSession>> {
    let request =
        ExecRequest { argv: argv.iter().map(|&word| word.to_owned()).collect(), ..ExecRequest::default() };
    unless_unsupported("exec", reach(task)?.exec(step, &task.uuid, request).await)
}

async fn all_output(session: &mut Box<dyn ExecSession>) -> CaseResult<Output> {
    let mut stream = session.output().ok_or_else(|| Failure::new("its output was taken before"))?;
    let mut output = Output::default();
    while let Some(chunk) = stream.next().await {
        output.chunks.push(chunk?);
    }
    Ok(output)
}

async fn running_step(trial: &Trial<'_>, script: Script) -> CaseResult<(Task, Step)> {
    let mut step = trial.step("build", &script);
    step.environment.insert("OWN".to_owned(), "the step's".to_owned());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    Ok((task, step))
}

async fn a_command_runs_beside_the_step(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    let mut session = exec(&task, &step, &["echo", "two words"]).await?;
    same_bytes("its output", &all_output(&mut session).await?.stdout(), b"two words\n")?;
    same("its status", &session.wait().await?.status, &ExitStatus::Code(0))?;
    ensure!(session.output().is_none(), "its output can be taken twice");
    Ok(())
}

async fn a_commands_exit_code_is_its_own(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    let mut session = exec(&task, &step, &["false"]).await?;
    same("its status", &session.wait().await?.status, &ExitStatus::Code(1))
}

async fn a_command_reads_its_input(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    let request = ExecRequest { argv: vec!["cat".to_owned()], input: true, ..ExecRequest::default() };
    let mut session = unless_unsupported("exec", reach(&task)?.exec(&step, &task.uuid, request).await)?;
    let mut input = session.stdin().ok_or_else(|| Failure::new("it has no input"))?;
    let write = async move {
        input.write_all(b"to and \0 fro\n").await?;
        input.shutdown().await
    };
    let (output, written) = tokio::join!(all_output(&mut session), write);
    written?;
    same_bytes("its output", &output?.stdout(), b"to and \0 fro\n")?;
    same("its status", &session.wait().await?.status, &ExitStatus::Code(0))
}

async fn a_command_without_input_finds_its_end_at_once(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    let mut session = exec(&task, &step, &["cat"]).await?;
    ensure!(session.stdin().is_none(), "it has an input that nobody asked for");
    same_bytes("its output", &all_output(&mut session).await?.stdout(), b"")?;
    same("its status", &session.wait().await?.status, &ExitStatus::Code(0))
}

async fn a_command_sees_its_variables_and_the_steps(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    for (name, expected) in [("OWN", "the step's\n"), ("ADDED", "the command's\n")] {
        let request = ExecRequest {
            argv: vec!["printenv".to_owned(), name.to_owned()],
            environment: vec![("ADDED".to_owned(), "the command's".to_owned())],
            ..ExecRequest::default()
        };
        let session = reach(&task)?.exec(&step, &task.uuid, request).await;
        let mut session = unless_unsupported("exec", session)?;
        same_bytes(name, &all_output(&mut session).await?.stdout(), expected.as_bytes())?;
    }
    Ok(())
}

async fn a_command_beside_a_script_sees_its_secrets_and_works_where_it_works(
    trial: &Trial<'_>,
) -> CaseResult {
    let mut step = trial.commands("build", &["echo here >where", "echo re''ady; sleep 1000000"]);
    step.working_dir.push_str("/below");
    step.environment.insert("OWN".to_owned(), "the step's".to_owned());
    step.secret_mapping.insert("TOKEN".to_owned(), "s3cr3t-t0k3n".to_owned());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    let mut session = exec(&task, &step, &["sh", "-c", "cat where; echo $OWN $TOKEN"]).await?;
    let expected = b"here\nthe step's s3cr3t-t0k3n\n";
    same_bytes("its output", &all_output(&mut session).await?.stdout(), expected)
}

async fn a_commands_streams_come_apart(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    let mut session = exec(&task, &step, &["sh", "-c", "echo out; echo err >&2; exit 9"]).await?;
    let output = all_output(&mut session).await?;
    same_bytes("its standard output", &output.stdout(), b"out\n")?;
    same_bytes("its standard error", &output.stderr(), b"err\n")?;
    same("its status", &session.wait().await?.status, &ExitStatus::Code(9))
}

/// Some engines know only when they try, and then say it as a shell does.
async fn a_command_that_is_not_there_is_told(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    let request = ExecRequest { argv: vec!["no-such-program".to_owned()], ..ExecRequest::default() };
    let mut session = match reach(&task)?.exec(&step, &task.uuid, request).await {
        Err(Error::Start { .. }) => return Ok(()),
        other => unless_unsupported("exec", other)?,
    };
    let status = session.wait().await?.status;
    ensure!(matches!(status, ExitStatus::Code(126 | 127)), "its status is {status:?}");
    Ok(())
}

async fn a_command_works_where_the_step_works(trial: &Trial<'_>) -> CaseResult {
    let script = Script::new().write_file("made", "by the step\n").say_ready().forever();
    let (task, step) = running_step(trial, script).await?;
    let mut session = exec(&task, &step, &["cat", "made"]).await?;
    same_bytes("its output", &all_output(&mut session).await?.stdout(), b"by the step\n")
}

async fn a_command_on_a_terminal_sees_its_size_and_each_change(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    // An engine may set the size just after the start, and tells of a change by a signal that the shell need not hear.
    let text = "test -t 0 && test -t 2 || exit 1
        until [ \"$(stty size)\" = '17 91' ]; do sleep 0.05; done; echo first
        read line; until [ \"$(stty size)\" = '51 133' ]; do sleep 0.05; done; echo second";
    let request = ExecRequest {
        argv: ["sh", "-c", text].map(str::to_owned).into(),
        terminal: Some(TerminalSize { columns: 91, rows: 17 }),
        ..ExecRequest::default()
    };
    let mut session = unless_unsupported("terminals", reach(&task)?.exec(&step, &task.uuid, request).await)?;
    let mut stream = session.output().ok_or_else(|| Failure::new("it has no output"))?;
    let mut input = session.stdin().ok_or_else(|| Failure::new("it has no input"))?;
    until(&mut stream, "first\r\n").await?;
    session.resize(TerminalSize { columns: 133, rows: 51 }).await?;
    input.write_all(b"\n").await?;
    input.flush().await?;
    until(&mut stream, "second\r\n").await?;
    same("its status", &session.wait().await?.status, &ExitStatus::Code(0))
}

/// Reads until `text` was said.
async fn until(stream: &mut LogStream, text: &str) -> CaseResult {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        let Some(chunk) = stream.next().await else {
            return Err(Failure::new(format!("it ended before {text:?}: \"{}\"", seen.escape_ascii())));
        };
        seen.extend_from_slice(&chunk?.bytes);
    }
    Ok(())
}

async fn a_size_without_a_terminal_is_an_error(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    let mut session = exec(&task, &step, &["true"]).await?;
    match session.resize(TerminalSize { columns: 80, rows: 24 }).await {
        Err(Error::Unsupported { .. }) => {}
        other => return Err(Failure::new(format!("resizing answered {other:?}"))),
    }
    session.wait().await?;
    Ok(())
}

async fn a_command_and_what_it_left_behind_end_with_the_step(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    // The suite looks for what is left of both after the case.
    let mut left = exec(&task, &step, &["sh", "-c", "sleep 1000000 >/dev/null 2>&1 &"]).await?;
    same("the status of the first", &left.wait().await?.status, &ExitStatus::Code(0))?;
    let mut running = exec(&task, &step, &["sh", "-c", "echo ready; exec sleep 1000000"]).await?;
    let mut stream = running.output().ok_or_else(|| Failure::new("it has no output"))?;
    until(&mut stream, "ready\n").await?;
    task.destroy_step(&step).await?;
    let status = running.wait().await?.status;
    ensure!(status != ExitStatus::Code(0), "a command that was ended with its step succeeded");
    Ok(())
}

async fn a_command_in_an_ended_step_is_an_error(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new());
    let task = trial.set_up(&[&step]).await?;
    task.start(&step).await?;
    task.wait(&step).await?;
    let request = ExecRequest { argv: vec!["true".to_owned()], ..ExecRequest::default() };
    match reach(&task)?.exec(&step, &task.uuid, request).await {
        Err(Error::UnknownStep { .. }) => Ok(()),
        Err(Error::Unsupported { .. }) => Err(Failure::Lacking("exec")),
        Err(error) => Err(Failure::new(format!("the wrong error: {error:?}"))),
        Ok(_) => Err(Failure::new("it ran")),
    }
}

async fn a_paused_step_stands_still_until_it_is_resumed(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().await_file("go").exit(3));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&step, &release]).await?;
    task.start_and_await_ready(&step).await?;
    unless_unsupported("pausing", reach(&task)?.pause(&step, &task.uuid).await)?;
    task.run(&release).await?;
    // It looks for the file twenty times a second, so that in a second it would have ended.
    let early = timeout(Duration::from_secs(1), task.wait(&step)).await;
    ensure!(early.is_err(), "it went on although it was paused: {early:?}");
    reach(&task)?.resume(&step, &task.uuid).await?;
    same("the status", &task.wait(&step).await?.status, &ExitStatus::Code(3))
}

async fn a_paused_step_can_be_destroyed(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    unless_unsupported("pausing", reach(&task)?.pause(&step, &task.uuid).await)?;
    task.destroy_step(&step).await?;
    Ok(())
}

async fn a_signal_reaches_the_step(trial: &Trial<'_>) -> CaseResult {
    const SIGTERM: i32 = 15;
    let (task, step) = running_step(trial, Script::new().on_term("asked", 7).say_ready().forever()).await?;
    unless_unsupported("signals", reach(&task)?.signal(&step, &task.uuid, SIGTERM).await)?;
    same("the status", &task.wait(&step).await?.status, &ExitStatus::Code(7))
}

async fn a_running_step_has_stats(trial: &Trial<'_>) -> CaseResult {
    let (task, step) = running_step(trial, Script::new().say_ready().forever()).await?;
    let stats = unless_unsupported("stats", reach(&task)?.stats(&step, &task.uuid).await)?;
    ensure!(stats.pids > 0, "a running step has no process: {stats:?}");
    Ok(())
}

/// What the step itself knows of its addresses is what counts; the kernel's table of them has all of IPv4.
async fn a_running_step_says_how_it_is_reached(trial: &Trial<'_>) -> CaseResult {
    let step = trial.connected_step("build", &Script::new().say_ready().forever());
    let task = trial.set_up(&[&step]).await?;
    task.start_and_await_ready(&step).await?;
    let told = unless_unsupported("network", reach(&task)?.network(&step, &task.uuid).await)?;
    ensure!(!told.network.is_empty(), "its network has no name: {told:?}");
    let address: Ipv4Addr =
        told.ip_address.parse().map_err(|_| Failure::new(format!("it has no address: {told:?}")))?;
    ensure!(contains(&told.cidr, address), "its network is not one that it is in: {told:?}");
    ensure!(told.mapped_ports.is_empty(), "it has ports that nobody asked for: {told:?}");
    let mut session = exec(&task, &step, &["grep", "-qwF", &told.ip_address, "/proc/net/fib_trie"]).await?;
    same("the status of a look for its address", &session.wait().await?.status, &ExitStatus::Code(0))
}

/// Whether `address` is in the network `cidr`, whose own address has no bit after the prefix.
fn contains(cidr: &str, address: Ipv4Addr) -> bool {
    let Some((network, prefix)) = cidr.split_once('/') else { return false };
    let (Ok(network), Ok(prefix)) = (network.parse::<Ipv4Addr>(), prefix.parse::<u32>()) else {
        return false;
    };
    let rest = u32::MAX.checked_shr(prefix).unwrap_or(0);
    prefix <= 32 && network.to_bits() == address.to_bits() & !rest
}

async fn how_an_ended_step_was_reached_is_an_error(trial: &Trial<'_>) -> CaseResult {
    let step = trial.connected_step("build", &Script::new());
    let never = trial.connected_step("never", &Script::new());
    let task = trial.set_up(&[&step, &never]).await?;
    task.start(&step).await?;
    task.wait(&step).await?;
    for step in [&step, &never] {
        match reach(&task)?.network(step, &task.uuid).await {
            Err(Error::UnknownStep { .. }) => {}
            Err(Error::Unsupported { .. }) => return Err(Failure::Lacking("network")),
            other => return Err(Failure::new(format!("step {:?} is told: {other:?}", step.name))),
        }
    }
    Ok(())
}
