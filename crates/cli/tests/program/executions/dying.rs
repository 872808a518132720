//! `kill -9` of an execution's owner at every moment: whoever comes next finds the true status, the whole log and the true result.

use std::time::Duration;

use super::{HOST, Site, executions, listed, sites, standing};
use crate::killed::some_time;
use crate::support::{Bench, Running, wait_for};

const SCRIPT: &str =
    "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; echo side $i >&2; sleep 0.01; done; exit 7";

fn kill(mut running: Running) {
    running.child.kill().unwrap();
    let ended = running.end();
    assert_eq!(ended.status.code(), None, "it was not killed: {ended:?}");
}

/// All that `SCRIPT` says, once, and its exit code, for whoever asks.
#[track_caller]
fn check(bench: &Bench, id: &str, moment: &str) {
    executions(bench, &["wait", id]).expect(7);
    let lines = |name: &str| (1..=30).map(|i| format!("{name} {i}\n")).collect::<String>();
    let logs = executions(bench, &["logs", "-f", id]).expect(0);
    assert_eq!(logs.stdout, lines("line"), "{moment}");
    assert_eq!(logs.stderr, lines("side"), "{moment}");
    assert_eq!(listed(bench), standing(id, "failed"), "{moment}");
    assert_eq!(bench.leftovers(), [""; 0], "{moment}");
    executions(bench, &["rm", id]).expect(0);
    assert_eq!(bench.runs(), [""; 0], "{moment}");
}

// covers: nunet 34, 76
#[test]
fn whoever_comes_after_an_owner_that_was_killed_at_any_record_has_the_whole_of_it() {
    let moments = ["task_opened", "step_starting", "step_ended", "task_ended", "task_closed", "job_ended"];
    for site in sites() {
        let bench = site.bench();
        for record in moments {
            for when in ["before", "after"] {
                let moment = format!("{record}:{when}:1");
                let mut command = site.command(&bench, &["--id", "one"], &["sh", "-c", SCRIPT]);
                command.env("JOBWRIGHT_TEST_KILL_AT", &moment);
                assert_eq!(bench.end(command).status.code(), None, "nothing came to {moment}");
                check(&bench, "one", &format!("{} {moment}", site.name));
            }
        }
    }
}

#[test]
fn whoever_comes_after_an_owner_that_was_killed_at_a_random_moment_has_the_whole_of_it() {
    for site in sites() {
        let bench = site.bench();
        for _ in 0..4 {
            let after = some_time(Duration::from_millis(if site.host.is_some() { 1500 } else { 600 }));
            let mut running = bench.start(site.command(&bench, &["--id", "one"], &["sh", "-c", SCRIPT]));
            std::thread::sleep(after);
            running.child.kill().unwrap();
            running.end();
            if listed(&bench).is_empty() {
                bench.run(&["clean"]).expect(0);
                continue;
            }
            check(&bench, "one", &format!("{} killed after {after:?}", site.name));
        }
    }
}

#[test]
fn one_that_was_killed_before_it_had_its_id_never_began() {
    let bench = HOST.bench();
    let mut command = HOST.command(&bench, &["--id", "one"], &["touch", "began"]);
    command.env("JOBWRIGHT_TEST_KILL_AT", "backend_loaded:after:1");
    assert_eq!(bench.end(command).status.code(), None);
    executions(&bench, &["wait", "one"]).expect(4);
    let run = bench.runs().remove(0);
    let told = bench.run(&["doctor"]).expect(0).stdout;
    assert!(told.contains(&format!("{run}: an execution one that never began")), "{told}");
    let cleaned = bench.run(&["clean"]).expect(0).stdout;
    assert!(cleaned.contains("execution one, which never began"), "{cleaned}");
    assert_eq!(bench.runs(), [""; 0]);
    HOST.exec(&bench, &["--id", "one"], "true").expect(0);
    assert!(!bench.project().join("began").exists());
}

/// One that runs on alone.
fn orphan(site: Site, bench: &Bench, script: &str) -> String {
    let running = site.start(bench, &["--id", "one"], script);
    kill(running);
    bench.runs().remove(0)
}

#[test]
fn one_that_stands_still_does_so_until_somebody_lets_it_go_on() {
    for site in sites() {
        let bench = site.bench();
        let running = site.start(
            &bench,
            &["--id", "one"],
            "until test -e gate; do sleep 0.05; done; echo later; exit 3",
        );
        executions(&bench, &["pause", "one"]).expect(0);
        kill(running);
        assert_eq!(listed(&bench), standing("one", "paused"), "{}", site.name);
        executions(&bench, &["resume", "one"]).expect(0);
        executions(&bench, &["exec", "one", "--", "touch", "gate"]).expect(0);
        executions(&bench, &["wait", "one"]).expect(3);
        assert_eq!(executions(&bench, &["logs", "one"]).expect(0).stdout, "ready\nlater\n", "{}", site.name);
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
    }
}

#[test]
fn an_orphan_is_told_by_doctor_and_taken_over_by_who_waits() {
    let bench = HOST.bench();
    let run = orphan(HOST, &bench, "until test -e gate; do sleep 0.02; done; exit 5");
    let told = bench.run(&["doctor"]).expect(9).stdout;
    let line = format!("{run}: the owner of the execution one is gone, and it still runs\n");
    assert!(told.contains(&line) && told.contains("-> jobwright executions wait one   or   "), "{told}");
    assert!(bench.run(&["clean", "--dry-run"]).expect(0).stdout.contains("execution one whose owner died"));
    let waiter = bench.start(bench.command(&["executions", "wait", "one"]));
    assert!(wait_for(|| bench.run(&["doctor"]).status.code() == Some(0)), "it is taken over");
    bench.file("gate", "");
    waiter.end().expect(5);
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn who_follows_the_logs_when_the_owner_dies_takes_it_over_and_has_all_of_it() {
    for site in sites() {
        let bench = site.bench();
        let running = site.start(&bench, &["--id", "one"], "sleep 1; echo later; exit 3");
        let follower = bench.start(bench.command(&["executions", "logs", "-f", "one"]));
        assert!(wait_for(|| follower.stdout_now() == "ready\n"), "{}", site.name);
        kill(running);
        assert_eq!(follower.end().expect(0).stdout, "ready\nlater\n", "{}", site.name);
        executions(&bench, &["wait", "one"]).expect(3);
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
    }
}

// covers: nunet 32
#[test]
fn clean_ends_orphans_and_leaves_their_results() {
    for site in sites() {
        let bench = site.bench();
        let run = orphan(site, &bench, "sleep 1000");
        let cleaned = bench.run(&["clean"]).expect(0).stdout;
        assert_eq!(cleaned, format!("{run}: execution one ended\n1 leftover(s) removed\n"), "{}", site.name);
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
        assert_eq!(listed(&bench), standing("one", "failed"), "{}", site.name);
        executions(&bench, &["wait", "one"]).expect(8);
        assert_eq!(executions(&bench, &["logs", "one"]).expect(0).stdout, "ready\n", "{}", site.name);
        assert_eq!(bench.run(&["clean"]).expect(0).stdout, "nothing to remove\n");
    }
}

#[test]
fn an_orphan_is_ended_by_cancel_and_by_rm() {
    for end in [&["cancel", "one"][..], &["rm", "--force", "one"]] {
        let bench = HOST.bench();
        orphan(HOST, &bench, "sleep 1000");
        executions(&bench, end).expect(0);
        assert_eq!(bench.leftovers(), [""; 0]);
    }
}
