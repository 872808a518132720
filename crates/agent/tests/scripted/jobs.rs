//! What becomes of jobs, as the queue sees it.

use std::time::Duration;

use jobwright_agent::Outcome;
use serde_json::{Value, json};

use crate::agents::Site;
use crate::original::{Mark, SECRET};

fn mark(job: &str, how: &str, why: &str) -> Mark {
    Mark { job: job.to_owned(), how: how.to_owned(), why: why.to_owned() }
}

/// A job of one cli step.
fn job(id: i64, script: &str) -> Value {
    json!({"id": id, "token": "0123456789abcdef0123456789abcdef01234567", "cliSteps": [{"command": [script]}]})
}

// covers: sourcegraph 40, 41, 42, 55, 57, 60, 61, 62, 66, 67
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_its_files_and_its_steps_come_in_order_and_no_secret_is_told_to_git() {
    let site = Site::new().await;
    let commit = site.original.repository("github.com/a/b");
    site.original.push(
        "builds",
        json!({
            "id": 7, "version": 2, "token": "0123456789abcdef0123456789abcdef01234567", "repositoryName": "github.com/a/b", "commit": commit,
            "repositoryDirectory": "repository", "files": {"in/x.txt": {"content": "Zm9v", "modifiedAt": "2024-05-06T07:08:09Z"}},
            "cliSteps": [
                {"command": ["cat README ../in/x.txt; echo; git remote get-url origin; echo 2 >&2; echo kept > ../kept; env | grep ^OWN"], "dir": "repository", "env": ["OWN=yes"]},
                {"command": ["cat kept; stat -c %Y in/x.txt"], "key": "second"},
            ],
        }),
    );
    let agent = site.start().await;
    assert_eq!(site.original.marked("7-builds").await, mark("7-builds", "markComplete", ""));
    assert_eq!(agent.end().await, Outcome::Drained);
    let log = site.original.log("7-builds");
    let keys: Vec<&str> = log.iter().map(|(key, ..)| key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "setup.git.init",
            "setup.git.add-remote",
            "setup.git.disable-gc",
            "setup.git.fetch",
            "setup.git.checkout",
            "setup.git.set-remote",
            "setup.fs.extras",
            "step.src.0",
            "step.src.second",
            "teardown.fs",
        ]
    );
    assert!(log.iter().all(|(_, code, _)| *code == 0), "{log:#?}");
    for line in
        ["stdout: read me\n", "stdout: foo\n", "stdout: github.com/a/b\n", "stderr: 2\n", "stdout: OWN=yes\n"]
    {
        assert!(log[7].2.contains(line), "{line:?} in {}", log[7].2);
    }
    assert_eq!(log[8].2, "stdout: kept\nstdout: 1714979289\n");
    assert!(log[6].2.starts_with("Wrote in/x.txt in "), "{}", log[6].2);
    let inner = site.original.inner();
    let commands =
        format!("{:?}", inner.entries["7-builds"].iter().map(|entry| &entry["command"]).collect::<Vec<_>>());
    assert!(
        commands.contains("http://127.0.0.1:")
            && !commands.contains(SECRET)
            && !commands.contains("0123456789abcdef"),
        "{commands}"
    );
    let of_git: Vec<_> = inner.asked.iter().filter(|(path, _)| path.contains("git/github.com/a/b")).collect();
    assert!(of_git.len() >= 2, "{of_git:?}");
    for (_, said) in &of_git {
        assert_eq!(said["auth"], "Bearer 0123456789abcdef0123456789abcdef01234567");
        assert_eq!(said["actor"], "internal");
    }
    for (path, said) in
        inner.asked.iter().filter(|(path, _)| path.contains("mark") || path.contains("LogEntry"))
    {
        assert_eq!(said["auth"], "Bearer 0123456789abcdef0123456789abcdef01234567", "{path}");
        assert_eq!((&said["job-header"], &said["name-header"]), (&json!("7"), &json!("agent-1")), "{path}");
    }
    drop(inner);
    site.check_nothing_is_left();
}

