//! `kill -9` of a run's owner at every named moment and at random ones, and `run --resume` afterwards: nothing is run twice, nothing is
//! told twice, no line is lost, every ending is the true one, and nothing is left. The named moments are those before and after each
//! record of the journal (`jobwright_journal`'s fail points).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jobwright_journal::{StateDir, Vault};
use serde_json::Value;

use crate::killed::some_time;
use crate::support::{Bench, Ended, IMAGE, docker, wait_for};

/// Every kind of record that a run of [`pipeline`] writes, and how many of the first of a kind are worth a kill each.
const RECORDS: [(&str, u32); 8] = [
    ("backend_loaded", 1),
    ("task_opened", 3),
    ("files_delivered", 2),
    ("step_starting", 4),
    ("step_ended", 4),
    ("task_ended", 3),
    ("task_closed", 3),
    ("job_ended", 3),
];

const LINES: u64 = 40;

/// Long, chatty, failing, retried and detached jobs, commands after a script, and a job that waits for all of them. Each script tells its
/// process and numbers its lines; the number of attempts lies outside of the workspace.
fn pipeline(marks: &str) -> String {
    let chat = |pause: &str| {
        format!(
            "'echo pid $$; i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; [ $((i % 8)) -gt 0 ] || echo side $i >&2; {pause}; done'"
        )
    };
    format!(
        "stages: [one, two]\n\
         chatty: {{stage: one, script: [{slow}]}}\n\
         loud: {{stage: one, script: [{fast}]}}\n\
         fails: {{stage: one, allow_failure: true, script: [{fast}, 'exit 7'], after_script: ['echo after']}}\n\
         again: {{stage: one, retry: 1, script: ['[ -e {marks}again ] || {{ touch {marks}again; exit 3; }}', {fast}]}}\n\
         beside: {{stage: one, parallel: true, script: [{slow}]}}\n\
         last: {{stage: two, needs: [chatty, loud, again], script: [{fast}]}}\n",
        slow = chat("sleep 0.02"),
        fast = chat(":"),
    )
}

/// What a run's log tells of one job.
#[derive(Debug, Default)]
struct Job {
    started: usize,
    finished: usize,
    exit_code: i64,
    attempts: u64,
    stdout: String,
    stderr: String,
}

/// The jobs by their names, and how often the run's two events are there.
fn told(bench: &Bench, run: &str) -> (BTreeMap<String, Job>, [usize; 2]) {
    let text = fs::read_to_string(bench.state().join("runs").join(run).join("events.ndjson")).unwrap();
    let mut jobs: BTreeMap<String, Job> = BTreeMap::new();
    let mut of_run = [0; 2];
    for (number, line) in text.lines().enumerate() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["seq"], number + 1, "{line}");
        let job = || event["job"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap() {
            "run_started" => of_run[0] += 1,
            "run_finished" => of_run[1] += 1,
            "job_started" => jobs.entry(job()).or_default().started += 1,
            "job_finished" => {
                let job = jobs.entry(job()).or_default();
                job.finished += 1;
                job.exit_code = event["realExitCode"].as_i64().unwrap_or_default();
                job.attempts = event["attempt"].as_u64().unwrap_or(1);
            }
            "log_line" if event["job"].is_string() => {
                let entry = jobs.entry(job()).or_default();
                let to = if event["stream"] == "stderr" { &mut entry.stderr } else { &mut entry.stdout };
                to.push_str(event["data"].as_str().unwrap());
            }
            _ => {}
        }
    }
    (jobs, of_run)
}

/// The lines that begin with `word`, without it.
fn numbers(text: &str, word: &str) -> Vec<u64> {
    let numbered = text.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
    numbered.collect()
}

#[track_caller]
fn check(bench: &Bench, run: &str, when: &str) {
    let (jobs, of_run) = told(bench, run);
    assert_eq!(of_run, [1, 1], "{when}");
    assert_eq!(jobs.len(), 6, "{when}: {jobs:?}");
    for (name, job) in &jobs {
        assert_eq!((job.started, job.finished), (1, 1), "{when}: {name}");
        let code = if name == "fails" { 7 } else { 0 };
        assert_eq!(job.exit_code, code, "{when}: {name}: {job:?}");
        let attempts = if name == "again" { 2 } else { 1 };
        assert_eq!(job.attempts, attempts, "{when}: {name}: {job:?}");
        assert_eq!(numbers(&job.stdout, "pid ").len(), 1, "{when}: {name} ran more than once: {job:?}");
        assert_eq!(numbers(&job.stdout, "line "), (1..=LINES).collect::<Vec<_>>(), "{when}: {name}");
        let sides: Vec<u64> = (1..=LINES).filter(|line| line % 8 == 0).collect();
        assert_eq!(numbers(&job.stderr, "side "), sides, "{when}: {name}");
    }
    assert!(jobs["fails"].stdout.contains("\nafter\n"), "{when}");
    assert_eq!(bench.leftovers(), [""; 0], "{when}");
}

