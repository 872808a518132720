//! A step's output: every byte, in order, again and from any place.

use jobwright_model::ExitStatus;

use super::{case, separate_streams, survives};
use crate::conformance::check::{ensure, same, same_bytes};
use crate::conformance::{Case, CaseResult, Facilities, Script, Trial};
use crate::{LogPosition, LogPrecision};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(output_comes_byte_for_byte, "woodpecker 60"),
        case!(stdout_and_stderr_come_apart, "woodpecker 59", separate_streams),
        case!(the_order_within_a_stream_is_kept, ""),
        case!(output_comes_while_the_step_runs, "woodpecker 26"),
        case!(a_line_of_10_mb_comes_whole, "woodpecker 56"),
        case!(a_long_last_line_keeps_its_end, "", long_lines),
        case!(a_silent_step_has_an_empty_output, ""),
        case!(output_can_be_read_twice_at_the_same_time, "woodpecker 26"),
        case!(output_can_be_read_after_the_end, "woodpecker 26"),
        case!(a_tail_from_the_middle_gives_exactly_the_rest, "woodpecker 86", precise),
        case!(a_tail_from_the_middle_of_a_running_step_gives_exactly_the_rest, "woodpecker 86", precise),
        case!(a_tail_from_the_end_gives_nothing, "", precise),
        case!(closing_a_tail_early_harms_nothing, "woodpecker 26"),
        case!(an_unread_tail_does_not_stop_the_step, ""),
        case!(a_tail_ends_when_the_step_is_destroyed, "woodpecker 26"),
        case!(a_fresh_instance_reads_all_output, "woodpecker 82", survives),
    ]
}

fn long_lines(has: &Facilities) -> Option<&'static str> {
    (!has.capabilities.long_lines).then_some("line ends of any length")
}

fn precise(has: &Facilities) -> Option<&'static str> {
    (has.capabilities.log_precision == LogPrecision::BestEffort).then_some("exact log positions")
}

async fn output_comes_byte_for_byte(trial: &Trial<'_>) -> CaseResult {
    let every: Vec<u8> = (0..=255).collect();
    let odd: [&[u8]; 8] = [
        b"no newline at the end",
        b"\n\n\n",
        b"carriage\rreturn\r\n",
        b"NUL \0 within\0",
        b"\xff\xfe invalid UTF-8 \xc3",
        "größe 📦\n".as_bytes(),
        b"\x1b[31mred\x1b[0m",
        &every,
    ];
    for bytes in odd {
        let step = trial.step("prints", &Script::new().print(bytes));
        let task = trial.set_up(&[&step]).await?;
        let (output, _) = task.run(&step).await?;
        same_bytes("the output", &output.stdout(), bytes)?;
        task.destroy().await?;
    }
    Ok(())
}

async fn stdout_and_stderr_come_apart(trial: &Trial<'_>) -> CaseResult {
    let mut script = Script::new();
    for number in 0..20 {
        script = script.print(format!("out {number}\n")).complain(format!("err {number}\n"));
    }
    let step = trial.step("prints", &script);
    let task = trial.set_up(&[&step]).await?;
    let (output, _) = task.run(&step).await?;
    let expected = |word: &str| (0..20).map(|number| format!("{word} {number}\n")).collect::<String>();
    same_bytes("standard output", &output.stdout(), expected("out").as_bytes())?;
    same_bytes("standard error", &output.stderr(), expected("err").as_bytes())
}

async fn the_order_within_a_stream_is_kept(trial: &Trial<'_>) -> CaseResult {
    let mut script = Script::new();
    let mut expected = String::new();
    for number in 0..300 {
        script = script.print(format!("line {number}\n"));
        expected.push_str(&format!("line {number}\n"));
    }
    let step = trial.step("prints", &script);
    let task = trial.set_up(&[&step]).await?;
    let (output, _) = task.run(&step).await?;
    same_bytes("the output", &output.stdout(), expected.as_bytes())
}

async fn output_comes_while_the_step_runs(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("prints", &Script::new().say_ready().await_file("go").print("done\n"));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&step, &release]).await?;
    let tail = task.start_and_await_ready(&step).await?;
    task.run(&release).await?;
    same_bytes("the output", &tail.to_end().await?.stdout(), b"ready\ndone\n")
}

async fn a_line_of_10_mb_comes_whole(trial: &Trial<'_>) -> CaseResult {
    let output = long_line(trial, "\nend\n").await?;
    same("the output's length", &output.len(), &10_000_005)?;
    ensure!(output[..10_000_000].iter().all(|&byte| byte == b'x'), "other bytes came between");
    same_bytes("what follows the line", &output[10_000_000..], b"\nend\n")
}

async fn a_long_last_line_keeps_its_end(trial: &Trial<'_>) -> CaseResult {
    let output = long_line(trial, "\n").await?;
    same("the output's length", &output.len(), &10_000_001)?;
    ensure!(output.ends_with(b"x\n"), "the line has lost its end");
    Ok(())
}

/// The output of a step that prints 10 MB without a line feed, and then `after`.
async fn long_line(trial: &Trial<'_>, after: &str) -> CaseResult<Vec<u8>> {
    let step = trial.step("prints", &Script::new().fill(b'x', 10_000_000).print(after));
    let task = trial.set_up(&[&step]).await?;
    let (output, _) = task.run(&step).await?;
    Ok(output.stdout())
}

