//! `jobwright queue`, `jobwright server --queue` and `jobwright agent`: the real programs together, and killed.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Bench, Running, processes_that_mention, wait_for};

const TOKEN: &str = "of-all-executors-hunter2";

/// A server with the queue `builds`, and its address.
fn serve(bench: &Bench) -> (Running, String) {
    let mut command =
        bench.command(&["server", "--unix", "none", "--listen", "127.0.0.1:0", "--queue", "builds"]);
    command.env("JOBWRIGHT_EXECUTOR_TOKEN", TOKEN);
    let server = bench.start(command);
    assert!(wait_for(|| server.stdout_now().contains("listening on http://")), "{}", server.stderr_now());
    let address = server.stdout_now().trim().rsplit(' ').next().unwrap().to_owned();
    (server, address)
}

/// An agent with a state directory of its own, whose `src` is a shell that runs its first argument.
fn agent(bench: &Bench, address: &str, more: &[&str]) -> Command {
    let src = bench.file("src", "#!/bin/sh\nexec /bin/sh -c \"$1\"\n");
    std::fs::set_permissions(&src, Permissions::from_mode(0o755)).unwrap();
    let mut command =
        bench.command(&["agent", "--src", src.to_str().unwrap(), "--url", address, "--queue", "builds"]);
    command
        .args(more)
        .env("JOBWRIGHT_STATE_DIR", bench.root().join("agent"))
        .env("JOBWRIGHT_EXECUTOR_TOKEN", TOKEN);
    command
}