// covers: sourcegraph 42, 65
#[tokio::test(flavor = "multi_thread")]
async fn the_first_step_that_fails_ends_the_job_and_a_path_that_leads_out_fails_it_for_good() {
    let site = Site::new().await;
    let mut failing = job(1, "echo first; exit 7");
    failing["cliSteps"].as_array_mut().unwrap().push(json!({"command": ["echo second"]}));
    let mut escaping = job(2, "true");
    escaping["files"] = json!({"../x": "x"});
    let mut directory = job(3, "true");
    directory["repositoryName"] = json!("github.com/a/b");
    directory["repositoryDirectory"] = json!("../../x");
    for job in [failing, escaping, directory] {
        site.original.push("builds", job);
    }
    let agent = site.start().await;
    let why =
        "failed to perform src-cli step: running command \"step.src.0\": command failed with exit code 7";
    assert_eq!(site.original.marked("1-builds").await, mark("1-builds", "markErrored", why));
    for job in ["2-builds", "3-builds"] {
        let marked = site.original.marked(job).await;
        assert!(
            marked.how == "markFailed" && marked.why.contains("leads out of the workspace"),
            "{marked:?}"
        );
    }
    agent.end().await;
    let log = site.original.log("1-builds");
    assert_eq!(log[1], ("step.src.0".to_owned(), 7, "stdout: first\n".to_owned()));
    assert!(!log.iter().any(|(key, ..)| key == "step.src.1"), "{log:?}");
    site.check_nothing_is_left();
}

// covers: sourcegraph 43, 45, 46
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_secret_is_told_in_output_commands_or_messages() {
    let site = Site::new().await;
    let mut secretive = job(
        1,
        &format!(
            "printf 'my s\\167ord'; sleep 0.2; echo 'fish abcdef'; echo {SECRET}; printf 'multi\\nline\\n'; no-such-swordfish"
        ),
    );
    secretive["redactedValues"] =
        json!({"": "EMPTY-KEY", "swordfish": "FISH", "abcd": "ONE", "cdef": "TWO", "multi\nline": "BOTH"});
    site.original.push("builds", secretive);
    let agent = site.start().await;
    let marked = site.original.marked("1-builds").await;
    assert_eq!(marked.how, "markErrored");
    agent.end().await;
    let all = format!("{:?}{:?}", site.original.inner().entries, marked);
    for part in ["sword", "hunter2", "abcdef", "multi", "EMPTY-KEY"] {
        assert!(!all.contains(part), "{part} in {all}");
    }
    assert!(all.contains("my FISH") && all.contains("SECRET_REMOVED"), "{all}");
}

// covers: sourcegraph 50, 51
#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_end_is_wanted_or_that_is_lost_is_ended() {
    let mut site = Site::new().await;
    site.settings.max_jobs = 2;
    for id in [1, 2] {
        site.original.push("builds", job(id, &format!("echo began; sleep 1000{id}")));
    }
    let agent = site.start().await;
    for id in ["1-builds", "2-builds"] {
        site.original
            .until("it runs", |inner| {
                let entries = inner.entries.get(id)?;
                entries.iter().find(|entry| entry["out"] == "stdout: began\n").map(drop)
            })
            .await;
    }
    site.original.inner().cancelled.insert("1-builds".to_owned());
    site.original.inner().forgotten.insert("2-builds".to_owned());
    let cancelled = site.original.marked("1-builds").await;
    assert!(
        cancelled.how == "markFailed" && cancelled.why.starts_with("the job was canceled"),
        "{cancelled:?}"
    );
    let lost = site.original.marked("2-builds").await;
    assert!(lost.how == "markErrored" && lost.why.starts_with("the job was lost"), "{lost:?}");
    agent.end().await;
    let running = std::process::Command::new("pgrep").args(["-f", "sleep 1000[12]"]).output().unwrap();
    assert_eq!(String::from_utf8(running.stdout).unwrap(), "");
    site.check_nothing_is_left();
}

