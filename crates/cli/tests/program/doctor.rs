//! `jobwright doctor`: what it sees, what it says would be right, and that it touches nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use jobwright_journal::Journal;
use serde_json::Value;

use crate::support::{Bench, IMAGE, docker, processes_that_mention, tree, wait_for, waiting};

/// The findings of that level, as programs get them.
fn findings(bench: &Bench, code: i32, level: &str) -> Vec<Value> {
    let told: Value = serde_json::from_str(&bench.run(&["doctor", "--json"]).expect(code).stdout).unwrap();
    assert_eq!(told["sound"], code == 0, "{told:#}");
    let all = told["findings"].as_array().unwrap();
    all.iter().filter(|finding| finding["level"] == level).cloned().collect()
}

/// A run that was killed while its step ran on.
fn killed(bench: &Bench) -> String {
    let mut running = waiting(bench);
    running.child.kill().unwrap();
    running.end();
    let [run] = &bench.runs()[..] else { panic!("one run") };
    run.clone()
}

#[test]
fn where_nothing_was_run_all_is_well_and_nothing_is_made() {
    let bench = Bench::new();
    let told = bench.run(&["doctor"]).expect(0).stdout;
    assert!(
        told.contains("is not there: nothing was run") && told.ends_with("nothing needs attention\n"),
        "{told}"
    );
    assert!(!bench.state().exists());
}

#[test]
fn a_run_that_lives_needs_nothing() {
    let bench = Bench::new();
    let running = waiting(&bench);
    let told = bench.run(&["doctor"]).expect(0).stdout;
    assert!(told.contains("1 watched by a Jobwright that lives"), "{told}");
    fs::write(bench.root().join("gate"), "").unwrap();
    running.end().expect(0);
    assert!(bench.run(&["doctor"]).expect(0).stdout.contains("1 is over, 0 watched"));
}

// covers: woodpecker 77 (host steps are offered too, because the shim keeps them), 84
#[test]
fn what_a_killed_run_left_is_told_with_what_would_be_right_and_is_not_touched() {
    let bench = Bench::new();
    let run = killed(&bench);
    let before = tree(&bench.state());
    let told = bench.run(&["doctor"]).expect(9).stdout;
    let line = format!("attention  {run}: its Jobwright is gone and left 1 task on process (1 running)\n");
    assert!(told.contains(&line), "{told}");
    assert!(told.contains(&format!("-> jobwright run --resume {run}   or   jobwright clean\n")), "{told}");
    assert!(told.ends_with("1 thing needs attention\n"), "{told}");
    let [finding] = &findings(&bench, 9, "attention")[..] else { panic!("one finding") };
    assert_eq!(finding["subject"], run);
    assert_eq!(finding["right"][1], "jobwright clean");
    assert_eq!(tree(&bench.state()), before);
    assert!(!processes_that_mention(bench.root()).is_empty(), "the step goes on");

    bench.run(&["clean"]).expect(0);
    assert!(bench.run(&["doctor"]).expect(0).stdout.ends_with("nothing needs attention\n"));
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn what_no_journal_knows_is_told_and_removed_only_when_it_is_asked_for() {
    let bench = Bench::new();
    let run = killed(&bench);
    fs::remove_dir_all(bench.state().join("runs").join(run)).unwrap();
    let [finding] = &findings(&bench, 9, "attention")[..] else { panic!("one finding") };
    assert_eq!(finding["subject"], "process");
    assert!(finding["what"].as_str().unwrap().contains("that no run's journal knows"), "{finding:#}");
    assert_eq!(finding["right"], serde_json::json!(["jobwright clean --strays"]));
    assert_eq!(bench.run(&["clean"]).expect(0).stdout, "nothing to remove\n");
    assert!(!bench.leftovers_now().is_empty());
    let told = bench.run(&["clean", "--strays", "--dry-run"]).expect(0).stdout;
    assert!(told.ends_with("1 leftover(s) would be removed\n"), "{told}");
    bench.run(&["clean", "--strays"]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
    bench.run(&["doctor"]).expect(0);
}

#[test]
fn strays_are_left_alone_while_a_run_lives_or_a_journal_cannot_be_read() {
    let bench = Bench::new();
    let running = waiting(&bench);
    assert!(bench.run(&["clean", "--strays"]).expect(0).stdout.ends_with("nothing to remove\n"));
    fs::write(bench.root().join("gate"), "").unwrap();
    running.end().expect(0);
    fs::remove_dir_all(bench.state().join("runs")).unwrap();
    fs::remove_file(bench.root().join("gate")).unwrap();
    fs::remove_file(bench.root().join("ready")).unwrap();

    let run = killed(&bench);
    let journal = bench.state().join("runs").join(run).join("journal");
    let kept = fs::read(&journal).unwrap();
    fs::write(&journal, [b"!", &kept[1..]].concat()).unwrap();
    let attention = findings(&bench, 9, "attention");
    assert!(
        attention.iter().any(|finding| finding["what"].as_str().unwrap().contains("is damaged")),
        "{attention:#?}"
    );
    fs::write(&journal, &kept).unwrap();
    // A record of a later version, after which nobody knows what this run has.
    let (later, _) = Journal::<Value>::open(&journal).unwrap();
    later.append(&serde_json::json!({ "record": "from_the_future" })).unwrap();
    drop(later);
    let failed = bench.run(&["clean", "--strays"]).expect(1);
    assert!(failed.stderr.contains("nobody knows which things are strays"), "{failed:?}");
    assert!(!bench.leftovers_now().is_empty());
    fs::write(&journal, kept).unwrap();
    bench.run(&["clean"]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_state_directory_that_others_can_read_is_told_with_the_way_out() {
    let bench = Bench::new();
    killed(&bench);
    bench.run(&["clean"]).expect(0);
    fs::set_permissions(bench.state(), Permissions::from_mode(0o755)).unwrap();
    let [finding] = &findings(&bench, 9, "attention")[..] else { panic!("one finding") };
    assert_eq!(finding["right"], serde_json::json!([format!("chmod 700 {}", bench.state().display())]));
    assert_eq!(fs::metadata(bench.state()).unwrap().permissions().mode() & 0o777, 0o755);
}

// covers: woodpecker 84
#[test]
fn containers_of_a_dead_owner_are_told_and_those_of_another_state_directory_are_foreign() {
    let Some(host) = docker() else { return };
    let pipeline =
        format!("stages: [a]\nx: {{stage: a, image: '{IMAGE}', script: [echo running, sleep 1000]}}\n");
    let bench = Bench::with(&pipeline).on(host);
    let mut running = bench.start(bench.command(&["run"]));
    assert!(wait_for(|| running.stdout_now().contains("running\n")));
    running.child.kill().unwrap();
    running.end();
    let told = bench.run(&["doctor"]).expect(9).stdout;
    assert!(told.contains("its Jobwright is gone and left 1 task on docker (1 running)\n"), "{told}");
    let owner = fs::read_to_string(bench.state().join("owner")).unwrap();

    let other = Bench::with("stages: [a]\nx: {stage: a, script: ['true']}\n").on(host);
    other.run(&["run", "--backend", "process"]).expect(0);
    let foreign = findings(&other, 0, "foreign");
    let ours = foreign.iter().find(|finding| finding["what"].as_str().unwrap().contains(owner.trim()));
    assert!(ours.expect("it is shown")["what"].as_str().unwrap().contains("container jw"), "{foreign:#?}");
    other.run(&["clean", "--strays"]).expect(0);
    assert!(!bench.leftovers_now().is_empty(), "another's things are not touched");
    bench.run(&["clean"]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}
