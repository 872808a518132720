//! A file with a `remote_provider`, over a small GitLab of this machine; and commands around all jobs, as a person sees them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Bench, Ended};

const TOKEN: &str = "glpat-hunter2000";

/// A server with two variables for whoever has the token.
struct GitLab {
    address: String,
    asked: Arc<AtomicUsize>,
}

impl GitLab {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                let knows = String::from_utf8_lossy(&head).contains(TOKEN);
                let (status, body) = match knows {
                    true => (
                        "200 OK",
                        r#"[{"key":"PLAIN","value":"open-value","masked":false},{"key":"KEY","value":"hidden-value","masked":true}]"#,
                    ),
                    false => ("401 Unauthorized", "{}"),
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                connection.write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { address, asked }
    }

    fn bench(&self) -> Bench {
        Bench::with(&format!(
            "stages: [a]\nremote_provider: {{url: 'http://{}', project_id: 7, access_token: $CI_TOKEN}}\n\
             x: {{stage: a, script: ['echo \"$PLAIN and $KEY\"']}}\n",
            self.address
        ))
        .without_engine()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn run(bench: &Bench, token: Option<&str>, args: &[&str]) -> Ended {
    let mut command = bench.command(args);
    command.env("NO_PROXY", "127.0.0.1").env_remove("CI_TOKEN");
    if let Some(token) = token {
        command.env("CI_TOKEN", token);
    }
    bench.end(command)
}

// covers: local-ci 91
#[test]
fn a_job_has_the_variables_of_the_gitlab_project_and_its_secrets_are_masked() {
    let gitlab = GitLab::new();
    let ended = run(&gitlab.bench(), Some(TOKEN), &["run"]).expect(0);
    assert!(ended.stdout.contains("\nopen-value and ********\n"), "{}", ended.stdout);
    assert_eq!(gitlab.asked(), 1);
}

#[test]
fn what_keeps_the_variables_from_being_had_is_told_without_the_token() {
    let gitlab = GitLab::new();
    let bench = gitlab.bench();
    let refused = run(&bench, Some("glpat-of-somebody-else"), &["run"]).expect(3);
    let told = "the variables of the project 7 at http://127.0.0.1";
    assert!(refused.stderr.contains(told) && refused.stderr.contains("status 401"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("somebody-else"), "{}", refused.stderr);
    let missing = run(&bench, None, &["run"]).expect(2);
    assert!(missing.stderr.contains("`CI_TOKEN` is not set"), "{}", missing.stderr);
}

#[test]
fn neither_validate_nor_a_dry_run_asks_the_server_and_both_say_so() {
    let gitlab = GitLab::new();
    let bench = gitlab.bench();
    for (args, says) in [
        (&["validate"][..], "nothing was asked for now"),
        (&["validate", "--format", "json"], "\"notFetched\":\"the project 7 at http://127.0.0.1"),
        (&["run", "--dry-run"], "nothing was asked for now"),
        (&["run", "--dry-run", "--json"], "\"notFetched\":\"the project 7 at http://127.0.0.1"),
    ] {
        let ended = run(&bench, None, args).expect(0);
        let told: String = ended.stdout.replace("\": \"", "\":\"");
        assert!(told.contains(says), "{args:?}: {}", ended.stdout);
    }
    assert_eq!(gitlab.asked(), 0);
}

// covers: local-ci 71-72
#[test]
fn commands_around_all_jobs_are_seen_as_they_run_and_a_bootstrap_that_fails_fails_the_run() {
    let file = |code: u8| {
        format!(
            "stages: [a]\nbootstrap: {{run: [echo in-$(basename $PWD), exit {code}]}}\n\
             cleanup: {{run: [echo cleaned-up]}}\nx: {{stage: a, script: [echo from-the-job]}}\n"
        )
    };
    let ended = Bench::with(&file(0)).without_engine().run(&["run"]).expect(0);
    let at = |text: &str| ended.stdout.find(text).unwrap_or_else(|| panic!("{text}: {}", ended.stdout));
    assert!(at("\nin-project\n") < at("\nfrom-the-job\n") && at("\nfrom-the-job\n") < at("\ncleaned-up\n"));
    let bench = Bench::with(&file(6)).without_engine();
    let ended = bench.run(&["run"]).expect(1);
    let why = "Bootstrap failed: bootstrap 2: exited with non-zero status 6";
    assert!(ended.stdout.contains(why) && ended.stdout.contains("\ncleaned-up\n"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("from-the-job"), "{}", ended.stdout);
    let foreseen = bench.run(&["run", "--dry-run"]).expect(0).stdout;
    assert!(
        foreseen.contains("before all jobs, on this host\n  echo in-") && foreseen.contains("after all jobs")
    );
    assert_eq!(bench.leftovers(), [""; 0]);
}

/// At every record that is written of them: what is around the jobs is gone on with as the jobs are, and nothing of it runs twice.
#[test]
fn commands_around_all_jobs_are_gone_on_with_when_the_runs_owner_dies() {
    for record in ["task_opened", "step_starting", "step_ended", "task_ended", "task_closed"] {
        for number in 1..=3 {
            let bench = Bench::new().without_engine();
            let ran = bench.root().join("ran");
            let note = |what: &str| format!("echo {what} >> {}", ran.display());
            bench.file(
                ".jobwright.yaml",
                format!(
                    "stages: [a]\nbootstrap: {{run: [touch made; {}]}}\ncleanup: {{run: [rm made; {}]}}\n\
                     x: {{stage: a, script: [test -e made, {}]}}\n",
                    note("bootstrap"),
                    note("cleanup"),
                    note("job")
                ),
            );
            let moment = format!("{record}:after:{number}");
            let mut command = bench.command(&["run"]);
            command.env("JOBWRIGHT_TEST_KILL_AT", &moment);
            assert!(bench.end(command).status.code().is_none(), "nothing came to {moment}");
            let run = bench.runs().pop().unwrap();
            bench.run(&["run", "--resume", &run]).expect(0);
            let ran = std::fs::read_to_string(&ran).unwrap();
            assert_eq!(ran, "bootstrap\njob\ncleanup\n", "{moment}");
            assert!(!bench.project().join("made").exists(), "{moment}");
            assert_eq!(bench.leftovers(), [""; 0], "{moment}");
        }
    }
}
