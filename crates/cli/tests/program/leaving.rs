//! What a service manager does that stops Jobwright and nothing else (`KillMode=process`): its main process gets SIGTERM, the steps and
//! their shim go on.

use std::path::PathBuf;

use jobwright_shim::record::ShimRecord;
use rustix::process::Signal;

use crate::support::{Bench, IMAGE, docker, wait_for, wait_for_file};

fn shims(bench: &Bench) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(bench.state().join("process/shims")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

// covers: woodpecker 87 (SIGTERM alone)
#[test]
fn told_to_leave_it_leaves_its_steps_with_their_shim_and_says_nothing_of_their_end() {
    let bench = Bench::new();
    let (pid, done) = (bench.root().join("pid"), bench.root().join("done"));
    bench.file(
        ".jobwright.yaml",
        format!(
            "stages: [a]\nx: {{stage: a, script: ['echo $$ > {0}.new; mv {0}.new {0}; until test -e {1}; do sleep 0.02; done; touch {2}']}}\n",
            pid.display(),
            bench.root().join("gate").display(),
            done.display()
        ),
    );
    let mut command = bench.command(&["run"]);
    command.env("JOBWRIGHT_ON_TERM", "leave");
    let running = bench.start(command);
    wait_for_file(&pid);
    let step: u32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    running.signal(Signal::TERM);
    let left = running.end().expect(143);
    assert!(left.stderr.contains("what runs goes on"), "{}", left.stderr);

    assert!(jobwright_shim::procfs::stat(step).is_some_and(|stat| !stat.is_zombie()), "the step goes on");
    let [shim] = &shims(&bench)[..] else { panic!("one shim") };
    assert!(ShimRecord::read(shim).unwrap().unwrap().process.is_alive());
    let [run] = &bench.runs()[..] else { panic!("one run") };
    let events = std::fs::read_to_string(bench.state().join("runs").join(run).join("events.ndjson")).unwrap();
    assert!(!events.contains("job_finished") && !events.contains("run_finished"), "{events}");
    assert!(bench.run(&["doctor"]).expect(9).stdout.contains("left 1 task on process (1 running)"));

    std::fs::write(bench.root().join("gate"), "").unwrap();
    wait_for_file(&done);
    assert!(wait_for(|| shims(&bench).iter().all(|shim| ShimRecord::read(shim).unwrap().is_none())));
    assert!(bench.run(&["doctor"]).expect(9).stdout.contains("left 1 task on process (0 running)"));
    bench.run(&["clean"]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn told_to_leave_it_leaves_its_containers() {
    let Some(host) = docker() else { return };
    let pipeline =
        format!("stages: [a]\nx: {{stage: a, image: '{IMAGE}', script: [echo running, sleep 1000]}}\n");
    let bench = Bench::with(&pipeline).on(host);
    let running = bench.start(bench.command(&["--on-term", "leave", "run"]));
    assert!(wait_for(|| running.stdout_now().contains("running\n")));
    running.signal(Signal::TERM);
    running.end().expect(143);
    assert!(bench.run(&["doctor"]).expect(9).stdout.contains("left 1 task on docker (1 running)"));
    bench.run(&["clean"]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}

/// The job's limit holds although nobody is there to keep it.
#[test]
fn a_job_s_time_runs_out_without_jobwright() {
    let bench = Bench::new();
    let ready = bench.root().join("ready");
    bench.file(
        ".jobwright.yaml",
        format!(
            "stages: [a]\nx: {{stage: a, timeout: 2s, script: ['touch {}; sleep 1000']}}\n",
            ready.display()
        ),
    );
    let mut running = bench.start(bench.command(&["run"]));
    wait_for_file(&ready);
    running.child.kill().unwrap();
    running.end();
    let tasks = bench.state().join("process/tasks");
    let records = || -> Vec<String> {
        let tasks = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
        let files = tasks.flat_map(|task| std::fs::read_dir(task.path()).into_iter().flatten().flatten());
        let exits = files.filter(|file| file.file_name().to_string_lossy().ends_with(".output"));
        exits
            .map(|file| String::from_utf8_lossy(&std::fs::read(file.path()).unwrap_or_default()).into_owned())
            .collect()
    };
    assert!(
        wait_for(|| records().iter().any(|record| record.contains("\"ended_by\":\"deadline\""))),
        "{:?}",
        records()
    );
    bench.run(&["clean"]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}
