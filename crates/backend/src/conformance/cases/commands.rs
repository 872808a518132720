//! How `commands`, `entrypoint` and `working_dir` are run. All of it needs a real shell.

use jobwright_model::ExitStatus;

use super::{case, shell};
use crate::Error;
use crate::conformance::check::{ensure, same, same_bytes};
use crate::conformance::{Case, CaseResult, Output, Trial};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(each_command_is_echoed_before_it_runs, "woodpecker 63", shell),
        case!(the_first_failing_command_stops_the_rest, "woodpecker 63", shell),
        case!(a_failure_that_is_handled_does_not_stop_the_rest, "woodpecker 63", shell),
        case!(state_carries_over_from_command_to_command, "woodpecker 63", shell),
        case!(no_command_can_break_the_next_one, "woodpecker 63", shell),
        case!(odd_characters_in_a_command_reach_the_shell_and_the_echo, "woodpecker 63", shell),
        case!(the_exit_code_of_a_command_is_the_steps, "woodpecker 34", shell),
        case!(an_entrypoint_runs_as_given, "woodpecker 63", shell),
        case!(an_entrypoint_outranks_commands, "woodpecker 63", shell),
        case!(the_working_directory_is_made_and_used, "woodpecker 63", shell),
        case!(standard_input_is_empty, "", shell),
        case!(a_very_long_script_runs_or_is_refused, "", shell),
    ]
}

/// Runs `commands` and answers the output and the status.
async fn run(trial: &Trial<'_>, commands: &[&str]) -> CaseResult<(Output, ExitStatus)> {
    let step = trial.commands("build", commands);
    let task = trial.set_up(&[&step]).await?;
    let (output, exit) = task.run(&step).await?;
    task.destroy().await?;
    Ok((output, exit.status))
}

/// Whether the output has these lines in this order, whatever is between them.
fn has_lines(output: &Output, lines: &[&str]) -> CaseResult {
    let text = String::from_utf8_lossy(&output.stdout()).into_owned();
    let mut printed = text.lines();
    for line in lines {
        ensure!(
            printed.any(|other| other == *line),
            "the line {line:?} is missing (or too early) in {text:?}"
        );
    }
    Ok(())
}

async fn each_command_is_echoed_before_it_runs(trial: &Trial<'_>) -> CaseResult {
    let (output, status) = run(trial, &["echo one", "echo  two   # why"]).await?;
    same("the status", &status, &ExitStatus::Code(0))?;
    has_lines(&output, &["+ echo one", "one", "+ echo  two   # why", "two"])
}

async fn the_first_failing_command_stops_the_rest(trial: &Trial<'_>) -> CaseResult {
    let (output, status) = run(trial, &["echo one", "false", "echo three"]).await?;
    same("the status", &status, &ExitStatus::Code(1))?;
    has_lines(&output, &["one", "+ false"])?;
    ensure!(!output.says("three"), "the command after the failing one ran, or was shown");
    Ok(())
}

async fn a_failure_that_is_handled_does_not_stop_the_rest(trial: &Trial<'_>) -> CaseResult {
    let commands = ["false || true", "if false; then echo no; fi", "! true || echo also", "echo end"];
    let (output, status) = run(trial, &commands).await?;
    same("the status", &status, &ExitStatus::Code(0))?;
    has_lines(&output, &["end"])
}

async fn state_carries_over_from_command_to_command(trial: &Trial<'_>) -> CaseResult {
    let commands =
        ["own=5", "export shown=6", "cd /tmp", "greet() { echo \"hi $1\"; }", "greet $own-$shown-$PWD"];
    let (output, _) = run(trial, &commands).await?;
    has_lines(&output, &["hi 5-6-/tmp"])
}

async fn no_command_can_break_the_next_one(trial: &Trial<'_>) -> CaseResult {
    let commands = [
        "echo a # a comment, isn't it",
        "sleep 0 &",
        "cat <<END\nhere is $((1 + 1))\nEND",
        "cat <<'END'\n$raw 'text'\nEND",
        "for word in x y\ndo\n  echo \"for $word\"\ndone",
        "echo trailing \\\n  backslash",
        "",
        "  ",
        "# only a comment",
        "echo end;",
    ];
    let (output, status) = run(trial, &commands).await?;
    same("the status", &status, &ExitStatus::Code(0))?;
    has_lines(&output, &["a", "here is 2", "$raw 'text'", "for x", "for y", "trailing backslash", "end"])
}

