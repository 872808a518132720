//! Secrets show nowhere: not in the output, not in the events, not in a file that stays, not in the process list, not in what an
//! engine tells.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::support::{Bench, Ended, IMAGE, docker, inspect, wait_for};

const SECRET: &str = "s3cr3t-\"quoted\"&<tag>/$HOME/hunter2";

/// Parts and forms of the secret that must not be seen.
fn forms() -> Vec<String> {
    use serde_json::Value;
    let json = Value::from(SECRET).to_string();
    let base64 = [
        "czNjcjN0LSJxdW90ZWQiJjx0YWc+LyRIT01FL2h1bnRlcjI",
        "czNjcjN0LSJxdW90ZWQiJjx0YWc-LyRIT01FL2h1bnRlcjI",
    ];
    let mut forms =
        vec![SECRET.to_owned(), json[1..json.len() - 1].to_owned(), "s3cr3t-%22quoted%22".to_owned()];
    forms.extend(base64.map(str::to_owned));
    forms
}

#[track_caller]
fn check_text(text: &[u8], of: &str) {
    for form in forms() {
        let seen = text.windows(form.len()).any(|window| window == form.as_bytes());
        assert!(!seen, "{form} is in {of}:\n{}", String::from_utf8_lossy(text));
    }
}

/// Every file below `directory`, names included.
#[track_caller]
fn check_files(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        check_text(path.as_os_str().as_encoded_bytes(), "a path");
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => check_files(&path),
            kind if kind.is_file() => check_text(&std::fs::read(&path).unwrap(), &path.display().to_string()),
            _ => {}
        }
    }
}

/// Looks into every command line on this machine, again and again.
struct CommandLines {
    over: Arc<AtomicBool>,
    watcher: JoinHandle<(usize, Vec<String>)>,
}

impl CommandLines {
    fn watch() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let watcher = std::thread::spawn(move || {
            let (mut rounds, mut seen) = (0, Vec::new());
            while !until.load(Ordering::Relaxed) {
                for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                    let Ok(line) = std::fs::read(process.path().join("cmdline")) else { continue };
                    let line = String::from_utf8_lossy(&line).into_owned();
                    if forms().iter().any(|form| line.contains(form)) {
                        seen.push(line);
                    }
                }
                rounds += 1;
            }
            (rounds, seen)
        });
        Self { over, watcher }
    }

    #[track_caller]
    fn check(self) {
        self.over.store(true, Ordering::Relaxed);
        let (rounds, seen) = self.watcher.join().unwrap();
        assert!(rounds > 3, "it was looked {rounds} times");
        assert_eq!(seen, [""; 0]);
    }
}