// covers: sourcegraph 48, 49, 68
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_of_life_that_fails_kills_nothing_and_comes_also_when_there_is_nothing_to_do() {
    let site = Site::new().await;
    let agent = site.start().await;
    site.original.until("it lives", |inner| (inner.beats >= 2).then_some(())).await;
    site.original.push("builds", job(1, "until test -e gate; do sleep 0.05; done; echo through"));
    site.original
        .until("it runs", |inner| {
            inner.entries.get("1-builds").filter(|entries| entries.len() >= 2).map(drop)
        })
        .await;
    let before = site.original.inner().asked.len();
    site.original.inner().broken.insert("heartbeat".to_owned());
    site.original
        .until("three fail", |inner| {
            let failed = inner.asked[before..].iter().filter(|(path, _)| path.contains("heartbeat")).count();
            (failed >= 3).then_some(())
        })
        .await;
    site.original.inner().broken.clear();
    let work = glob(&site, "gate");
    std::fs::write(work, "").unwrap();
    assert_eq!(site.original.marked("1-builds").await.how, "markComplete");
    agent.end().await;
    let first: Vec<String> = site.original.inner().asked.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(first[0], "POST queue/builds/heartbeat", "it says that it lives before it asks for anything");
}

/// The step's directory, by what the shim's process has for one.
fn glob(site: &Site, name: &str) -> std::path::PathBuf {
    let root = site.folder.path().join("state/process");
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name() == "workspace" {
                    return entry.path().join(name);
                }
                folders.push(entry.path());
            }
        }
    }
    panic!("there is no workspace below {}", site.folder.path().display());
}

// covers: sourcegraph 52
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_takes_too_long_is_ended_and_the_message_has_the_limit() {
    let mut site = Site::new().await;
    site.settings.max_runtime = Duration::from_secs(1);
    site.original.push("builds", job(1, "sleep 1000"));
    let agent = site.start().await;
    let marked = site.original.marked("1-builds").await;
    assert_eq!(marked.how, "markErrored");
    assert!(marked.why.starts_with("job exceeded maximum execution time of 1s: "), "{marked:?}");
    agent.end().await;
    site.check_nothing_is_left();
}