/// A new project for each kill: what a run leaves must not hide in what another one left.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.file(".jobwright.yaml", pipeline(&format!("{}/", bench.root().display())));
    bench.without_engine()
}

fn resume(bench: &Bench, run: &str) -> Ended {
    bench.run(&["run", "--resume", run])
}

/// Runs until it is killed at `moment`; whether it was.
fn killed_at(bench: &Bench, moment: &str) -> bool {
    let mut command = bench.command(&["run", "--parallel-stages", "--limit", "4"]);
    command.env("JOBWRIGHT_TEST_KILL_AT", moment);
    bench.end(command).status.code().is_none()
}

#[track_caller]
fn only_run(bench: &Bench) -> String {
    let runs = bench.runs();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

// covers: woodpecker 77-83, 86, local-ci 77
#[test]
fn an_owner_that_dies_at_any_record_of_its_journal_is_followed_by_one_that_finishes_its_run() {
    for (record, count) in RECORDS {
        for number in 1..=count {
            for when in ["before", "after"] {
                let moment = format!("{record}:{when}:{number}");
                let bench = bench();
                assert!(killed_at(&bench, &moment), "nothing came to {moment}");
                let run = only_run(&bench);
                let ended = resume(&bench, &run);
                if !bench.state().join("runs").join(&run).join("run.json").exists() {
                    // Nothing was begun: that is what is told.
                    ended.expect(1);
                    continue;
                }
                ended.expect(0);
                check(&bench, &run, &moment);
            }
        }
    }
}

#[test]
fn an_owner_that_dies_at_a_random_moment_is_followed_by_one_that_finishes_its_run() {
    for _ in 0..rounds(6) {
        let bench = bench();
        let after = some_time(Duration::from_millis(1400));
        let mut running = bench.start(bench.command(&["run", "--limit", "4"]));
        std::thread::sleep(after);
        running.child.kill().unwrap();
        if running.end().status.code().is_some() {
            continue;
        }
        let runs = bench.runs();
        let Some(run) = runs.first() else { continue };
        if !bench.state().join("runs").join(run).join("run.json").exists() {
            continue;
        }
        resume_if_not_over(&bench, run);
        check(&bench, run, &format!("killed after {after:?}"));
    }
}

/// One who is killed when everything is told, and before its process has ended, leaves nothing to be done.
fn resume_if_not_over(bench: &Bench, run: &str) {
    let resumed = resume(bench, run);
    let was_over = resumed.stderr.contains("has ended; nothing is left to be resumed");
    resumed.expect(if was_over { 2 } else { 0 });
}

#[test]
fn one_who_takes_over_and_dies_over_it_is_followed_too() {
    for moment in ["step_ended:after:1", "task_ended:before:1", "step_starting:after:1", "job_ended:after:1"]
    {
        let bench = bench();
        assert!(killed_at(&bench, "step_starting:after:2"));
        let run = only_run(&bench);
        let mut again = bench.command(&["run", "--resume", &run]);
        again.env("JOBWRIGHT_TEST_KILL_AT", moment);
        assert_eq!(bench.end(again).status.code(), None, "nothing came to {moment} again");
        resume(&bench, &run).expect(0);
        check(&bench, &run, moment);
        let ended = resume(&bench, &run).expect(2);
        assert!(ended.stderr.contains("has ended; nothing is left to be resumed"), "{ended:?}");
        check(&bench, &run, moment);
    }
}

/// How often, where nobody asks for more.
fn rounds(usual: u32) -> u32 {
    std::env::var("JOBWRIGHT_TEST_CHAOS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

// covers: woodpecker 87
#[test]
fn a_cancel_that_comes_while_nobody_owns_the_run_is_honoured_before_anything_is_started() {
    let bench = Bench::with(
        "stages: [a, b]\nfirst: {stage: a, script: ['touch ../../../../started; sleep 1000']}\nsecond: {stage: b, script: ['echo second']}\n",
    )
    .without_engine();
    let mut running = bench.start(bench.command(&["run"]));
    assert!(wait_for(|| running.stdout_now().contains("started")), "{}", running.stderr_now());
    running.child.kill().unwrap();
    running.end();
    let run = only_run(&bench);
    let said = bench.run(&["cancel", &run]).expect(0);
    assert!(said.stdout.contains("it is cancelled when it is taken over"), "{said:?}");
    let ended = resume(&bench, &run).expect(8);
    assert!(!ended.stdout.contains("▶ second"), "{ended:?}");
    assert_eq!(bench.leftovers(), [""; 0]);
    let (jobs, of_run) = told(&bench, &run);
    assert_eq!((of_run, jobs["first"].finished), ([1, 1], 1));
}

#[test]
fn a_detached_run_is_shown_listed_and_cancelled_by_others() {
    let bench =
        Bench::with("stages: [a]\nlong: {stage: a, script: ['echo begun; sleep 1000']}\n").without_engine();
    let run = bench.run(&["run", "--detach"]).expect(0).stdout.trim().to_owned();
    let listed = bench.run(&["ps"]).expect(0).stdout;
    assert!(listed.contains(&run) && listed.contains("running"), "{listed}");
    let attached = bench.start(bench.command(&["attach", &run]));
    assert!(wait_for(|| attached.stdout_now().contains("begun")), "{}", attached.stderr_now());
    let refused = resume(&bench, &run).expect(2);
    assert!(refused.stderr.contains("its owner lives"), "{refused:?}");
    let cancelled = bench.run(&["cancel", &run]).expect(0);
    assert!(cancelled.stdout.contains("cancelled"), "{cancelled:?}");
    attached.end().expect(8);
    assert_eq!(bench.run(&["ps"]).expect(0).stdout, "no run is going on\n");
    assert!(bench.run(&["ps", "--all"]).expect(0).stdout.contains("cancelled"));
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_detached_run_that_cannot_begin_says_so_at_once() {
    let bench = Bench::with("stages: [a]\nx: {stage: b, script: [true]}\n").without_engine();
    let refused = bench.run(&["run", "--detach"]);
    assert_eq!(refused.code(), 2, "{refused:?}");
    assert!(refused.stderr.contains("stage"), "{refused:?}");
}

#[test]
fn what_nobody_knows_is_not_found() {
    let bench = Bench::new();
    for command in ["attach", "cancel"] {
        let said = bench.run(&[command, "20261120T134644Z-c0764b"]).expect(4);
        assert!(said.stderr.contains("there is no run 20261120T134644Z-c0764b"), "{said:?}");
    }
    let said = bench.run(&["run", "--resume", "20261120T134644Z-c0764b"]).expect(4);
    assert!(said.stderr.contains("jobwright ps --all"), "{said:?}");
    bench.run(&["run", "--resume", "yesterday"]).expect(2);
}

// The workspace goes from hand to hand: commands on the host, the script, commands after it, commands on the host again.
#[test]
fn a_job_of_many_phases_is_gone_on_with_in_each_of_them() {
    const FILE: &str = "stages: [a]\njob: {stage: a, job_bootstrap: {run: [echo boot > boot, sleep 0.4]}, script: [cat boot, echo script > script, sleep 0.4], after_script: [cat script, sleep 0.4], job_cleanup: {run: [cat boot script, sleep 0.4]}}\n";
    for moment in
        ["task_opened", "files_delivered", "step_starting", "step_ended", "task_ended", "task_closed"]
    {
        for number in 1..=4 {
            let bench = Bench::with(FILE).without_engine();
            let moment = format!("{moment}:after:{number}");
            let mut command = bench.command(&["run"]);
            command.env("JOBWRIGHT_TEST_KILL_AT", &moment);
            assert_eq!(bench.end(command).status.code(), None, "nothing came to {moment}");
            let run = only_run(&bench);
            resume(&bench, &run).expect(0);
            let (jobs, of_run) = told(&bench, &run);
            assert_eq!((of_run, jobs["job"].finished), ([1, 1], 1), "{moment}");
            assert_eq!(bench.leftovers(), [""; 0], "{moment}");
        }
    }
}

#[test]
fn what_is_to_be_kept_of_failed_jobs_is_kept_by_who_takes_over_too() {
    let bench = Bench::with("stages: [a]\njob: {stage: a, script: ['sleep 0.5; exit 1']}\n").without_engine();
    let mut command = bench.command(&["run", "--keep-failed"]);
    command.env("JOBWRIGHT_TEST_KILL_AT", "step_starting:after:1");
    assert_eq!(bench.end(command).status.code(), None);
    let run = only_run(&bench);
    let ended = resume(&bench, &run).expect(1);
    assert!(ended.stderr.contains("kept") || ended.stdout.contains("kept"), "{ended:?}");
    bench.run(&["clean", &run]).expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}

/// What version 0.1.0 left of a run when it was killed (`JOBWRIGHT_TEST_KILL_AT=step_starting:after:2`, on a machine without an id, in another boot, in a project
/// whose place is written as `@PROJECT@`): one job has ended, the second is about to run, the third waits. Each later version has a folder of
/// its own beside this one as soon as it writes something else; until then it is the current one.
const OF_EARLIER_VERSIONS: [(&str, &str); 1] = [("run-of-0.1.0", "20261130T010314Z-3cd6a8")];

#[test]
fn a_run_of_an_earlier_version_is_gone_on_with() {
    for (recorded, run) in OF_EARLIER_VERSIONS {
        let bench = Bench::new().without_engine();
        let folder = StateDir::open(&bench.state()).unwrap().create_run_dir(&run.parse().unwrap()).unwrap();
        let recorded = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/program/data").join(recorded);
        for name in ["journal", "events.ndjson", "events.idx"] {
            fs::copy(recorded.join(name), folder.join(name)).unwrap();
        }
        let manifest = fs::read_to_string(recorded.join("run.json")).unwrap();
        let project = bench.project().display().to_string();
        fs::write(folder.join("run.json"), manifest.replace("@PROJECT@", &project)).unwrap();

        resume(&bench, run).expect(0);
        let (jobs, of_run) = told(&bench, run);
        assert_eq!(of_run, [1, 1]);
        let said = |name: &str| (jobs[name].attempts, jobs[name].stdout.clone());
        assert_eq!(said("done"), (1, "+ echo done\ndone\n".to_owned()), "it had ended and is not run again");
        assert_eq!(said("again"), (2, "+ echo again\nagain\n".to_owned()), "what ran was lost with its shim");
        assert_eq!(said("later"), (1, "+ echo later\nlater\n".to_owned()));
        assert_eq!(bench.leftovers(), [""; 0]);
    }
}

/// A secret that a run was started with.
const SECRET: &str = "correct-horse-battery";

fn secretive() -> Bench {
    Bench::with(
        "stages: [a]\njob: {stage: a, secrets: {TOKEN: {env: SECRET_OF_TEST}}, script: ['echo early $TOKEN', 'while [ ! -e $HOME/../../../../go ]; do sleep 0.02; done', 'echo late $TOKEN']}\n",
    )
    .without_engine()
}

/// Starts the run of [`secretive`], kills its owner when the first line was told, and gives the run's id.
fn kill_in_the_middle(bench: &Bench) -> String {
    let mut command = bench.command(&["run"]);
    command.env("SECRET_OF_TEST", SECRET);
    let mut running = bench.start(command);
    assert!(wait_for(|| running.stdout_now().contains("early ********")), "{}", running.stderr_now());
    running.child.kill().unwrap();
    running.end();
    fs::write(bench.state().join("go"), "").unwrap();
    only_run(bench)
}

/// Where the values of a run's secrets lie.
fn secrets_of(bench: &Bench, run: &str) -> PathBuf {
    let state = StateDir::open(&bench.state()).unwrap();
    Vault::of(&state).unwrap().place_of(&run.parse().unwrap())
}

#[track_caller]
fn secret_is_nowhere(bench: &Bench, run: &str) {
    for entry in fs::read_dir(bench.state().join("runs").join(run)).unwrap().flatten() {
        let bytes = fs::read(entry.path()).unwrap_or_default();
        let shown = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!shown, "{} holds the secret", entry.path().display());
    }
}

#[test]
fn a_secret_is_masked_after_a_run_was_taken_over_too() {
    let bench = secretive();
    let run = kill_in_the_middle(&bench);
    secret_is_nowhere(&bench, &run);
    let ended = resume(&bench, &run).expect(0);
    assert!(ended.stdout.contains("late ********") && !ended.stdout.contains(SECRET), "{ended:?}");
    secret_is_nowhere(&bench, &run);
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn who_gives_a_run_up_leaves_no_value_of_its_secrets() {
    let bench = secretive();
    let run = kill_in_the_middle(&bench);
    assert!(secrets_of(&bench, &run).exists());
    bench.run(&["clean"]).expect(0);
    assert!(!secrets_of(&bench, &run).exists());
    assert_eq!(bench.leftovers(), [""; 0]);
    let ended = resume(&bench, &run).expect(2);
    assert!(ended.stderr.contains("has ended"), "what may have run is not run again: {ended:?}");
}

#[test]
fn output_is_withheld_when_the_values_of_its_secrets_are_gone() {
    let bench = secretive();
    let run = kill_in_the_middle(&bench);
    fs::remove_file(secrets_of(&bench, &run)).unwrap();
    let ended = resume(&bench, &run).expect(0);
    assert!(ended.stderr.contains("withheld"), "{ended:?}");
    assert!(!ended.stdout.contains("late") && !ended.stdout.contains(SECRET), "{ended:?}");
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn containers_go_on_when_their_owner_dies_and_are_taken_over() {
    let Some(host) = docker() else { return };
    let image = format!("image: '{IMAGE}', ");
    let moments =
        ["step_starting:before:1", "step_starting:after:2", "step_ended:before:1", "step_ended:after:2"];
    let moments =
        moments.into_iter().chain(["task_ended:after:1", "task_closed:before:2", "job_ended:after:1"]);
    for moment in moments {
        let bench = in_containers(&image, host);
        let mut command = bench.command(&["run", "--limit", "4"]);
        command.env("JOBWRIGHT_TEST_KILL_AT", moment);
        assert_eq!(bench.end(command).status.code(), None, "nothing came to {moment}");
        let run = only_run(&bench);
        resume(&bench, &run).expect(0);
        check_in_containers(&bench, &run, moment);
    }
    for _ in 0..rounds(3) {
        let bench = in_containers(&image, host);
        let after = some_time(Duration::from_millis(3000));
        let mut running = bench.start(bench.command(&["run", "--limit", "4"]));
        std::thread::sleep(after);
        running.child.kill().unwrap();
        let ended = running.end().status.code().is_some();
        let Some(run) = bench.runs().first().cloned() else { continue };
        if ended || !bench.state().join("runs").join(&run).join("run.json").exists() {
            continue;
        }
        resume_if_not_over(&bench, &run);
        check_in_containers(&bench, &run, &format!("killed after {after:?}"));
    }
}

/// A job with a service, a chatty one, one that fails.
fn in_containers(image: &str, host: &str) -> Bench {
    let count =
        |pause: &str| format!("i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; {pause}; done");
    let (slow, fast) = (count("sleep 0.03"), count(":"));
    let pipeline = format!(
        "stages: [a, b]\n\
         chatty: {{stage: a, {image}services: [{{image: 'jobwright-test/web:latest', alias: web}}], script: ['echo pid 1; {slow}', 'wget -q -O - http://web/ | grep -q works']}}\n\
         fails: {{stage: a, {image}allow_failure: true, script: ['echo pid 1; {fast}', 'exit 7']}}\n\
         last: {{stage: b, {image}script: ['echo pid 1; {fast}']}}\n"
    );
    Bench::with(&pipeline).on(host)
}

#[track_caller]
fn check_in_containers(bench: &Bench, run: &str, when: &str) {
    let (jobs, of_run) = told(bench, run);
    assert_eq!((of_run, jobs.len()), ([1, 1], 3), "{when}");
    for (name, job) in &jobs {
        assert_eq!((job.started, job.finished), (1, 1), "{when}: {name}");
        assert_eq!(job.exit_code, if name == "fails" { 7 } else { 0 }, "{when}: {name}: {job:?}");
        assert_eq!(numbers(&job.stdout, "pid ").len(), 1, "{when}: {name} ran more than once: {job:?}");
        assert_eq!(numbers(&job.stdout, "line "), (1..=LINES).collect::<Vec<_>>(), "{when}: {name}");
    }
    assert_eq!(bench.leftovers(), [""; 0], "{when}");
}
