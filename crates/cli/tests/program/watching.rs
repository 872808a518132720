//! `jobwright run --watch`: what makes it run again, what a change does to a run that goes on, and how it ends.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use crate::support::{Bench, Running, wait_for};

const IDLE: &str = "waiting for changes";

/// A job that leaves a mark in the bench for each of its runs, with what the file `input` says.
const MARKS: &str = "stages: [t]\nmark:\n  stage: t\n  script: ['cat input >> \"$MARKS\"']\n";

/// A job that says that it has begun and goes on until it is told to end.
const WAITS: &str = "stages: [t]\nwaits:\n  stage: t\n  script:\n    - cat input >> \"$MARKS\"\n    - until [ -e \"$GO\" ]; do sleep 0.02; done\n";

struct Watch {
    bench: Bench,
    running: Running,
}

impl Watch {
    /// Starts watching a project with that pipeline file.
    fn start(pipeline: &str, args: &[&str]) -> Self {
        let bench = Bench::with(pipeline).without_engine();
        bench.file("input", "one\n");
        bench.file(".gitignore", "*.log\nbuild/\n");
        Self::over(bench, args)
    }

    fn over(bench: Bench, args: &[&str]) -> Self {
        let marks = format!("MARKS={}", bench.root().join("marks").display());
        let go = format!("GO={}", bench.root().join("go").display());
        let all = [&["run", "-b", "process", "--env", &marks, "--env", &go], args].concat();
        let running = bench.start(bench.command(&all));
        Self { bench, running }
    }

    fn marks(&self) -> String {
        fs::read_to_string(self.bench.root().join("marks")).unwrap_or_default()
    }

    /// Waits until it has been idle so many times.
    #[track_caller]
    fn idle(&self, times: usize) {
        self.says(IDLE, times);
    }

    /// Waits until it has said that so many times.
    #[track_caller]
    fn says(&self, text: &str, times: usize) {
        let is_so = || self.running.stderr_now().matches(text).count() >= times;
        assert!(wait_for(is_so), "no {times} times {text:?}:\n{}", self.running.stderr_now());
    }

    /// Waits until the jobs have left so many marks.
    #[track_caller]
    fn marked(&self, lines: usize) {
        assert!(wait_for(|| self.marks().lines().count() >= lines), "{:?}", self.marks());
    }

    fn go(&self) {
        fs::write(self.bench.root().join("go"), "").unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bench.project().join(name)
    }

    /// Ctrl-C; checks the exit code and that nothing is left. What it had said, and the bench.
    #[track_caller]
    fn interrupt(self, code: i32) -> (String, Bench) {
        self.running.signal(Signal::INT);
        let said = self.running.end().expect(code).stderr;
        assert_eq!(self.bench.leftovers(), [""; 0]);
        (said, self.bench)
    }
}

// covers: local-ci 114
#[test]
fn it_runs_again_at_each_change_whatever_came_of_the_run_before() {
    let watch = Watch::start(
        "stages: [t]\nmark:\n  stage: t\n  script: ['cat input >> \"$MARKS\"', 'test \"$(cat input)\" != bad']\n",
        &["--watch"],
    );
    watch.idle(1);
    watch.bench.file("input", "bad\n");
    watch.idle(2);
    watch.bench.file("input", "three\n");
    watch.idle(3);
    assert_eq!(watch.marks(), "one\nbad\nthree\n");
    let (said, bench) = watch.interrupt(0);
    assert_eq!(said.matches("[watch] input changed: running again").count(), 2, "{said}");
    assert_eq!(bench.runs().len(), 3);
}

// covers: local-ci 114 (what does not count)
#[test]
fn what_ignore_rules_leave_out_does_not_count() {
    let watch = Watch::start(MARKS, &["--watch"]);
    watch.idle(1);
    watch.bench.file("x.log", "1");
    fs::create_dir(watch.path("build")).unwrap();
    watch.bench.file("build/out", "1");
    fs::create_dir(watch.path(".git")).unwrap();
    watch.bench.file(".git/index", "1");
    watch.bench.file(".input.swp", "1");
    watch.bench.file("input", "two\n");
    watch.idle(2);
    let (said, bench) = watch.interrupt(0);
    // Had one of them counted, the line would name it or there would be another.
    assert!(said.contains("[watch] input changed: running again"), "{said}");
    assert_eq!(bench.runs().len(), 2);
}

