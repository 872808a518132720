//! Caches and artifacts, as people use them: what jobs find, what is kept, and `jobwright cache` and `jobwright artifacts`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Bench, Ended, IMAGE, docker, wait_for};

fn run(bench: &Bench) -> Ended {
    bench.run(&["run", "--backend", "process"])
}

fn caches(bench: &Bench) -> Vec<Value> {
    let listed = bench.run(&["cache", "ls", "--json"]).expect(0);
    serde_json::from_str(&listed.stdout).unwrap()
}

/// The files in the folder of the caches.
fn stored(bench: &Bench) -> Vec<PathBuf> {
    let entries = fs::read_dir(bench.state().join("cache")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

// covers: local-ci 120
#[test]
fn artifacts_reach_the_jobs_of_later_stages_and_those_that_need_them_and_no_others() {
    let bench = Bench::with(
        "stages: [one, two, three]
a: {stage: one, script: ['mkdir -p out/deep && echo a > out/deep/a.txt && echo no > out/other'], artifacts: {paths: ['out/**/*.txt']}}
b: {stage: one, script: ['test ! -e out', 'echo b > b.txt'], artifacts: {paths: [b.txt]}}
all: {stage: two, script: ['cat out/deep/a.txt b.txt', 'test ! -e out/other']}
",
    );
    run(&bench).expect(0);
    let needs = "stages: [one, two, three]
a: {stage: one, script: ['echo a > a.txt'], artifacts: {paths: [a.txt]}}
b: {stage: one, script: ['echo b > b.txt'], artifacts: {paths: [b.txt]}}
one: {stage: three, needs: a, script: ['cat a.txt', 'test ! -e b.txt']}
";
    bench.file(".jobwright.yaml", needs);
    run(&bench).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}

// covers: local-ci 120
#[test]
fn an_artifact_that_is_not_there_fails_the_job_and_is_named() {
    let bench = Bench::with(
        "stages: [one]\na: {stage: one, script: ['echo x > there'], artifacts: {paths: [there, 'dist/*.js']}}\n",
    );
    let ended = bench.run(&["run", "--backend", "process", "--json"]).expect(1);
    let finished = ended.stdout.lines().find(|line| line.contains("\"job_finished\"")).unwrap();
    assert!(finished.contains("artifact_missing"), "{finished}");
    assert!(finished.contains(r#"nothing matches \"dist/*.js\""#), "{finished}");
    assert_eq!(bench.run(&["artifacts", "ls", "last"]).expect(0).stdout, "the run kept no artifacts\n");
    bench.file(
        ".jobwright.yaml",
        "stages: [one]\na: {stage: one, script: ['true'], artifacts: {paths: [nowhere]}}\n",
    );
    let ended = run(&bench).expect(1);
    assert!(ended.said().contains("nothing matches \"nowhere\""), "{}", ended.said());
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn when_says_after_which_ending_artifacts_are_kept() {
    let jobs: String = ["on_success", "on_failure", "always"]
        .iter()
        .flat_map(|when| [(when, "passes", 0), (when, "fails", 1)])
        .map(|(when, name, code)| {
            format!(
                "{when}-{name}: {{stage: one, script: ['echo x > f; exit {code}'], artifacts: {{paths: [f], when: {when}}}}}\n"
            )
        })
        .collect();
    let bench = Bench::with(&format!("stages: [one]\n{jobs}"));
    bench.run(&["run", "--backend", "process", "--parallel"]).expect(1);
    let listed = bench.run(&["artifacts", "ls", "last", "--json"]).expect(0).stdout;
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let jobs: Vec<_> = listed.iter().map(|row| row["job"].as_str().unwrap()).collect();
    assert_eq!(jobs, ["always-fails", "always-passes", "on_failure-fails", "on_success-passes"]);
}

#[test]
fn artifacts_are_kept_after_a_job_that_timed_out_or_was_cancelled() {
    let bench = Bench::new();
    let ready = bench.root().join("ready");
    let job = |rest: &str| {
        format!(
            "stages: [one]\na: {{stage: one, script: ['echo x > f; touch {}; sleep 60'], artifacts: {{paths: [f, g], when: always}}{rest}}}\n",
            ready.display()
        )
    };
    bench.file(".jobwright.yaml", job(", timeout: 1s"));
    let ended = run(&bench).expect(5);
    assert!(ended.said().contains("not all artifacts are kept: nothing matches \"g\""), "{}", ended.said());
    assert!(bench.run(&["artifacts", "ls", "last"]).expect(0).stdout.contains("2 B"));
    fs::remove_file(&ready).unwrap();
    bench.file(".jobwright.yaml", job(""));
    let running = bench.start(bench.command(&["run", "--backend", "process"]));
    assert!(wait_for(|| ready.exists()));
    running.signal(Signal::INT);
    running.end().expect(130);
    assert!(bench.run(&["artifacts", "ls", "last"]).expect(0).stdout.contains("2 B"));
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn artifacts_come_out_into_a_directory_and_what_is_not_there_is_named() {
    let bench = Bench::with(
        "stages: [one]
a: {stage: one, script: ['mkdir bin && printf \"#!/bin/sh\\necho ran\\n\" > bin/tool && chmod 755 bin/tool && ln -s tool bin/link'], artifacts: {paths: [bin/]}}
b: {stage: one, script: ['echo b > b'], artifacts: {paths: [b]}}
c: {stage: one, script: ['true'], after_script: ['echo later > c'], artifacts: {paths: [c]}}
",
    );
    let none = bench.run(&["artifacts", "ls", "last"]).expect(4);
    assert!(none.stderr.contains("there is no run yet"), "{}", none.stderr);
    run(&bench).expect(0);
    let id = bench.runs().remove(0);
    bench.run(&["artifacts", "get", &id, "-o", "out/here"]).expect(0);
    let out = bench.project().join("out/here");
    assert_eq!(fs::read_to_string(out.join("b")).unwrap(), "b\n");
    assert_eq!(fs::read_to_string(out.join("c")).unwrap(), "later\n", "what after_script makes is there too");
    let ran = Command::new(out.join("bin/link")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "ran\n");
    bench.run(&["artifacts", "get", "last", "b", "-o", "only"]).expect(0);
    assert_eq!(fs::read_dir(bench.project().join("only")).unwrap().count(), 1);
    let wrong = bench.run(&["artifacts", "get", "last", "x"]).expect(4);
    assert!(wrong.stderr.contains("it has those of: a, b, c"), "{}", wrong.stderr);
    bench.run(&["artifacts", "ls", "20200101T000000Z-000000"]).expect(4);
    bench.run(&["artifacts", "ls", "../.."]).expect(4);
    fs::write(bench.state().join("runs").join(&id).join("artifacts/b.tar.zst"), "rubbish").unwrap();
    let damaged = bench.run(&["artifacts", "get", "last", "b", "-o", "only"]).expect(1);
    assert!(damaged.stderr.contains("it is damaged"), "{}", damaged.stderr);
    assert!(bench.run(&["artifacts", "ls", "last"]).expect(0).stdout.contains("(damaged)"));
}

const COUNTING: &str = "stages: [one]
a:
  stage: one
  variables: {V: '1'}
  script: ['mkdir -p deps && echo x >> deps/count && wc -l < deps/count && test $(wc -l < deps/count) -lt 4']
  cache: {key: 'deps-${V}', paths: [deps]}
";

#[test]
fn a_cache_is_found_again_by_every_job_with_its_key_and_only_after_a_success() {
    let bench = Bench::with(COUNTING);
    let first = run(&bench).expect(0);
    assert!(first.said().contains("cache \"deps-1\": nothing is kept yet"), "{}", first.said());
    let second = run(&bench).expect(0);
    assert!(second.said().contains("cache \"deps-1\": 2 B taken"), "{}", second.said());
    let other = format!(
        "{COUNTING}b: {{stage: one, script: ['test $(wc -l < deps/count) -eq 3'], cache: {{key: deps-1, paths: [deps], policy: pull}}}}\n"
    );
    bench.file(".jobwright.yaml", &other);
    run(&bench).expect(0);
    // The fourth line makes the job fail, and is not kept.
    run(&bench).expect(1);
    run(&bench).expect(1);
    let [cache] = &caches(&bench)[..] else { panic!("one cache") };
    assert_eq!((cache["key"].as_str(), cache["bytes"].as_u64()), (Some("deps-1"), Some(6)));
    assert_eq!(cache["project"].as_str(), bench.project().canonicalize().unwrap().to_str());
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_policy_takes_only_or_leaves_only() {
    let job = |policy: &str, script: &str| {
        format!(
            "stages: [one]\na: {{stage: one, script: ['{script}'], cache: {{key: k, paths: [d], policy: {policy}}}}}\n"
        )
    };
    let bench = Bench::with(&job("pull", "mkdir d && echo pulled > d/f"));
    run(&bench).expect(0);
    assert_eq!(caches(&bench).len(), 0);
    bench.file(".jobwright.yaml", job("push", "mkdir d && echo pushed > d/f"));
    run(&bench).expect(0);
    bench.file(".jobwright.yaml", job("push", "test ! -e d"));
    let nothing = run(&bench).expect(0);
    assert!(nothing.said().contains("cache \"k\" is not kept"), "{}", nothing.said());
    bench.file(".jobwright.yaml", job("pull", "grep pushed d/f && echo more > d/g"));
    run(&bench).expect(0);
    run(&bench).expect(0);
    assert_eq!(caches(&bench)[0]["bytes"], 7);
}

#[test]
fn a_damaged_cache_is_a_warning_and_is_made_anew() {
    let bench = Bench::with(COUNTING);
    run(&bench).expect(0);
    let [object] = &stored(&bench)[..] else { panic!("one object") };
    let mut bytes = fs::read(object).unwrap();
    let middle = bytes.len() - 10;
    bytes[middle] ^= 0xff;
    fs::write(object, bytes).unwrap();
    let ended = run(&bench).expect(0);
    assert!(ended.said().contains("it is damaged"), "{}", ended.said());
    assert!(run(&bench).expect(0).said().contains("2 B taken"));
}

#[test]
fn a_secret_in_a_key_is_not_shown_anywhere() {
    let bench = Bench::with(
        "stages: [one]
secrets: {TOKEN: {env: MY_TOKEN}}
variables: {SAME: hunter2-swordfish}
a: {stage: one, script: ['mkdir d && echo x > d/f'], cache: [{key: 'k-${SAME}', paths: d}, {key: 'l-${TOKEN}', paths: d}]}
",
    );
    let mut command = bench.command(&["run", "--backend", "process"]);
    command.env("MY_TOKEN", "hunter2-swordfish");
    let ended = bench.end(command).expect(0);
    assert!(!ended.said().contains("hunter2"), "{}", ended.said());
    assert!(ended.said().contains("${TOKEN} in its key is not set, or a secret"), "{}", ended.said());
    assert_eq!(caches(&bench).len(), 2);
    let listed = bench.run(&["cache", "ls"]).expect(0);
    assert!(!listed.stdout.contains("hunter2"), "{}", listed.stdout);
    for object in stored(&bench) {
        assert!(!String::from_utf8_lossy(&fs::read(object).unwrap()).contains("hunter2"));
    }
}

#[test]
fn caches_are_listed_removed_and_pruned() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["cache", "ls"]).expect(0).stdout, "no caches are kept\n");
    assert_eq!(bench.run(&["cache", "prune"]).expect(0).stdout, "nothing to prune\n");
    let caches_of = |keys: [&str; 3]| {
        let caches = keys.map(|key| format!("{{key: {key}, paths: [f]}}")).join(", ");
        format!(
            "stages: [one]\na: {{stage: one, script: ['head -c 5000 /dev/urandom > f'], cache: [{caches}]}}\n"
        )
    };
    bench.file(".jobwright.yaml", caches_of(["a", "b", "c"]));
    run(&bench).expect(0);
    let listed = bench.run(&["cache", "ls"]).expect(0).stdout;
    assert!(listed.starts_with("ID "), "{listed}");
    assert!(listed.contains("3 cache(s), 1") && listed.contains("4.8 KiB"), "{listed}");
    bench.run(&["cache", "rm", "b"]).expect(0);
    let gone = bench.run(&["cache", "rm", "a", "b"]).expect(4);
    assert!(gone.stderr.contains("there is no cache \"b\""), "{}", gone.stderr);
    assert_eq!(caches(&bench).len(), 2, "nothing is removed when one is not there");
    bench.run(&["cache", "rm"]).expect(2);
    let id = caches(&bench)[0]["id"].as_str().unwrap().to_owned();
    bench.run(&["cache", "rm", &id[..8], "-C", "."]).expect(0);
    bench.run(&["cache", "prune", "--max-size", "1GiB", "--unused-for", "1d"]).expect(0);
    assert_eq!(caches(&bench).len(), 1);
    assert!(bench.run(&["cache", "prune", "--max-size", "1k"]).expect(0).stdout.contains("\"c\" of"));
    assert_eq!(caches(&bench).len(), 0);
    let wrong = bench.run(&["cache", "prune", "--max-size", "much"]).expect(2);
    assert!(wrong.stderr.contains("KiB, MiB, GiB"), "{}", wrong.stderr);
    bench.run(&["cache", "prune", "--unused-for", "ever"]).expect(2);
    run(&bench).expect(0);
    bench.run(&["cache", "rm", "--all"]).expect(0);
    assert_eq!(stored(&bench).len(), 0);
}

#[test]
fn two_projects_with_one_key_have_a_cache_each() {
    let bench = Bench::with(COUNTING);
    run(&bench).expect(0);
    let other = bench.root().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join(".jobwright.yaml"), COUNTING).unwrap();
    let elsewhere = bench.run(&["run", "--backend", "process", "-C", "../other"]).expect(0);
    assert!(elsewhere.said().contains("nothing is kept yet"), "{}", elsewhere.said());
    let twice = bench.run(&["cache", "rm", "deps-1"]).expect(2);
    assert!(twice.stderr.contains("2 caches are called \"deps-1\""), "{}", twice.stderr);
    bench.run(&["cache", "rm", "deps-1", "-C", "../other"]).expect(0);
    assert!(run(&bench).expect(0).said().contains("2 B taken"));
}

#[test]
fn two_runs_at_the_same_time_do_not_disturb_each_others_cache() {
    let bench = Bench::with(
        "stages: [one]
a: {stage: one, script: ['mkdir -p d && head -c 8000000 /dev/urandom > d/f && sha256sum d/f > d/sum'], cache: {key: k, paths: [d]}}
",
    );
    let start = || bench.start(bench.command(&["run", "--backend", "process"]));
    let runs = [start(), start(), start()];
    runs.into_iter().for_each(|run| drop(run.end().expect(0)));
    bench.file(
        ".jobwright.yaml",
        "stages: [one]\na: {stage: one, script: ['sha256sum -c d/sum'], cache: {key: k, paths: [d], policy: pull}}\n",
    );
    run(&bench).expect(0);
    assert_eq!(stored(&bench).len(), 1);
    assert_eq!(bench.leftovers(), [""; 0]);
}

/// A job whose cache takes a while to store.
fn large(bench: &Bench) {
    bench.file("large", vec![0; 0]);
    bench.file(
        ".jobwright.yaml",
        "stages: [one]\na: {stage: one, script: ['mkdir d && head -c 200000000 /dev/urandom > d/f'], cache: {key: k, paths: [d]}}\n",
    );
}

/// Waits until some of the cache is on disk, but not all.
fn wait_for_draft(bench: &Bench) {
    let begun = || stored(bench).iter().any(|path| fs::metadata(path).is_ok_and(|data| data.len() > 1 << 20));
    assert!(wait_for(begun));
}

#[test]
fn a_jobwright_that_is_killed_while_it_stores_leaves_no_torn_cache() {
    let bench = Bench::new();
    large(&bench);
    let running = bench.start(bench.command(&["run", "--backend", "process"]));
    wait_for_draft(&bench);
    running.signal(Signal::KILL);
    assert_eq!(running.end().status.code(), None);
    assert_eq!(caches(&bench).len(), 0);
    assert!(run(&bench).expect(0).said().contains("cache \"k\": nothing is kept yet"));
    assert_eq!(caches(&bench)[0]["bytes"], 200_000_000);
    bench.run(&["clean"]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_run_that_is_cancelled_while_it_stores_ends_at_once_and_gives_the_lock_back() {
    let bench = Bench::new();
    large(&bench);
    let running = bench.start(bench.command(&["run", "--backend", "process"]));
    wait_for_draft(&bench);
    running.signal(Signal::INT);
    running.end().expect(130);
    assert!(stored(&bench).is_empty());
    assert_eq!(bench.leftovers(), [""; 0]);
}

/// A state directory on a small disk of its own.
struct SmallState<'a>(&'a Path);

impl Drop for SmallState<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_costs_a_cache_and_fails_a_job_with_artifacts() {
    let bench = Bench::new();
    let state = bench.state();
    fs::create_dir(&state).unwrap();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs"]).arg(&state).status();
    if !mount.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: cannot mount a small file system (needs root)");
    }
    let _state = SmallState(&state);
    let job = |keys: &str| {
        format!("stages: [one]\na: {{stage: one, script: ['head -c 20000000 /dev/urandom > f'], {keys}}}\n")
    };
    bench.file(".jobwright.yaml", job("cache: {key: k, paths: [f]}"));
    let cache = bench.run(&["run", "--backend", "process", "--in-place"]).expect(0);
    assert!(cache.said().contains("cache \"k\" is not kept"), "{}", cache.said());
    assert!(cache.said().contains("full"), "{}", cache.said());
    bench.file(".jobwright.yaml", job("artifacts: {paths: [f]}"));
    let artifacts = bench.run(&["run", "--backend", "process", "--in-place"]).expect(1);
    assert!(artifacts.said().contains("the artifacts cannot be kept"), "{}", artifacts.said());
    assert!(artifacts.said().contains("full"), "{}", artifacts.said());
}

// covers: local-ci 120
#[test]
fn what_containers_leave_host_processes_find_and_the_other_way_round() {
    let Some(host) = docker() else { return };
    let bench = Bench::new().on(host);
    let file = |script: &str| {
        format!(
            "stages: [one, two]
a: {{stage: one, image: {IMAGE}, workdir: /app, script: ['{script}'], cache: {{key: k, paths: [deps, /app/abs, /root/.cache]}},
  artifacts: {{paths: ['out/**/*.txt', './bin']}}}}
b: {{stage: two, image: {IMAGE}, script: ['cat out/x/a.txt', 'bin/tool', 'test ! -e out/x/b.log'], needs: a}}
"
        )
    };
    let make = "mkdir -p out/x bin abs && echo hello > out/x/a.txt && echo no > out/x/b.log && printf \"#!/bin/sh\\necho tool ran\\n\" > bin/tool && chmod 755 bin/tool";
    bench.file(
        ".jobwright.yaml",
        file(&format!(
            "{make} && mkdir deps && ln -s f deps/l && echo from container > deps/f && echo abs > abs/f"
        )),
    );
    let first = bench.run(&["run", "--backend", "docker"]).expect(0);
    assert!(first.said().contains("tool ran"), "{}", first.said());
    assert!(first.said().contains("cache \"k (outside)\""), "{}", first.said());
    bench.file(
        ".jobwright.yaml",
        file(&format!("{make} && grep container deps/l && cat abs/f && echo from host > deps/f"))
            .replace(IMAGE, "sh"),
    );
    run(&bench).expect(0);
    bench.file(".jobwright.yaml", file(&format!("{make} && grep host deps/l")));
    bench.run(&["run", "--backend", "docker"]).expect(0);
    bench.file(".jobwright.yaml", file("echo nothing"));
    let missing = bench.run(&["run", "--backend", "docker"]).expect(1);
    assert!(missing.said().contains("nothing matches"), "{}", missing.said());
    bench.run(&["artifacts", "ls", "last"]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}