async fn odd_characters_in_a_command_reach_the_shell_and_the_echo(trial: &Trial<'_>) -> CaseResult {
    let odd = r#"printf '%s\n' 'it'"'"'s "$HOME" `id` \n %d größe 📦'"#;
    let (output, status) = run(trial, &[odd]).await?;
    same("the status", &status, &ExitStatus::Code(0))?;
    has_lines(&output, &[&format!("+ {odd}"), r#"it's "$HOME" `id` \n %d größe 📦"#])
}

async fn the_exit_code_of_a_command_is_the_steps(trial: &Trial<'_>) -> CaseResult {
    for (command, code) in [("exit 42", 42), ("sh -c 'exit 3'", 3), ("no-such-program", 127)] {
        same("the status", &run(trial, &[command]).await?.1, &ExitStatus::Code(code))?;
    }
    Ok(())
}

async fn an_entrypoint_runs_as_given(trial: &Trial<'_>) -> CaseResult {
    let mut step = trial.empty_step("build");
    let arguments =
        ["/bin/sh", "-c", "printf '<%s>' \"$0\" \"$@\"", "a b", "", "c'd\"e", "$HOME", "*", "\n", "größe"];
    step.entrypoint = arguments.map(str::to_owned).into();
    let task = trial.set_up(&[&step]).await?;
    let (output, _) = task.run(&step).await?;
    same_bytes("the output", &output.stdout(), "<a b><><c'd\"e><$HOME><*><\n><größe>".as_bytes())
}

async fn an_entrypoint_outranks_commands(trial: &Trial<'_>) -> CaseResult {
    let mut step = trial.shell("build", "printf entrypoint");
    step.commands = vec!["echo command".to_owned()];
    let task = trial.set_up(&[&step]).await?;
    let (output, _) = task.run(&step).await?;
    same_bytes("the output", &output.stdout(), b"entrypoint")
}

async fn the_working_directory_is_made_and_used(trial: &Trial<'_>) -> CaseResult {
    let below = format!("{}/src/deep er", crate::conformance::trial::WORKSPACE);
    let mut by_entrypoint = trial.shell("entrypoint", "pwd; echo one > one");
    by_entrypoint.working_dir.clone_from(&below);
    let mut by_commands = trial.commands("commands", &["pwd", "cat one", "echo two > two"]);
    by_commands.working_dir = below;
    let reader = trial.shell("reader", "cat 'src/deep er/one' 'src/deep er/two'");
    let task = trial.set_up(&[&by_entrypoint, &by_commands, &reader]).await?;
    for step in [&by_entrypoint, &by_commands] {
        let (output, exit) = task.run(step).await?;
        same("the status", &exit.status, &ExitStatus::Code(0))?;
        ensure!(output.says("/src/deep er\n"), "the step does not run in its working directory");
    }
    same_bytes("what is in it", &task.run(&reader).await?.0.stdout(), b"one\ntwo\n")
}

async fn standard_input_is_empty(trial: &Trial<'_>) -> CaseResult {
    // Were it open, cat would wait for ever.
    let step = trial.shell("build", "cat; echo end");
    let task = trial.set_up(&[&step]).await?;
    same_bytes("the output", &task.run(&step).await?.0.stdout(), b"end\n")
}

async fn a_very_long_script_runs_or_is_refused(trial: &Trial<'_>) -> CaseResult {
    let long = format!(": {}", "x".repeat(1000));
    let mut commands = vec![long.as_str(); 300];
    commands.push("echo end");
    let step = trial.commands("build", &commands);
    let task = trial.set_up(&[&step]).await?;
    match task.start(&step).await {
        Err(Error::Start { .. } | Error::InvalidStep { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => {
            let output = task.output(&step).await?;
            ensure!(output.says("\nend\n"), "the script was cut");
            same("the status", &task.wait(&step).await?.status, &ExitStatus::Code(0))
        }
    }
}