/// A job that shows its secret in every way that a shell has, by built-in commands, as those have no command line.
fn telling(image: &str) -> String {
    let script = r#"
    - echo "plain $TOKEN plain"
    - echo "to stderr $TOKEN" >&2
    - printf '%s' "$TOKEN" | base64
    - printf 'x%s' "$TOKEN" | base64
    - printf 'xy%s' "$TOKEN" | base64 -w 0
    - |
      rest=$TOKEN
      while [ -n "$rest" ]; do
        tail=${rest#?????}
        [ "$tail" = "$rest" ] && tail=
        printf '%s' "${rest%"$tail"}"
        sleep 0.05
        rest=$tail
      done
      echo
    - missing-program "$TOKEN" || true
    - ( eval "\"\$TOKEN\"" ) || true
    - ( . "$TOKEN" ) || true
    - ( cd "$TOKEN" ) || true
    - set -x; true "$TOKEN"; set +x
    - 'env | while read -r line; do echo "$line"; done'
    - echo "$TOKEN" > made-by-the-job
    - echo end of telling
    - exit 3
"#;
    format!(
        "stages: [a]\nteller:\n  stage: a\n{image}  secrets: {{TOKEN: {{env: MY_TOKEN}}}}\n  script:{script}"
    )
}

fn run(bench: &Bench, args: &[&str]) -> Ended {
    let mut command = bench.command(args);
    command.env("MY_TOKEN", SECRET);
    bench.end(command)
}

#[track_caller]
fn check(bench: &Bench, backend: &str) {
    for args in [
        &["run", "--backend", backend][..],
        &["run", "--backend", backend, "--json"],
        &["run", "--backend", backend, "--log", "debug", "--parallel"],
    ] {
        let lines = CommandLines::watch();
        let ended = run(bench, args).expect(1);
        lines.check();
        check_text(ended.stdout.as_bytes(), "standard output");
        check_text(ended.stderr.as_bytes(), "standard error");
        assert!(ended.stdout.contains("plain ******** plain"), "{}", ended.stdout);
        assert!(ended.stdout.contains("end of telling"), "the job came to its end: {}", ended.stdout);
        check_files(&bench.state());
        check_files(&bench.project());
        assert_eq!(bench.leftovers(), [""; 0]);
    }
}

// covers: local-ci 31
#[test]
fn on_the_host_a_secret_shows_nowhere() {
    check(&Bench::with(&telling("")).without_engine(), "process");
}

#[test]
fn in_a_container_a_secret_shows_nowhere() {
    let Some(host) = docker() else { return };
    let bench = Bench::with(&telling(&format!("  image: {IMAGE}\n"))).on(host);
    check(&bench, "docker");
}

#[test]
fn the_engine_does_not_tell_a_secret_of_a_step_with_commands() {
    let Some(host) = docker() else { return };
    let pipeline = format!(
        "stages: [a]\nx:\n  stage: a\n  image: {IMAGE}\n  secrets: {{TOKEN: {{env: MY_TOKEN}}}}\n  script: ['test -n \"$TOKEN\"', echo looking, sleep 1000]\n"
    );
    let bench = Bench::with(&pipeline).on(host);
    let mut command = bench.command(&["run"]);
    command.env("MY_TOKEN", SECRET);
    let running = bench.start(command);
    assert!(wait_for(|| running.stdout_now().contains("\nlooking\n")), "{}", running.stdout_now());
    let told = inspect(host, &bench.state());
    assert!(told.contains("dev.jobwright.task"), "there is something to look into: {told}");
    check_text(told.as_bytes(), "what the engine tells");
    running.signal(rustix::process::Signal::INT);
    running.end().expect(130);
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_secret_that_cannot_be_had_or_not_be_masked_is_told_by_its_name() {
    let job = |secret: &str| {
        format!("stages: [a]\nx: {{stage: a, secrets: {{TOKEN: {secret}}}, script: ['echo \"<$TOKEN>\"']}}\n")
    };
    let bench = Bench::with(&job("{env: NOT_SET_ANYWHERE}"));
    let ended = bench.run(&["run"]).expect(2);
    assert!(ended.stderr.contains("TOKEN") && ended.stderr.contains("NOT_SET_ANYWHERE"), "{}", ended.stderr);
    bench.file(".jobwright.yaml", job("{file: nothing.key}"));
    let ended = bench.run(&["run"]).expect(2);
    assert!(ended.stderr.contains("nothing.key"), "{}", ended.stderr);
    bench.file("short.key", "abc\n");
    bench.file(".jobwright.yaml", job("{file: short.key}"));
    let ended = bench.run(&["run"]).expect(0);
    assert!(ended.stderr.contains("TOKEN") && ended.stderr.contains("short"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("abc"), "{}", ended.stderr);
}

#[test]
fn a_secret_given_on_the_command_line_stays_masked() {
    let bench = Bench::with(&telling("")).without_engine();
    // Another value, as other tests look for theirs in every command line of this machine.
    let mut command = bench.command(&["run", "-e", "TOKEN=given-on-the-command-line"]);
    command.env("MY_TOKEN", "from-the-environment");
    let ended = bench.end(command).expect(1);
    assert!(ended.stdout.contains("plain ******** plain"), "{}", ended.stdout);
    assert!(!ended.said().contains("given-on-the-command-line"), "{}", ended.said());
}
