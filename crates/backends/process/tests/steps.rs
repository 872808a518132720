//! What this backend does its own way: scripts, environment, directories, users, and the death of its shim.
#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use jobwright_backend::{Backend, Error, LogPosition, WorkflowDiscoverer};
use jobwright_model::{ExitStatus, StepType, TaskUuid, Workflow};
use jobwright_process::RunAsChoice;
use jobwright_shim::record::ShimRecord;
use support::{Bench, commands, sh};

/// The shim of a bench whose backend has started a step.
fn shim_pid(bench: &Bench) -> u32 {
    let shims = bench.root.path().join("state/process/shims");
    let mut records =
        std::fs::read_dir(shims).unwrap().map(|entry| ShimRecord::read(&entry.unwrap().path()).unwrap());
    records.next().unwrap().unwrap().process.pid
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_one_script_in_the_workspace() {
    let bench = Bench::new();
    let task = bench.task().await;
    let mut step =
        commands(&["X=kept", "echo $X; echo loud >&2", "basename \"$PWD\"", "exit 3", "echo never"]);
    step.working_dir = "sub/dir".into();
    let (exit, out, err) = task.run(&step).await;
    assert_eq!(exit.status, ExitStatus::Code(3));
    assert_eq!(out, "+ X=kept\n+ echo $X; echo loud >&2\nkept\n+ basename \"$PWD\"\ndir\n+ exit 3\n");
    assert_eq!(err, "loud\n");
    let usage = exit.usage.unwrap();
    assert!(usage.peak_memory > 0 && exit.finished >= exit.started && exit.message.is_none());
    task.destroy().await;
    assert!(bench.leftovers().is_empty());
}

// covers: woodpecker 76
#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_small_and_the_home_is_private() {
    let bench = Bench::with(|settings| settings.host_environment = vec!["CARGO_MANIFEST_*".into()]);
    let task = bench.task().await;
    let mut step = sh("env; stat -c %a \"$HOME\"; echo \"$PWD\" | grep -cF \"$CI_WORKSPACE\"");
    step.environment.insert("GREETING".into(), "hello\nworld".into());
    step.environment.insert("HOME".into(), "/root".into());
    let (_, out, _) = task.run(&step).await;
    assert!(
        out.contains("GREETING=hello\nworld\n")
            && out.contains("CARGO_MANIFEST_DIR=")
            && out.ends_with("700\n1\n")
    );
    assert!(
        !out.contains("HOME=/root") && !out.contains("CARGO_PKG_NAME") && !out.contains("CARGO_TARGET_DIR"),
        "{out}"
    );
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_gone_with_their_step() {
    let bench = Bench::new();
    let task = bench.task().await;
    let mut step = commands(&["cat ~/.netrc"]);
    for (name, value) in
        [("CI_NETRC_MACHINE", "forge"), ("CI_NETRC_USERNAME", "me"), ("CI_NETRC_PASSWORD", "secret")]
    {
        step.environment.insert(name.into(), value.into());
    }
    let (_, out, _) = task.run(&step).await;
    assert_eq!(out, "+ cat ~/.netrc\nmachine forge\nlogin me\npassword secret\n");
    task.backend.destroy_step(&step, &task.uuid).await.unwrap();
    let (exit, ..) = task.run(&commands(&["test ! -e ~/.netrc"])).await;
    assert_eq!(exit.status, ExitStatus::Code(0));
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_on_a_command_line() {
    let bench = Bench::new();
    let task = bench.task().await;
    let mut step = commands(&["echo password-in-the-script >/dev/null", "echo $TOKEN; sleep 60"]);
    step.environment.insert("TOKEN".into(), "value-of-the-secret".into());
    task.start(&step).await;
    task.until(&step, "value-of-the-secret").await;
    for pid in jobwright_shim::procfs::all() {
        let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(
            !line.contains("password-in-the-script") && !line.contains("value-of-the-secret"),
            "{pid}: {line}"
        );
    }
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_is_missing_is_named() {
    let bench = Bench::new();
    let task = bench.task().await;
    let mut step = commands(&["true"]);
    step.image = "/no/such/shell".into();
    let error = task.backend.start_step(&step, &task.uuid).await.unwrap_err();
    assert!(matches!(error, Error::Start { .. }));
    assert!(error.to_string().contains("shell `/no/such/shell` not found"), "{error}");
    // It may be tried again, and is refused for the same reason and not for having been tried.
    assert!(matches!(task.backend.start_step(&step, &task.uuid).await, Err(Error::Start { .. })));
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_a_program_of_the_host() {
    let bench = Bench::new();
    let task = bench.task().await;
    let mut step = commands(&[]);
    step.kind = StepType::Plugin;
    step.image = "pwd".into();
    let (exit, out, _) = task.run(&step).await;
    assert_eq!(exit.status, ExitStatus::Code(0));
    assert!(out.trim_end().ends_with("/workspace"), "{out}");
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_with_a_nul_byte_is_an_error_that_does_not_show_it() {
    let bench = Bench::new();
    let task = bench.task().await;
    let mut step = sh("true");
    step.environment.insert("TOKEN".into(), "secret\0".into());
    let error = task.backend.start_step(&step, &task.uuid).await.unwrap_err();
    assert!(matches!(error, Error::InvalidStep { .. }), "{error:?}");
    assert!(error.to_string().contains("`TOKEN`") && !error.to_string().contains("secret"), "{error}");
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_place_is_the_project_itself_and_outlives_the_task() {
    let project = tempfile::tempdir().unwrap();
    std::fs::write(project.path().join("file"), "text").unwrap();
    let bench = Bench::with(|settings| settings.in_place = Some(project.path().to_owned()));
    let task = bench.task().await;
    let (_, out, _) = task.run(&sh("cat file; echo made > result")).await;
    assert_eq!(out, "text");
    let tar = Box::pin(futures_util::stream::empty());
    assert!(matches!(task.backend.put(&task.uuid, "", tar).await, Err(Error::Unsupported { .. })));
    task.destroy().await;
    assert_eq!(std::fs::read_to_string(project.path().join("result")).unwrap(), "made\n");
    assert!(bench.leftovers().is_empty());
}

// Rule 1: no success and no failure that nobody saw.
#[tokio::test(flavor = "multi_thread")]
async fn when_the_shim_dies_its_steps_are_lost_and_what_they_left_is_ended() {
    let bench = Bench::new();
    let task = bench.task().await;
    let ended = sh("exit 4");
    task.run(&ended).await;
    let running = sh("trap '' TERM; setsid sleep 300 & echo ready; wait; sleep 300");
    task.start(&running).await;
    task.until(&running, "ready").await;
    let sleeps = || {
        let is_left = |pid: &u32| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x00300\x00")
        };
        let of_this_test = |pid: &u32| {
            std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(bench.root.path()))
        };
        jobwright_shim::procfs::all().into_iter().filter(|pid| is_left(pid) && of_this_test(pid)).count()
    };
    let begun = async {
        while sleeps() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), begun).await.expect("the grandchild begins");
    // The wait is polled first, so it waits when the shim dies.
    let (exit, ()) = tokio::join!(task.wait(&running), async { kill(shim_pid(&bench)) });
    assert_eq!(exit.status, ExitStatus::Unknown);
    assert!(exit.message.unwrap().contains("shim"));
    assert_eq!(task.output(&running).await.0, "ready\n", "what it wrote before is kept, and the output ends");
    assert_eq!(task.wait(&ended).await.status, ExitStatus::Code(4), "what was recorded stays true");
    assert_eq!(sleeps(), 1, "the grandchild outlived the shim, or this test shows nothing");
    task.backend.destroy_step(&running, &task.uuid).await.unwrap();
    assert_eq!(sleeps(), 0);
    // The next step gets another shim.
    assert_eq!(task.run(&sh("exit 5")).await.0.status, ExitStatus::Code(5));
    task.destroy().await;
    assert!(bench.leftovers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_begin_at_once_share_one_shim() {
    let bench = Bench::new();
    let task = bench.task().await;
    let steps: Vec<_> = (0..40).map(|i| sh(&format!("echo {i}; exit {i}"))).collect();
    let all = steps.iter().map(|step| task.run(step));
    for (i, (exit, ..)) in futures_util::future::join_all(all).await.into_iter().enumerate() {
        assert_eq!(exit.status, ExitStatus::Code(i as i32));
    }
    assert_eq!(std::fs::read_dir(bench.root.path().join("state/process/shims")).unwrap().count(), 1);
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_load_sweeps_what_dead_shims_left_and_nothing_else() {
    let bench = Bench::new();
    let task = bench.task().await;
    let step = sh("echo ready; sleep 300");
    task.start(&step).await;
    task.until(&step, "ready").await;
    let shims = bench.root.path().join("state/process/shims");
    std::fs::create_dir(shims.join("4000000-1")).unwrap();
    std::fs::create_dir(shims.join("notes")).unwrap();
    bench.backend().await;
    assert!(!shims.join("4000000-1").exists());
    assert!(shims.join("notes").exists());
    assert_eq!(
        bench.backend().await.discover_workflows().await.unwrap().len(),
        1,
        "the living shim was swept"
    );
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_uuid_in_use_is_refused() {
    let bench = Bench::new();
    let task = bench.task().await;
    let again = task.backend.setup_workflow(&Workflow::default(), &task.uuid).await;
    assert!(matches!(again, Err(Error::NameTaken(_))));
    task.destroy().await;
    task.backend.setup_workflow(&Workflow::default(), &task.uuid).await.unwrap();
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_output_is_an_error_not_a_wrong_text() {
    let bench = Bench::new();
    let task = bench.task().await;
    let step = sh("echo text");
    task.run(&step).await;
    use futures_util::StreamExt;
    let from = LogPosition::new(5);
    let mut log = task.backend.tail_step(&step, &task.uuid, from).await.unwrap();
    assert!(matches!(log.next().await, Some(Err(Error::Engine { .. }))));
    task.destroy().await;
}

/// Steps of different tasks must not reach each other's files, nor Jobwright's.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_its_own_keeps_tasks_apart() {
    if !support::is_root() {
        eprintln!("skipped: only root can run steps as another user");
        return;
    }
    let work = tempfile::tempdir_in("/var/tmp").unwrap();
    let bench = Bench::with(|settings| {
        settings.run_as = Some(RunAsChoice::Auto);
        settings.work_dir = Some(work.path().to_owned());
    });
    let (one, two) = (bench.task().await, bench.task().await);
    let (_, first, _) = one.run(&commands(&["id -u; echo mine > file; echo $CI_WORKSPACE"])).await;
    let workspace = first.lines().last().unwrap();
    let script = format!(
        "id -u; cat {workspace}/file; ls {state}; kill -0 {shim}; echo x > ../scripts/x; grep NoNewPrivs /proc/self/status",
        state = bench.root.path().join("state").display(),
        shim = shim_pid(&bench),
    );
    let (_, second, errors) = two.run(&sh(&script)).await;
    let uid = |text: &str| text.lines().find_map(|line| line.parse::<u32>().ok()).unwrap();
    assert_ne!(uid(&first), uid(&second));
    assert!(uid(&first) >= 2_000_000_000 && !second.contains("mine"), "{second}");
    assert!(second.contains("NoNewPrivs:\t1"));
    let refusals = errors.lines().filter(|line| !line.is_empty()).count();
    assert_eq!(refusals, 4, "something was allowed: {errors}");
    one.destroy().await;
    two.destroy().await;
    assert!(bench.leftovers().is_empty());
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn destroying_what_never_was_is_fine_and_quick() {
    let bench = Bench::new();
    let backend = bench.backend().await;
    let begin = Instant::now();
    backend.destroy_workflow(&Workflow::default(), &TaskUuid::random()).await.unwrap();
    backend.destroy_step(&sh("true"), &TaskUuid::random()).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_removes_its_home_and_its_task_is_ended_all_the_same() {
    let bench = Bench::new();
    let task = bench.task().await;
    let step = sh("echo ready; exec 1>&-; rm -rf \"${HOME%/home}\"; while :; do sleep 1; done");
    task.start(&step).await;
    let dir = bench.root.path().join("state/process/tasks").join(task.uuid.as_str());
    let removed = async {
        while dir.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), removed).await.expect("the step removes its task");
    let shim = shim_pid(&bench);
    assert_eq!(jobwright_shim::procfs::children(shim).unwrap().len(), 1);
    task.destroy().await;
    assert!(jobwright_shim::procfs::children(shim).unwrap().is_empty());
    assert!(bench.leftovers().is_empty());
}

/// The file of an output is used again for the next step of the task, but never while somebody has not read it to its end.
#[tokio::test(flavor = "multi_thread")]
async fn an_output_is_used_again_and_who_follows_it_gets_his_own() {
    let bench = Bench::new();
    let task = bench.task().await;
    let folder = bench.root.path().join("state/process/tasks").join(task.uuid.as_str());
    let first = sh("echo first");
    task.run(&first).await;
    let mut followed = task.backend.tail_step(&first, &task.uuid, LogPosition::START).await.unwrap();
    task.backend.destroy_step(&first, &task.uuid).await.unwrap();
    assert!(!folder.join("spare").exists(), "somebody follows it");
    let second = sh("echo second");
    task.run(&second).await;
    assert_eq!(followed.next().await.unwrap().unwrap().bytes, "first\n");
    assert!(followed.next().await.is_none());
    task.backend.destroy_step(&second, &task.uuid).await.unwrap();
    assert_eq!(std::fs::metadata(folder.join("spare")).unwrap().len(), 0, "nothing is left of what it wrote");
    let third = sh("echo third");
    let (exit, output, _) = task.run(&third).await;
    assert_eq!((exit.status, output.as_str()), (ExitStatus::Code(0), "third\n"));
    assert!(!folder.join("spare").exists());
    task.destroy().await;
    assert_eq!(bench.leftovers(), [""; 0]);
}

/// As another process does it, which does not know who follows.
#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_file_that_became_anothers_gets_nothing_of_it() {
    let bench = Bench::new();
    let task = bench.task().await;
    let first = sh("echo first");
    task.run(&first).await;
    let from_start = LogPosition::START;
    let mut before = task.backend.tail_step(&first, &task.uuid, from_start).await.unwrap();
    let mut within = task.backend.tail_step(&first, &task.uuid, from_start).await.unwrap();
    assert_eq!(within.next().await.unwrap().unwrap().bytes, "first\n");
    bench.backend().await.destroy_step(&first, &task.uuid).await.unwrap();
    task.run(&sh("echo second; echo and more of it")).await;
    for followed in [&mut before, &mut within] {
        if let Some(Ok(chunk)) = followed.next().await {
            panic!("{:?} is another step's", chunk.bytes);
        }
    }
    task.destroy().await;
    assert_eq!(bench.leftovers(), [""; 0]);
}

// covers: nunet 75 (how a step is reached)
#[tokio::test(flavor = "multi_thread")]
async fn how_a_host_step_is_reached_is_not_told_as_if_it_had_an_address() {
    let bench = Bench::new();
    let task = bench.task().await;
    let control = task.backend.control().expect("host steps can be reached into");
    let told = control.network(&sh("true"), &task.uuid).await;
    assert!(matches!(&told, Err(Error::Unsupported { backend: "process", .. })), "{told:?}");
    task.destroy().await;
}