fn push(bench: &Bench, script: &str) -> String {
    let job = bench.file("job.json", format!(r#"{{"cliSteps": [{{"command": ["{script}"]}}]}}"#));
    bench.run(&["queue", "push", "builds", job.to_str().unwrap()]).expect(0).stdout.trim().to_owned()
}

fn shown(bench: &Bench, job: &str) -> Value {
    serde_json::from_str(&bench.run(&["queue", "show", job, "--json"]).expect(0).stdout).unwrap()
}

#[test]
fn a_job_is_pushed_run_and_looked_at() {
    let bench = Bench::new().without_engine();
    let (server, address) = serve(&bench);
    let job = push(&bench, &format!("echo out; echo {TOKEN}; exit 0"));
    assert_eq!(job, "1-builds");
    assert_eq!(shown(&bench, &job)["state"], "queued");
    let ended = bench.end(agent(&bench, &address, &["--total-jobs", "1"])).expect(0);
    assert!(ended.stdout.contains("takes jobs from builds at http://127.0.0.1:"), "{ended:?}");
    assert_eq!(shown(&bench, &job)["state"], "completed");
    let log = bench.run(&["queue", "logs", &job]).expect(0).stdout;
    assert!(
        log.contains("=== step.src.0 $ ") && log.contains("\nstdout: out\nstdout: SECRET_REMOVED\n"),
        "{log}"
    );
    let second = push(&bench, "true");
    bench.run(&["queue", "pause", "builds"]).expect(0);
    bench.run(&["queue", "cancel", &second]).expect(0);
    assert_eq!(shown(&bench, &second)["state"], "canceled");
    bench.run(&["queue", "retry", &second, &job]).expect(1);
    let listed = bench.run(&["queue", "ls", "builds", "--state", "queued"]).expect(0).stdout;
    assert!(listed.contains("2-builds") && !listed.contains("1-builds"), "{listed}");
    assert!(bench.run(&["queue", "ls"]).expect(0).stdout.contains("paused"));
    server.signal(Signal::TERM);
    server.end().expect(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}

// covers: woodpecker 88
#[test]
fn a_job_whose_agent_is_killed_is_reported_by_the_next_and_tried_again_also_over_a_killed_server() {
    let bench = Bench::new().without_engine();
    bench.run(&["queue", "create", "builds", "--retries", "1", "--retry-after", "1ms"]).expect(0);
    let (mut server, address) = serve(&bench);
    let mark = bench.root().join("second");
    let job = push(
        &bench,
        &format!("echo began; test -e {} || {{ touch {0}; exec sleep 10009; }}; echo again", mark.display()),
    );
    let mut killed = bench.start(agent(&bench, &address, &[]));
    let log = || bench.run(&["queue", "logs", &job]).expect(0).stdout;
    assert!(wait_for(|| log().contains("began")), "{} {}", log(), killed.stderr_now());
    killed.child.kill().unwrap();
    killed.end();
    server.child.kill().unwrap();
    server.end();
    let (server, address) = serve(&bench);
    let next = bench.start(agent(&bench, &address, &[]));
    assert!(
        wait_for(|| shown(&bench, &job)["state"] == "completed"),
        "{:#} {}",
        shown(&bench, &job),
        next.stderr_now()
    );
    let attempts = shown(&bench, &job)["attempts"].clone();
    let states: Vec<&str> =
        attempts.as_array().unwrap().iter().map(|attempt| attempt["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["errored", "completed"], "{attempts:#}");
    assert!(processes_that_mention(Path::new("sleep 10009")).is_empty());
    let first = bench.run(&["queue", "logs", &job, "--attempt", "1"]).expect(0).stdout;
    assert!(first.contains("stdout: began\n") && !first.contains("stdout: again"), "{first}");
    assert!(log().contains("stdout: again\n"));
    for one in [next, server] {
        one.signal(Signal::TERM);
        one.end().expect(0);
    }
    assert_eq!(bench.leftovers(), [""; 0]);
}

// covers: sourcegraph 69 (but for microvms, which are not here)
#[test]
fn what_an_agent_cannot_begin_with_is_told_before_anybody_is_asked() {
    let bench = Bench::new().without_engine();
    let told = |variables: &[(&str, &str)], args: &[&str], code: i32, expected: &str| {
        let mut command = bench.command(&["agent"]);
        command.args(args).envs(variables.iter().copied());
        let ended = bench.end(command).expect(code);
        assert!(ended.stderr.contains(expected), "{ended:?}");
    };
    let url = ("EXECUTOR_FRONTEND_URL", "http://127.0.0.1:1");
    told(&[], &[], 2, "there is no queue to take jobs from");
    told(&[url], &[], 2, "EXECUTOR_QUEUE_NAMES");
    told(&[url, ("EXECUTOR_QUEUE_NAME", "a"), ("EXECUTOR_QUEUE_NAMES", "b")], &[], 2, "are both set");
    told(&[("EXECUTOR_QUEUE_NAME", "a")], &[], 2, "there is no server to take jobs from");
    told(&[("EXECUTOR_QUEUE_NAME", "a b"), url], &[], 2, "queue name \"a b\" is not usable");
    let queue = ("EXECUTOR_QUEUE_NAME", "a");
    told(&[("EXECUTOR_FRONTEND_URL", "ftp://x"), queue], &[], 2, "begins with http:// or https://");
    told(
        &[("EXECUTOR_FRONTEND_URL", "http://u:hunter2@x"), queue],
        &[],
        2,
        "credentials in it would show in logs",
    );
    told(
        &[url, queue, ("EXECUTOR_MAXIMUM_NUM_JOBS", "many")],
        &[],
        2,
        "EXECUTOR_MAXIMUM_NUM_JOBS: \"many\" is not such a number",
    );
    told(&[url, queue, ("EXECUTOR_KEEP_WORKSPACES", "perhaps")], &[], 2, "neither true nor false");
    let token = bench.file("token", TOKEN);
    std::fs::set_permissions(&token, Permissions::from_mode(0o644)).unwrap();
    told(&[url, queue], &["--token-file", token.to_str().unwrap()], 2, "others can get at it");
    told(&[url, queue], &["--max-jobs", "0"], 2, "at least one job");
    told(&[url, queue], &["validate"], 1, "");
}