#[test]
fn files_that_are_replaced_and_directories_that_come_and_go_are_seen() {
    let watch = Watch::start(MARKS, &["--watch"]);
    watch.idle(1);
    let beside = watch.bench.root().join("new");
    fs::write(&beside, "two\n").unwrap();
    fs::rename(&beside, watch.path("input")).unwrap();
    watch.says("input changed: running again", 1);
    watch.idle(2);
    fs::create_dir_all(watch.path("a/b/c")).unwrap();
    watch.bench.file("a/b/c/file", "1");
    watch.says("a, a/b, a/b/c and 1 more changed: running again", 1);
    watch.idle(3);
    watch.bench.file("a/b/c/file", "22");
    watch.says("a/b/c/file changed: running again", 1);
    watch.idle(4);
    fs::remove_dir_all(watch.path("a")).unwrap();
    watch.says("a, a/b, a/b/c and 1 more changed: running again", 2);
    watch.idle(5);
    // The same names again: another directory, of which the kernel knows nothing yet.
    fs::create_dir_all(watch.path("a/b/c")).unwrap();
    watch.says("a, a/b, a/b/c changed: running again", 1);
    watch.idle(6);
    watch.bench.file("a/b/c/file", "333");
    watch.says("a/b/c/file changed: running again", 2);
    watch.idle(7);
    watch.interrupt(0);
}

// covers: local-ci 114 (one re-run)
#[test]
fn changes_during_a_run_are_followed_by_one_more_run() {
    let watch = Watch::start(WAITS, &["--watch"]);
    watch.marked(1);
    watch.bench.file("input", "two\n");
    watch.says("input changed: running again after this run", 1);
    watch.bench.file("other", "1");
    watch.bench.file("input", "three\n");
    watch.go();
    watch.idle(1);
    let (said, bench) = watch.interrupt(0);
    let marks = fs::read_to_string(bench.root().join("marks")).unwrap();
    assert!(marks == "one\nthree\n" || marks == "one\nthree\nthree\n", "{marks}\n{said}");
    assert_eq!(said.matches("after this run").count(), bench.runs().len() - 1, "{said}");
}

#[test]
fn a_change_cancels_the_run_that_goes_on_when_that_was_asked_for() {
    let watch = Watch::start(WAITS, &["--watch=cancel"]);
    watch.marked(1);
    watch.bench.file("input", "two\n");
    watch.says("input changed: cancelling this run to run again", 1);
    watch.marked(2);
    watch.go();
    watch.idle(1);
    assert_eq!(watch.marks(), "one\ntwo\n");
    assert!(watch.running.stdout_now().contains("■ waits"), "{}", watch.running.stdout_now());
    let (said, bench) = watch.interrupt(0);
    assert!(said.contains("[watch] running again"), "{said}");
    assert_eq!(bench.runs().len(), 2);
}

#[test]
fn ten_thousand_changes_at_once_are_one() {
    let watch = Watch::start(WAITS, &["--watch"]);
    watch.marked(1);
    for folder in 0..10 {
        fs::create_dir(watch.path(&format!("d{folder}"))).unwrap();
        for file in 0..1_000 {
            fs::write(watch.path(&format!("d{folder}/f{file}")), "").unwrap();
        }
    }
    watch.says("running again after this run", 1);
    watch.go();
    watch.idle(1);
    // What came after the first look, if the writing took that long, is one more.
    watch.bench.file("input", "last\n");
    assert!(wait_for(|| watch.marks().ends_with("last\n")));
    watch.says(IDLE, 2);
    let (said, bench) = watch.interrupt(0);
    assert!(bench.runs().len() <= 4, "{said}");
}

