//! `jobwright clean`: what it touches and what it leaves alone.

use std::net::TcpListener;

use jobwright_journal::{Journal, StateDir};
use jobwright_model::{RunId, TaskUuid};
use jobwright_runtime::{BootTime, Record};

use crate::support::{Bench, IMAGE, docker, processes_that_mention, tree, wait_for, waiting};

// covers: local-ci 75
#[test]
fn a_run_that_lives_is_left_alone() {
    let bench = Bench::new();
    let running = waiting(&bench);
    let [run] = &bench.runs()[..] else { panic!("one run") };
    let alone = format!("{run} is running and is left alone\nnothing to remove\n");
    assert_eq!(bench.run(&["clean"]).expect(0).stdout, alone);
    assert_eq!(bench.run(&["clean", "--dry-run"]).expect(0).stdout, alone);
    std::fs::write(bench.root().join("gate"), "").unwrap();
    running.end().expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}

// covers: local-ci 75
#[test]
fn runs_of_another_state_directory_are_left_alone() {
    let bench = Bench::new();
    let running = waiting(&bench);
    let other = Bench::new();
    assert_eq!(other.run(&["clean"]).expect(0).stdout, "nothing to remove\n");
    std::fs::write(bench.root().join("gate"), "").unwrap();
    running.end().expect(0);
}

#[test]
fn a_dry_run_tells_what_is_left_and_changes_nothing() {
    let bench = Bench::new();
    let mut running = waiting(&bench);
    running.child.kill().unwrap();
    running.end();
    // Where output goes while the step still runs would grow; this one is silent.
    let before = (tree(&bench.state()), processes_that_mention(bench.root()));
    assert!(!before.1.is_empty(), "the step goes on");
    let told = bench.run(&["clean", "--dry-run"]).expect(0).stdout;
    let [run] = &bench.runs()[..] else { panic!("one run") };
    assert!(
        told.starts_with(&format!("{run}: task ")) && told.contains(" on the process backend\n"),
        "{told}"
    );
    assert!(told.ends_with("1 leftover(s) would be removed\n"), "{told}");
    assert_eq!((tree(&bench.state()), processes_that_mention(bench.root())).0, before.0);
    let removed = bench.run(&["clean"]).expect(0).stdout;
    assert!(removed.ends_with("1 leftover(s) removed\n"), "{removed}");
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_clone_that_a_killed_run_began_is_removed() {
    let bench = Bench::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/nothing", silent.local_addr().unwrap());
    let mut running = bench.start(bench.command(&["run", "--remote", &url]));
    let (connection, _) = silent.accept().unwrap();
    running.child.kill().unwrap();
    running.end();
    let [run] = &bench.runs()[..] else { panic!("one run") };
    let clone = bench.state().join("runs").join(run).join("clone");
    assert!(clone.exists());
    // Git itself ends when the other side does, and takes away what it began; a machine that stops gives it no time for that.
    drop(connection);
    assert!(wait_for(|| processes_that_mention(bench.root()).is_empty()));
    std::fs::create_dir_all(clone.join(".git")).unwrap();
    assert!(bench.run(&["clean", "--dry-run"]).expect(0).stdout.contains("the clone of a repository, "));
    assert!(bench.run(&["clean"]).expect(0).stdout.ends_with("1 leftover(s) removed\n"));
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn with_nothing_there_nothing_is_removed() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["clean"]).expect(0).stdout, "nothing to remove\n");
}