async fn a_silent_step_has_an_empty_output(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("silent", &Script::new());
    let task = trial.set_up(&[&step]).await?;
    let (output, _) = task.run(&step).await?;
    same("the number of chunks", &output.chunks.len(), &0)
}

async fn output_can_be_read_twice_at_the_same_time(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("prints", &Script::new().print("one\n").print("two\n"));
    let task = trial.set_up(&[&step]).await?;
    task.start(&step).await?;
    let (one, two) = tokio::join!(task.output(&step), task.output(&step));
    same_bytes("what the first read", &one?.stdout(), b"one\ntwo\n")?;
    same_bytes("what the second read", &two?.stdout(), b"one\ntwo\n")
}

async fn output_can_be_read_after_the_end(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("prints", &Script::new().print("one\n").exit(1));
    let task = trial.set_up(&[&step]).await?;
    task.start(&step).await?;
    task.wait(&step).await?;
    for _ in 0..2 {
        same_bytes("the output", &task.output(&step).await?.stdout(), b"one\n")?;
    }
    Ok(())
}

async fn a_tail_from_the_middle_gives_exactly_the_rest(trial: &Trial<'_>) -> CaseResult {
    let mut script = Script::new();
    for number in 0..50 {
        script = script.print(format!("line {number}\n")).complain(format!("complaint {number}\n"));
    }
    let step = trial.step("prints", &script.fill(b'y', 300_000));
    let task = trial.set_up(&[&step]).await?;
    task.start(&step).await?;
    task.wait(&step).await?;
    let all = task.output(&step).await?;
    let (stdout, stderr) = (all.stdout(), all.stderr());
    for taken in 0..all.chunks.len() {
        let head = crate::conformance::Output { chunks: all.chunks[..=taken].to_vec() };
        let rest = task.tail_from(&step, all.chunks[taken].next).await?.to_end().await?;
        same_bytes("the rest of stdout", &rest.stdout(), &stdout[head.stdout().len()..])?;
        same_bytes("the rest of stderr", &rest.stderr(), &stderr[head.stderr().len()..])?;
    }
    Ok(())
}

async fn a_tail_from_the_middle_of_a_running_step_gives_exactly_the_rest(trial: &Trial<'_>) -> CaseResult {
    let step =
        trial.step("prints", &Script::new().print("one\n").say_ready().await_file("go").print("three\n"));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&step, &release]).await?;
    let tail = task.start_and_await_ready(&step).await?;
    let position = tail.seen().chunks.last().map_or(LogPosition::START, |chunk| chunk.next);
    same_bytes("what came first", &tail.seen().stdout(), b"one\nready\n")?;
    drop(tail);
    let rest = task.tail_from(&step, position).await?;
    task.run(&release).await?;
    same_bytes("the rest", &rest.to_end().await?.stdout(), b"three\n")
}

async fn a_tail_from_the_end_gives_nothing(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("prints", &Script::new().print("one\n").complain("two\n"));
    let task = trial.set_up(&[&step]).await?;
    task.start(&step).await?;
    task.wait(&step).await?;
    let all = task.output(&step).await?;
    let end = all.chunks.last().map_or(LogPosition::START, |chunk| chunk.next);
    let rest = task.tail_from(&step, end).await?.to_end().await?;
    same_bytes("the rest", &rest.both(), b"")
}

async fn closing_a_tail_early_harms_nothing(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("prints", &Script::new().say_ready().await_file("go").fill(b'z', 300_000).exit(3));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&step, &release]).await?;
    drop(task.start_and_await_ready(&step).await?);
    task.run(&release).await?;
    same("the status", &task.wait(&step).await?.status, &ExitStatus::Code(3))?;
    same("the output's length", &task.output(&step).await?.stdout().len(), &(300_000 + 6))
}

async fn an_unread_tail_does_not_stop_the_step(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("prints", &Script::new().fill(b'z', 3_000_000).exit(3));
    let task = trial.set_up(&[&step]).await?;
    task.start(&step).await?;
    let unread = task.tail(&step).await?;
    same("the status", &task.wait(&step).await?.status, &ExitStatus::Code(3))?;
    same("the output's length", &unread.to_end().await?.stdout().len(), &3_000_000)
}

async fn a_tail_ends_when_the_step_is_destroyed(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("prints", &Script::new().say_ready().repeat("again\n"));
    let task = trial.set_up(&[&step]).await?;
    let tail = task.start_and_await_ready(&step).await?;
    // Whether it ends with an error or without is the backend's; that it ends is not.
    let (_, destroyed) = tokio::join!(tail.to_end(), task.destroy_step(&step));
    destroyed?;
    Ok(())
}

async fn a_fresh_instance_reads_all_output(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("prints", &Script::new().print("one\n").complain("two\n").exit(1));
    let task = trial.set_up(&[&step]).await?;
    task.start(&step).await?;
    task.wait(&step).await?;
    let output = trial.restarted(&task).await.output(&step).await?;
    let mut both = output.both();
    both.sort_unstable();
    let mut expected = b"one\ntwo\n".to_vec();
    expected.sort_unstable();
    same_bytes("the output", &both, &expected)
}
