//! Limits of host steps, by the kernel's own word. What needs cgroups is skipped where this user can make none.
#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod support;

use std::path::PathBuf;
use std::time::Duration;

use jobwright_backend::{Backend, Error};
use jobwright_journal::since_boot;
use jobwright_model::{Cause, Ending, ExitStatus, Step};
use jobwright_shim::ExitRecord;
use jobwright_shim::record::StepFiles;
use serde_json::{Value, json};
use support::{Bench, Task, cgroups, leftovers, sh};

fn with(mut step: Step, options: Value) -> Step {
    step.backend_options.insert("process".to_owned(), options);
    step
}

/// A task, where this machine can limit.
async fn limited(bench: &Bench) -> Option<Task> {
    let task = bench.task().await;
    let has = task.backend.capabilities();
    if has.limits && has.oom {
        return Some(task);
    }
    task.destroy().await;
    eprintln!("skipped limits of host steps: no cgroup can be made here by this user");
    None
}

fn found(bench: &Bench) -> Vec<PathBuf> {
    cgroups(bench.state().owner().as_str())
}

/// What the step's cgroups say in the first of these files that any has.
fn says(bench: &Bench, files: &[&str]) -> String {
    let texts = found(bench).into_iter().flat_map(|folder| files.iter().map(move |file| folder.join(file)));
    texts
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .next()
        .expect("a cgroup has it")
        .trim()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_limit_ends_a_step_and_is_told_also_when_it_took_a_child() {
    let bench = Bench::new();
    let Some(task) = limited(&bench).await else { return };
    let greedy = "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done";
    let itself = with(sh(greedy), json!({ "memory": "32m" }));
    let (exit, ..) = task.run(&itself).await;
    assert_eq!((exit.status, exit.oom), (ExitStatus::Signal(9), true), "{exit:?}");
    let a_child = with(sh(&format!("sh -c '{greedy}'")), json!({ "memory": "32m" }));
    let (exit, ..) = task.run(&a_child).await;
    assert_eq!((exit.status, exit.oom), (ExitStatus::Code(137), true), "{exit:?}");
    // Who comes later reads the same.
    let later = bench.backend().await.wait_step(&a_child, &task.uuid).await.unwrap();
    assert_eq!((later.status, later.oom), (exit.status, true));
    task.destroy().await;
    assert_eq!(bench.leftovers(), [""; 0]);
}

/// DESIGN rule 1: the exit status is the authority's, and 0 is a success.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_gets_over_the_loss_of_a_child_has_passed() {
    let bench = Bench::new();
    let Some(task) = limited(&bench).await else { return };
    let script = "sh -c 'x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done' || echo gave up";
    let (exit, out, _) = task.run(&with(sh(script), json!({ "memory": "32m" }))).await;
    assert_eq!((exit.status, exit.oom, out.as_str()), (ExitStatus::Code(0), false, "gave up\n"));
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_by_another_kill_is_no_end_by_memory() {
    let bench = Bench::new();
    let Some(task) = limited(&bench).await else { return };
    let (exit, ..) = task.run(&with(sh("kill -9 $$"), json!({ "memory": "32m" }))).await;
    assert_eq!((exit.status, exit.oom), (ExitStatus::Signal(9), false));
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processors_and_processes_are_limited_by_the_kernel() {
    let bench = Bench::new();
    let Some(task) = limited(&bench).await else { return };
    let script = "echo ready; i=0; while [ $i -lt 20 ]; do sleep 1000 & i=$((i+1)); done; wait";
    let step = with(sh(script), json!({ "cpus": 0.5, "pids_limit": 8 }));
    task.start(&step).await;
    task.until(&step, "ready").await;
    let quota = says(&bench, &["cpu.cfs_quota_us", "cpu.max"]);
    assert!(quota == "50000" || quota == "50000 100000", "{quota}");
    assert_eq!(says(&bench, &["pids.max"]), "8");
    let exit = task.wait(&step).await;
    assert_ne!(exit.status, ExitStatus::Code(0), "a shell that cannot fork any more gives up");
    task.destroy().await;
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_single_processes_need_no_cgroup() {
    let bench = Bench::new();
    let task = bench.task().await;
    let step = with(
        sh("ulimit -n; ulimit -Hn; ulimit -c"),
        json!({ "ulimits": { "nofile": {"soft": 50, "hard": 60}, "core": 0 } }),
    );
    let (exit, out, _) = task.run(&step).await;
    assert_eq!((exit.status, out.as_str()), (ExitStatus::Code(0), "50\n60\n0\n"));
    assert_eq!(found(&bench), [""; 0].map(PathBuf::from));
    task.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_cgroup_can_be_made_a_limit_is_refused_and_nothing_is_left() {
    let bench = Bench::with(|settings| settings.cgroup = Some("/nonexistent".into()));
    let task = bench.task().await;
    let has = task.backend.capabilities();
    assert!(!has.limits && !has.oom);
    for (options, named) in [
        (json!({ "memory": "32m" }), "memory"),
        (json!({ "cpus": 1 }), "cpu"),
        (json!({ "pids_limit": 3 }), "pids"),
    ] {
        let step = with(sh("true"), options);
        let error = task.backend.start_step(&step, &task.uuid).await.unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(&format!("the {named} limit")), "{error}");
    }
    task.destroy().await;
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_start_leaves_no_cgroup() {
    let bench = Bench::new();
    let Some(task) = limited(&bench).await else { return };
    let mut step = with(sh("true"), json!({ "memory": "32m", "cpus": 1 }));
    step.entrypoint = vec!["/nonexistent/program".to_owned()];
    task.backend.start_step(&step, &task.uuid).await.unwrap_err();
    assert_eq!(found(&bench), [""; 0].map(PathBuf::from));
    task.destroy().await;
}

/// Not even a process that left its session, its environment and its pipes leaves its cgroup.
#[tokio::test(flavor = "multi_thread")]
async fn after_the_death_of_the_shim_the_cgroup_tells_what_is_left() {
    let bench = Bench::new();
    let Some(task) = limited(&bench).await else { return };
    let hidden = "setsid env -i /bin/sleep 1000 < /dev/null > /dev/null 2>&1 & sleep 0.1; echo ready; wait";
    let step = with(sh(hidden), json!({ "memory": "32m" }));
    task.start(&step).await;
    task.until(&step, "ready").await;
    let members = || -> usize {
        found(&bench)
            .iter()
            .map(|f| std::fs::read_to_string(f.join("cgroup.procs")).unwrap().lines().count())
            .sum()
    };
    assert!(members() >= 2, "the step has hidden something");
    let shims = std::fs::read_dir(bench.root.path().join("state/process/shims")).unwrap().flatten();
    for shim in shims {
        let record = jobwright_shim::record::ShimRecord::read(&shim.path()).unwrap().unwrap();
        let pid = rustix::process::Pid::from_raw(record.process.pid as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    assert_eq!(task.wait(&step).await.status, ExitStatus::Unknown);
    task.destroy().await;
    assert_eq!(leftovers(&bench.root.path().join("state/process")), [""; 0]);
}

/// The owner is gone when its connection is; a later one hears from the record that the time was over.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_owner_is_gone_is_ended_at_its_time_and_says_so() {
    let bench = Bench::new();
    let task = bench.task().await;
    let step = sh("echo ready; exec sleep 1000");
    task.backend.bound_step(&step, &task.uuid, since_boot() + Duration::from_millis(300));
    task.start(&step).await;
    task.until(&step, "ready").await;
    let Task { backend, uuid } = task;
    drop(backend);
    let files = StepFiles {
        dir: bench.root.path().join("state/process/tasks").join(uuid.as_str()),
        stem: step.uuid.as_str().to_owned(),
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), async {
        while ExitRecord::read(&files).unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("the shim ends it by itself");
    let later = Task { backend: bench.backend().await.into(), uuid };
    let exit = later.wait(&step).await;
    assert_eq!((exit.status, exit.overdue), (ExitStatus::Signal(15), true));
    assert_eq!(Ending::of_exit(&exit).cause, Cause::Timeout);
    later.destroy().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_owner_lives_is_not_ended_behind_its_back() {
    let bench = Bench::new();
    let task = bench.task().await;
    let step = sh("sleep 0.5; exit 7");
    task.backend.bound_step(&step, &task.uuid, since_boot());
    task.start(&step).await;
    let exit = task.wait(&step).await;
    assert_eq!((exit.status, exit.overdue), (ExitStatus::Code(7), false));
    task.destroy().await;
}