#[test]
fn a_pipeline_file_that_is_wrong_is_shown_and_watching_goes_on() {
    let watch = Watch::start("stages: [t]\nmark: {stage: x, script: ls}\n", &["--watch"]);
    watch.idle(1);
    assert!(watch.running.stderr_now().contains(".jobwright.yaml:2"), "{}", watch.running.stderr_now());
    watch.bench.file(".jobwright.yaml", "stages: [");
    watch.idle(2);
    fs::remove_file(watch.path(".jobwright.yaml")).unwrap();
    watch.says("no pipeline file in", 1);
    watch.idle(3);
    watch.bench.file(".jobwright.yaml", MARKS);
    watch.idle(4);
    assert_eq!(watch.marks(), "one\n");
    watch.interrupt(0);
}

#[test]
fn a_pipeline_file_and_what_it_includes_count_wherever_they_lie() {
    let bench = Bench::new().without_engine();
    bench.file("input", "one\n");
    let beside = bench.root().join("ci");
    fs::create_dir(&beside).unwrap();
    let job = |command: &str| format!("mark: {{stage: t, script: ['{command}']}}\n");
    fs::write(beside.join("main.yaml"), "stages: [t]\ninclude: [more.yaml]\n").unwrap();
    fs::write(beside.join("more.yaml"), job("echo a >> \"$MARKS\"")).unwrap();
    let config = beside.join("main.yaml").display().to_string();
    let watch = Watch::over(bench, &["--watch", "-c", &config]);
    watch.idle(1);
    fs::write(beside.join("more.yaml"), job("echo b >> \"$MARKS\"")).unwrap();
    watch.says("more.yaml changed: running again", 1);
    watch.idle(2);
    assert_eq!(watch.marks(), "a\nb\n");
    watch.interrupt(0);
}

#[test]
fn ctrl_c_during_a_run_cleans_up_and_is_130() {
    let watch = Watch::start(WAITS, &["--watch"]);
    watch.marked(1);
    watch.bench.file("input", "two\n");
    watch.says("running again after this run", 1);
    let (said, bench) = watch.interrupt(130);
    assert!(!said.contains(IDLE), "{said}");
    assert_eq!(bench.runs().len(), 1, "the run that was due does not begin");
}

#[test]
fn ctrl_c_between_runs_is_the_code_of_the_last() {
    let watch = Watch::start("stages: [t]\nfails: {stage: t, script: exit 3}\n", &["--watch"]);
    watch.idle(1);
    watch.interrupt(1);
}

#[test]
fn what_a_run_in_place_changes_is_its_own() {
    let watch = Watch::start(
        "stages: [t]\nwrites: {stage: t, script: ['cat input >> \"$MARKS\"', 'date +%N > made']}\n",
        &["--watch", "--in-place"],
    );
    watch.idle(1);
    assert!(watch.path("made").exists());
    watch.bench.file("input", "two\n");
    watch.idle(2);
    let (said, bench) = watch.interrupt(0);
    assert!(said.contains("[watch] input changed: running again"), "{said}");
    assert_eq!(bench.runs().len(), 2);
}

#[test]
fn a_project_that_vanishes_ends_it() {
    let watch = Watch::start(MARKS, &["--watch"]);
    watch.idle(1);
    fs::remove_dir_all(watch.bench.project()).unwrap();
    let ended = watch.running.end().expect(4);
    assert!(ended.stderr.contains("can no longer be watched"), "{}", ended.stderr);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let bench = Bench::with(MARKS).without_engine();
    for args in [
        &["run", "--watch", "--dry-run"][..],
        &["run", "--watch", "--remote", "https://example.com/x.git"],
        &["run", "--watch=cancel", "--in-place"],
        &["run", "--watch=later"],
    ] {
        let ended = bench.run(args).expect(2);
        assert!(ended.stderr.contains("--watch"), "{args:?}: {}", ended.stderr);
    }
    assert_eq!(bench.runs(), [""; 0]);
}
