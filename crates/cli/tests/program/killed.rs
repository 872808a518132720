//! `kill -9` at random moments: whatever was begun is found by `jobwright clean`, and nothing is left.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use crate::support::{Bench, IMAGE, docker};

/// Some time below `longest`.
pub(crate) fn some_time(longest: Duration) -> Duration {
    let share = RandomState::new().hash_one(0) % 1000;
    longest * u32::try_from(share).unwrap_or(0) / 1000
}

/// Jobs with grandchildren that would outlive everybody.
fn pipeline(image: &str) -> String {
    let job = |name: &str| {
        format!(
            "{name}: {{stage: a, {image}script: ['(trap \"\" TERM; sleep 1000) & (sleep 1000) & sleep 0.05', 'echo x > file; sleep 1000']}}\n"
        )
    };
    format!("stages: [a]\n{}{}{}", job("one"), job("two"), job("three"))
}

#[track_caller]
fn kill_and_clean(bench: &Bench, args: &[&str], after: Duration) {
    let mut running = bench.start(bench.command(args));
    std::thread::sleep(after);
    running.child.kill().unwrap();
    let killed = running.end();
    assert_eq!(killed.status.code(), None, "it was killed after {after:?}: {killed:?}");
    let cleaned = bench.run(&["clean"]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0], "killed after {after:?}; cleaned: {cleaned:?}");
    assert_eq!(bench.run(&["clean"]).expect(0).stdout, "nothing to remove\n", "killed after {after:?}");
}

#[test]
fn killed_at_any_moment_a_run_on_the_host_leaves_nothing_that_clean_does_not_find() {
    let bench = Bench::with(&pipeline("")).without_engine();
    for _ in 0..10 {
        kill_and_clean(&bench, &["run", "--parallel", "--limit", "3"], some_time(Duration::from_millis(400)));
    }
}

#[test]
fn killed_at_any_moment_a_run_in_containers_leaves_nothing_that_clean_does_not_find() {
    let Some(host) = docker() else { return };
    let bench = Bench::with(&pipeline(&format!("image: '{IMAGE}', "))).on(host);
    for _ in 0..10 {
        kill_and_clean(
            &bench,
            &["run", "--parallel", "--limit", "3"],
            some_time(Duration::from_millis(1500)),
        );
    }
}

#[test]
fn killed_while_it_works_in_place_a_run_leaves_the_project_where_it_is() {
    let bench = Bench::with(&pipeline("")).without_engine();
    bench.file("precious", "content");
    kill_and_clean(&bench, &["run", "--in-place"], Duration::from_millis(300));
    assert_eq!(std::fs::read_to_string(bench.project().join("precious")).unwrap(), "content");
}
