//! A conformance script means the same to a real shell and to the dummy: same output, same files, same end. Only then does a
//! case that passes on the dummy say anything of the backends that run shells.

#![allow(clippy::unwrap_used)]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use futures_util::StreamExt;
use jobwright_backend::conformance::Script;
use jobwright_backend::dummy::Dummy;
use jobwright_backend::{Backend, LogPosition, StreamKind};
use jobwright_model::{ExitStatus, Step, StepUuid, TaskUuid, Workflow};

/// What came of a script: standard output, standard error, status.
type Result = (Vec<u8>, Vec<u8>, ExitStatus);

/// Every shell that is here: what `/bin/sh` is, and busybox as images have it.
fn shells() -> Vec<Vec<&'static str>> {
    let all = [vec!["sh"], vec!["dash"], vec!["bash"], vec!["busybox", "sh"]];
    let here =
        |shell: &Vec<&str>| Command::new(shell[0]).args(&shell[1..]).args(["-c", "true"]).status().is_ok();
    all.into_iter().filter(here).collect()
}

fn by_shell(shell: &[&str], script: &Script) -> Result {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", &script.to_shell()])
        .env("GIVEN", "it's \"given\"\n$x\n")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let status = match (output.status.code(), output.status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Unknown,
    };
    (output.stdout, output.stderr, status)
}

async fn by_dummy(script: &Script) -> Result {
    let dummy = Dummy::default();
    let mut step = Step::new("script", StepUuid::random());
    script.put_into(&mut step);
    step.environment.insert("GIVEN".to_owned(), "it's \"given\"\n$x\n".to_owned());
    let task = TaskUuid::random();
    dummy.setup_workflow(&Workflow::default(), &task).await.unwrap();
    dummy.start_step(&step, &task).await.unwrap();
    let exit = dummy.wait_step(&step, &task).await.unwrap();
    let mut stream = dummy.tail_step(&step, &task, LogPosition::START).await.unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        match chunk.stream {
            StreamKind::Stdout => stdout.extend_from_slice(&chunk.bytes),
            StreamKind::Stderr => stderr.extend_from_slice(&chunk.bytes),
        }
    }
    (stdout, stderr, exit.status)
}

#[tokio::test(start_paused = true)]
async fn a_script_means_the_same_to_shells_and_to_the_dummy() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let scripts = [
        Script::new(),
        Script::new().print(&every_byte).complain(&every_byte),
        Script::new().print("100% \\n 'quoted' \"$HOME\" `id`\n").exit(3),
        Script::new().print_variable("GIVEN").print_variable("NOT_GIVEN"),
        Script::new().write_file("it's", "one\0two\n").print_file("it's").await_file("it's"),
        Script::new().print_file("missing").print("not reached"),
        Script::new().fill(b'x', 100_000).print("\n"),
        Script::new().print("before").die(9).print("not reached"),
        Script::new().die(11),
        Script::new().exit(0).print("not reached"),
        Script::new().ignore_term().print("survives").exit(255),
        Script::new().on_term("trace", 7).print("not asked").exit(1),
    ];
    let shells = shells();
    assert!(!shells.is_empty(), "there is no shell here");
    for script in scripts {
        let (stdout, stderr, status) = by_dummy(&script).await;
        for shell in &shells {
            let shown = by_shell(shell, &script);
            assert_eq!(shown.0, stdout, "standard output of {shell:?}, running {script:?}");
            // What a program says of a missing file is its own.
            if !stderr.is_empty() {
                assert_eq!(shown.1, stderr, "standard error of {shell:?}, running {script:?}");
            }
            assert_eq!(shown.2, status, "status of {shell:?}, running {script:?}");
        }
    }
}