#[test]
fn a_damaged_journal_is_named_and_kept_and_what_it_still_tells_is_enough_to_clean_up() {
    let bench = Bench::new();
    let mut running = waiting(&bench);
    running.child.kill().unwrap();
    running.end();
    let [run] = &bench.runs()[..] else { panic!("one run") };
    let journal = bench.state().join("runs").join(run).join("journal");
    let kept = std::fs::read(&journal).unwrap();
    // At the end it could be what a crash leaves; at the beginning it is damage.
    let damaged = [b"!", &kept[1..]].concat();
    assert_ne!(damaged, kept);
    std::fs::write(&journal, &damaged).unwrap();
    let told = bench.run(&["clean", "--dry-run"]).expect(0);
    assert!(told.stdout.ends_with("1 leftover(s) would be removed\n"), "{}", told.stdout);
    assert_eq!(std::fs::read(&journal).unwrap(), damaged);
    assert!(!bench.leftovers_now().is_empty());
    let cleaned = bench.run(&["clean"]).expect(0);
    let aside = journal.with_extension("damaged1");
    assert!(cleaned.stderr.contains("line 1 is damaged"), "{}", cleaned.stderr);
    assert!(cleaned.stderr.contains(&*aside.to_string_lossy()), "{}", cleaned.stderr);
    assert_eq!(std::fs::read(aside).unwrap(), damaged);
    assert_eq!(bench.leftovers(), [""; 0]);
    assert_eq!(bench.run(&["clean"]).expect(0).stdout, "nothing to remove\n");
}

#[test]
fn a_journal_of_another_version_is_named_and_nothing_of_its_run_is_touched() {
    let bench = Bench::new();
    let mut running = waiting(&bench);
    running.child.kill().unwrap();
    running.end();
    let [run] = &bench.runs()[..] else { panic!("one run") };
    let journal = bench.state().join("runs").join(run).join("journal");
    let kept = std::fs::read(&journal).unwrap();
    // A whole record of a later version, as its writer would have written it.
    let (other, _) = Journal::<serde_json::Value>::open(&bench.root().join("other")).unwrap();
    other.append(&serde_json::json!({"record": "from_the_future"})).unwrap();
    drop(other);
    let foreign = std::fs::read(bench.root().join("other")).unwrap();
    let line = foreign.split_inclusive(|byte| *byte == b'\n').next_back().unwrap();
    std::fs::write(&journal, [&kept, line].concat()).unwrap();
    let failed = bench.run(&["clean"]).expect(1);
    assert!(failed.stderr.contains("was written by another version of Jobwright"), "{}", failed.stderr);
    assert!(!bench.leftovers_now().is_empty());
    std::fs::write(&journal, kept).unwrap();
    bench.run(&["clean"]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}

/// The engine's id is written into the journal, so another one under the same address shows.
#[test]
fn what_was_run_on_another_engine_is_not_taken_for_removed() {
    let bench = Bench::new();
    let state = StateDir::open(&bench.state()).unwrap();
    let folder = state.create_run_dir(&RunId::generate()).unwrap();
    let task = TaskUuid::new("t1").unwrap();
    let (journal, _) = Journal::open(&folder.join("journal")).unwrap();
    let (backend, job) = ("process".to_owned(), "build".to_owned());
    let engine = Some("machine:another".to_owned());
    journal.append(&Record::BackendLoaded { backend: backend.clone(), engine }).unwrap();
    journal
        .append(&Record::TaskOpened { task, backend, job, attempt: 1, phase: 0, at: BootTime::now() })
        .unwrap();
    drop(journal);
    for _ in 0..2 {
        let failed = bench.run(&["clean"]).expect(1);
        assert!(failed.stderr.contains("task t1: it was run on another engine"), "{}", failed.stderr);
        assert_eq!(failed.stdout, "0 leftover(s) removed, 1 could not be\n");
    }
}

#[test]
fn what_an_engine_that_is_away_still_has_is_kept_in_mind() {
    let Some(host) = docker() else { return };
    let bench = Bench::with(&format!(
        "stages: [a]\nx: {{stage: a, image: '{IMAGE}', script: [echo running, sleep 1000]}}\n"
    ))
    .on(host);
    let mut running = bench.start(bench.command(&["run"]));
    assert!(wait_for(|| running.stdout_now().contains("running\n")));
    running.child.kill().unwrap();
    running.end();
    let mut away = bench.command(&["clean"]);
    away.env("JOBWRIGHT_DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let ended = bench.end(away).expect(1);
    assert!(ended.stdout.contains("0 leftover(s) removed, 1 could not be"), "{}", ended.stdout);
    assert!(ended.stderr.contains("/nonexistent/docker.sock"), "{}", ended.stderr);
    bench.run(&["clean"]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}