// covers: sourcegraph 47, 53, 54
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_drains_when_it_is_asked_to_end_and_after_as_many_jobs_as_it_is_to_run() {
    let mut site = Site::new().await;
    for id in 1..=3 {
        site.original.push("builds", job(id, "sleep 0.5"));
    }
    site.settings.total_jobs = Some(2);
    let agent = site.start().await;
    assert_eq!(agent.ended().await, Outcome::Done);
    assert_eq!(site.original.inner().marks.len(), 2, "never more than one at once, and two in all");

    site.settings.total_jobs = None;
    let mut agent = site.start().await;
    site.original.until("it runs", |inner| inner.entries.get("3-builds").map(drop)).await;
    let beats = site.original.inner().beats;
    agent.stop();
    assert_eq!(agent.ended().await, Outcome::Drained);
    assert_eq!(site.original.marked("3-builds").await.how, "markComplete");
    assert!(site.original.inner().beats > beats, "it lived on while it drained");
    site.original.push("builds", job(4, "true"));
    site.settings.max_active = Some(Duration::ZERO);
    assert_eq!(site.start().await.ended().await, Outcome::Done);
    assert!(!site.original.inner().entries.contains_key("4-builds"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_has_an_end_and_what_ran_until_then_is_reported() {
    let mut site = Site::new().await;
    site.settings.drain_within = Some(Duration::from_millis(300));
    site.original.push("builds", job(1, "sleep 1000"));
    let mut agent = site.start().await;
    site.original
        .until("it runs", |inner| {
            inner.entries.get("1-builds").filter(|entries| entries.len() >= 2).map(drop)
        })
        .await;
    agent.stop();
    assert_eq!(agent.ended().await, Outcome::CutShort);
    let marked = site.original.marked("1-builds").await;
    assert!(marked.how == "markErrored" && marked.why.starts_with("the agent was told to end"), "{marked:?}");
    site.check_nothing_is_left();
}

// covers: sourcegraph 55, 56
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_not_taken_is_told_again_and_a_job_without_its_log_did_not_succeed() {
    let mut site = Site::new().await;
    site.original.inner().broken.insert("ExecutionLogEntry".to_owned());
    site.original.push("builds", job(1, "echo out"));
    let agent = site.start().await;
    site.original
        .until("it is tried twice", |inner| {
            (inner.asked.iter().filter(|(path, _)| path.contains("addExecutionLogEntry")).count() >= 2)
                .then_some(())
        })
        .await;
    site.original.inner().broken.clear();
    assert_eq!(site.original.marked("1-builds").await.how, "markComplete");
    agent.end().await;
    assert_eq!(site.original.log("1-builds")[1], ("step.src.0".to_owned(), 0, "stdout: out\n".to_owned()));

    site.settings.report_within = Duration::from_secs(2);
    site.original.inner().broken.insert("ExecutionLogEntry".to_owned());
    site.original.push("builds", job(2, "echo out"));
    let agent = site.start().await;
    let marked = site.original.marked("2-builds").await;
    assert!(
        marked.how == "markErrored" && marked.why.starts_with("failed to write the job's log"),
        "{marked:?}"
    );
    agent.end().await;
}

// covers: sourcegraph 20 (an agent before a server of the early era)
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_entries_once_gets_each_when_it_has_ended() {
    let site = Site::new().await;
    site.original.inner().is_early = true;
    site.original.push("builds", job(1, "echo one; sleep 1.5; echo two"));
    let agent = site.start().await;
    assert_eq!(site.original.marked("1-builds").await.how, "markComplete");
    agent.end().await;
    let log = site.original.log("1-builds");
    let ended: Vec<_> = log.iter().filter(|(_, code, _)| *code == 0).collect();
    assert!(
        ended.iter().any(|(key, _, out)| key == "step.src.0" && out == "stdout: one\nstdout: two\n"),
        "{log:?}"
    );
    assert!(!site.original.inner().asked.iter().any(|(path, _)| path.contains("updateExecutionLogEntry")));
}

// covers: sourcegraph 7, 29
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_number_in_two_queues_run_beside_each_other() {
    let mut site = Site::of(&["builds", "builds-hooks"]).await;
    site.settings.max_jobs = 2;
    for queue in ["builds", "builds-hooks"] {
        site.original.push(queue, job(7, &format!("echo {queue}; until test -e gate; do sleep 0.05; done")));
    }
    let agent = site.start().await;
    for (queue, held) in [("7-builds", 2), ("7-builds-hooks", 2)] {
        site.original
            .until("both run", |inner| {
                inner.entries.get(queue).filter(|entries| entries.len() >= held).map(drop)
            })
            .await;
    }
    let beats = site.original.inner().beats;
    site.original.until("both are named", |inner| (inner.beats > beats + 2).then_some(())).await;
    assert!(site.original.inner().marks.is_empty(), "neither is taken for the other");
    site.original.inner().cancelled.insert("7-builds-hooks".to_owned());
    assert_eq!(site.original.marked("7-builds-hooks").await.how, "markFailed");
    assert!(!site.original.inner().marks.iter().any(|mark| mark.job == "7-builds"));
    site.original.inner().cancelled.insert("7-builds".to_owned());
    site.original.marked("7-builds").await;
    agent.end().await;
    site.check_nothing_is_left();
}

// covers: woodpecker 88 (what an agent that died held is told)
#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_that_died_ran_is_ended_and_reported_by_the_next() {
    let site = Site::new().await;
    site.original.push("builds", job(1, "echo began; sleep 10007"));
    let runs = site.original.until("it runs", |inner| {
        inner.entries.get("1-builds")?.iter().find(|entry| entry["out"] == "stdout: began\n").map(drop)
    });
    site.start_and_kill(runs).await;
    let agent = site.start().await;
    let marked = site.original.marked("1-builds").await;
    assert_eq!(
        marked,
        mark("1-builds", "markErrored", "the agent that ran the job ended before the job did")
    );
    agent.end().await;
    let log = site.original.log("1-builds");
    assert_eq!(
        log.last().map(|(key, code, out)| (key.as_str(), *code, out.as_str())),
        Some(("step.src.0", -1, "stdout: began\n"))
    );
    let running = std::process::Command::new("pgrep").args(["-f", "sleep 1000[7]"]).output().unwrap();
    assert_eq!(String::from_utf8(running.stdout).unwrap(), "");
    site.check_nothing_is_left();
}

// covers: sourcegraph 70
#[tokio::test(flavor = "multi_thread")]
async fn a_path_before_the_queues_is_kept() {
    let site = Site::new().await;
    assert!(site.original.base.ends_with("/prefix"));
    site.original.push("builds", job(1, "true"));
    let agent = site.start().await;
    assert_eq!(site.original.marked("1-builds").await.how, "markComplete");
    agent.end().await;
}
