//! `jobwright shell`: what is inside, how it ends, and that nothing stays.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::support::{Bench, Ended, IMAGE, docker, inspect, program, wait, wait_for};

/// The backends that are here, each with the address of its engine.
fn backends() -> Vec<(Option<&'static str>, &'static str)> {
    let process = (None, "process");
    docker().map(|host| (Some(host), "docker")).into_iter().chain([process]).collect()
}

/// A project with one job, on the engine at `host`.
fn project(host: Option<&str>, job: &str) -> Bench {
    let bench = match host {
        Some(host) => Bench::new().on(host),
        None => Bench::new().without_engine(),
    };
    bench.file(
        ".jobwright.yaml",
        format!(
            "stages: [one]\nbuild:\n  stage: one\n  image: {IMAGE}\n  script: ['touch the-script-ran']\n{job}"
        ),
    );
    bench.file("of-the-project", "content\n");
    bench
}

/// Runs `jobwright shell` with these arguments and this text as its input.
fn piped(bench: &Bench, args: &[&str], input: &str) -> Ended {
    let file = bench.root().join("input");
    std::fs::write(&file, input).unwrap();
    let mut command = bench.command(&[&["shell"], args].concat());
    command.stdin(File::open(file).unwrap());
    bench.end(command)
}

// covers: local-ci 115
#[test]
fn without_a_terminal_the_shell_reads_its_input_in_the_jobs_environment() {
    for (host, backend) in backends() {
        let bench = project(
            host,
            "  workdir: /work/here\n  variables: {COLOUR: blue}\n  secrets: {TOKEN: {env: SHELL_TOKEN}}\n",
        );
        let script = "cat of-the-project; echo $COLOUR $TOKEN $GIVEN; ls; echo apart >&2\ncat <<END\n$0\nEND\nexit 7\n";
        let file = bench.root().join("input");
        std::fs::write(&file, script).unwrap();
        let mut command = bench.command(&["shell", "build", "--backend", backend, "-e", "GIVEN=here"]);
        command.stdin(File::open(file).unwrap()).env("SHELL_TOKEN", "s3cr3t-t0k3n");
        let ended = bench.end(command).expect(7);
        let expected = "content\nblue s3cr3t-t0k3n here\nof-the-project\n";
        assert!(ended.stdout.starts_with(expected), "{backend}: {}", ended.stdout);
        assert!(
            ended.stderr.contains("\napart\n") && ended.stderr.contains("Running on the "),
            "{}",
            ended.stderr
        );
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn the_engine_does_not_tell_what_is_secret_in_a_shell() {
    let Some(host) = docker() else { return };
    let bench = project(Some(host), "  secrets: {TOKEN: {env: SHELL_TOKEN}}\n");
    let mut command =
        bench.command(&["shell", "build", "-b", "docker", "--", "sh", "-c", "echo $TOKEN; sleep 1000000"]);
    command.env("SHELL_TOKEN", "s3cr3t-t0k3n");
    let running = bench.start(command);
    assert!(wait_for(|| running.stdout_now() == "s3cr3t-t0k3n\n"));
    assert!(!inspect(host, &bench.state()).contains("s3cr3t-t0k3n"), "docker inspect shows it");
    running.signal(Signal::TERM);
    running.end().expect(8);
    let folder = bench.state().join("runs").join(&bench.runs()[0]);
    let kept = std::fs::read_to_string(folder.join("events.ndjson")).unwrap();
    assert!(kept.contains("run_finished") && !kept.contains("s3cr3t-t0k3n"), "{kept}");
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_command_runs_in_place_of_the_shell_and_its_exit_is_the_programs() {
    for (host, backend) in backends() {
        let bench = project(host, "");
        let shell = |command: &[&str]| {
            bench.run(&[&["shell", "build", "--backend", backend, "--"], command].concat())
        };
        assert_eq!(shell(&["cat", "of-the-project"]).expect(0).stdout, "content\n");
        shell(&["sh", "-c", "exit 200"]).expect(200);
        shell(&["sh", "-c", "kill -9 $$"]).expect(137);
        // What is large and read slowly comes whole.
        let large = shell(&["sh", "-c", "yes 0123456789abcde | head -c 3000000"]).expect(0);
        assert_eq!(large.stdout.len(), 3_000_000, "{backend}");
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn what_a_command_leaves_running_does_not_hold_it_and_is_ended() {
    for (host, backend) in backends() {
        let bench = project(host, "");
        let left = "sleep 1000000 & echo done";
        let ended = bench.run(&["shell", "build", "--backend", backend, "--", "sh", "-c", left]).expect(0);
        assert_eq!((ended.stdout.as_str(), bench.leftovers()), ("done\n", vec![]), "{backend}");
    }
}

#[test]
fn caches_and_what_the_host_prepares_are_there_and_neither_is_stored_again() {
    let job = "  cache: {key: k, paths: [kept]}\n  job_bootstrap: {run: ['echo prepared >prepared']}\n  job_cleanup: {run: ['echo cleaned']}\n";
    for (host, backend) in backends() {
        let bench = project(host, job);
        bench.file(
            ".jobwright.yaml",
            std::fs::read_to_string(bench.project().join(".jobwright.yaml"))
                .unwrap()
                .replace("touch the-script-ran", "mkdir -p kept; echo 1 >>kept/count"),
        );
        bench.run(&["run", "--backend", backend]).expect(0);
        let ended =
            piped(&bench, &["build", "--backend", backend], "cat prepared kept/count; echo 2 >>kept/count\n");
        assert_eq!(ended.expect(0).stdout, "prepared\n1\n", "{backend}");
        let again = piped(&bench, &["build", "--backend", backend], "cat kept/count\n").expect(0);
        assert_eq!(again.stdout, "1\n", "{backend}");
        assert!(again.stderr.contains("[job_cleanup 1] cleaned\n"), "{}", again.stderr);
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn a_job_is_entered_whatever_keeps_its_script_from_running() {
    let bench = project(
        None,
        "  if: '\"a\" == \"b\"'\n  timeout: 1s\n  needs: [other]\n  after_script: ['touch after']\n",
    );
    let file = bench.project().join(".jobwright.yaml");
    let text = std::fs::read_to_string(&file).unwrap() + "other: {stage: one, script: ['false']}\n";
    std::fs::write(file, text).unwrap();
    // Longer than the job's own time.
    let ended =
        bench.run(&["shell", "build", "-b", "process", "--", "sh", "-c", "sleep 1.5; echo inside"]).expect(0);
    assert_eq!((ended.stdout.as_str(), bench.leftovers()), ("inside\n", vec![]));
}

#[test]
fn what_cannot_be_entered_is_one_clear_error_and_125() {
    let bench = project(None, "  matrix: [{OS: a}, {OS: b}]\n");
    bench.file(
        "services.yaml",
        format!("stages: [one]\nx: {{stage: one, image: {IMAGE}, script: ['true'], services: [db:1]}}\n"),
    );
    bench.file("shell.yaml", "stages: [one]\nx: {stage: one, image: ksh, script: ['true']}\n");
    bench.file("broken.yaml", "stages: 7\n");
    for (args, expected) in [
        (&["bild"][..], "there is no job \"bild\" in "),
        (&["bild"], "did you mean \"build\"?; its jobs are: build"),
        (&["build"], "job \"build\" has a matrix; name the variant that you mean: build"),
        (&["build", "-c", "missing.yaml"], "missing.yaml"),
        (&["x", "-c", "broken.yaml"], "stages"),
        (&["x", "-c", "services.yaml", "-b", "process"], "cannot run the service `db`"),
        (&["x", "-c", "shell.yaml", "-b", "process"], "shell `ksh` not found"),
        (&["build", "-e", "=x"], "--env"),
        (&["build", "-b", "teleport"], "build"),
    ] {
        let ended = bench.run(&[&["shell"], args].concat()).expect(125);
        assert!(ended.stderr.contains(expected) && ended.stdout.is_empty(), "{args:?}: {}", ended.said());
    }
    bench.run(&["shell"]).expect(2);
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_shell_that_is_missing_is_told() {
    for (host, backend) in backends() {
        let bench = project(host, "");
        let ended = bench.run(&["shell", "build", "--backend", backend, "--shell", "no-such-shell"]);
        let told = ended.said();
        assert!([Some(125), Some(126), Some(127)].contains(&ended.status.code()), "{told}");
        assert!(told.contains("no-such-shell"), "{backend}: {told}");
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn a_shell_that_is_told_to_stop_removes_everything() {
    for (host, backend) in backends() {
        for (signal, code) in [(Signal::TERM, 8), (Signal::HUP, 8), (Signal::INT, 130)] {
            let bench = project(host, "");
            let mut command =
                bench.command(&["shell", "build", "-b", backend, "--", "sh", "-c", "echo in; sleep 1000000"]);
            command.stdin(Stdio::piped());
            let running = bench.start(command);
            assert!(wait_for(|| running.stdout_now() == "in\n"), "{backend}");
            running.signal(signal);
            running.end().expect(code);
            assert_eq!(bench.leftovers(), [""; 0], "{backend}");
            if host.is_some() {
                break;
            }
        }
    }
}

#[test]
fn what_a_killed_shell_leaves_is_removed_by_clean() {
    for (host, backend) in backends() {
        let bench = project(host, "");
        let mut running = bench.start(bench.command(&[
            "shell",
            "build",
            "-b",
            backend,
            "--",
            "sh",
            "-c",
            "echo in; sleep 1000000",
        ]));
        assert!(wait_for(|| running.stdout_now() == "in\n"), "{backend}");
        running.child.kill().unwrap();
        running.end();
        assert!(!bench.leftovers_now().is_empty());
        assert!(bench.run(&["clean"]).expect(0).stdout.contains("1 leftover(s) removed"));
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

/// The program in a session of its own, on a terminal.
pub(crate) struct OnTerminal {
    pub(crate) child: Child,
    screen: Arc<Mutex<String>>,
    typed: File,
    master: OwnedFd,
}

impl OnTerminal {
    pub(crate) fn start(bench: &Bench, args: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let terminal = || ioctl_tiocgptpeer(&master, flags).unwrap();
        let typed = File::from(master.try_clone().unwrap());
        let mut screen = File::from(master.try_clone().unwrap());
        let this = bench.command(&[]);
        // The first argument makes the terminal the session's own, so that closing it is heard of.
        let mut command = Command::new("setsid");
        command.arg("-c").arg(program()).args(args).current_dir(bench.project()).env("TERM", "xterm");
        for (name, value) in this.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command.stdin(terminal()).stdout(terminal()).stderr(terminal()).spawn().unwrap();
        drop(command);
        let shown = Arc::new(Mutex::new(String::new()));
        let text = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut piece) {
                text.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..count]));
            }
        });
        let on_terminal = Self { child, screen: shown, typed, master };
        on_terminal.resize(91, 17);
        on_terminal
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    pub(crate) fn type_in(&mut self, text: &str) {
        self.typed.write_all(text.as_bytes()).unwrap();
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        let came = wait_for(|| self.screen.lock().unwrap().contains(text));
        assert!(came, "{text:?} is not on the screen:\n{}", self.screen.lock().unwrap());
    }

    /// What is typed before the shell asks again may be thrown away.
    #[track_caller]
    fn wait_for_prompt_after(&self, text: &str) {
        let prompts = |screen: &str| {
            screen.rsplit_once(text).is_some_and(|(_, after)| after.contains("# ") || after.contains("$ "))
        };
        assert!(wait_for(|| prompts(&self.screen.lock().unwrap())), "{}", self.screen.lock().unwrap());
    }

    /// Whether what is typed is shown and edited by the terminal itself, as it is when nobody has made it raw.
    pub(crate) fn is_as_it_was(&self) -> bool {
        let modes = tcgetattr(self.master.as_fd()).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }
}

/// A shell on a terminal, once it answers.
fn on_terminal(bench: &Bench, backend: &str) -> OnTerminal {
    let mut shell = OnTerminal::start(bench, &["shell", "build", "-b", backend]);
    shell.wait_for("Running on the ");
    assert!(wait_for(|| !shell.is_as_it_was()), "{backend}: the terminal is not raw");
    shell.type_in("echo re''ady\r");
    shell.wait_for("ready\r\n");
    shell
}

#[test]
fn on_a_terminal_the_shell_has_it_with_its_keys_and_its_size() {
    for (host, backend) in backends() {
        let bench = project(host, "");
        let mut shell = on_terminal(&bench, backend);
        shell.type_in("until [ \"$(stty size)\" = '17 91' ]; do sleep 0.1; done; echo fir''st\r");
        shell.wait_for("first\r\n");
        shell.resize(133, 51);
        shell.type_in("until [ \"$(stty size)\" = '51 133' ]; do sleep 0.1; done; echo sec''ond $TERM\r");
        shell.wait_for("second xterm\r\n");
        // Ctrl-C is for what runs inside, and it runs when it repeats what the terminal has shown.
        shell.type_in("sh -c 'echo run''ning; exec cat'\r");
        shell.wait_for("running\r\n");
        shell.type_in("what runs inside\r");
        shell.wait_for("what runs inside\r\nwhat runs inside\r\n");
        shell.type_in("\u{3}");
        shell.wait_for_prompt_after("^C");
        shell.type_in("echo still he''re\r");
        shell.wait_for("still here\r\n");
        shell.type_in("exit 3\r");
        assert_eq!(wait(&mut shell.child).code(), Some(3), "{backend}");
        assert!(shell.is_as_it_was(), "{backend}: the terminal is left raw");
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn a_terminal_is_given_back_when_the_shell_is_told_to_stop() {
    for signals in [1, 2] {
        let bench = project(None, "");
        let mut shell = on_terminal(&bench, "process");
        shell.type_in("trap '' TERM; echo stub''born\r");
        shell.wait_for("stubborn\r\n");
        for _ in 0..signals {
            kill_process(Pid::from_child(&shell.child), Signal::TERM).unwrap();
        }
        assert_eq!(wait(&mut shell.child).code(), Some(8));
        assert!(shell.is_as_it_was(), "the terminal is left raw after {signals} signal(s)");
        bench.run(&["clean"]).expect(0);
        assert_eq!(bench.leftovers(), [""; 0]);
    }
}

#[test]
fn a_terminal_that_is_closed_ends_the_shell_and_removes_everything() {
    for (host, backend) in backends() {
        let bench = project(host, "");
        let OnTerminal { mut child, typed, master, screen } = on_terminal(&bench, backend);
        drop((typed, master));
        // The reader holds the last copy until it is told that nothing more comes.
        kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
        assert_eq!(wait(&mut child).code(), Some(8), "{backend}");
        drop(screen);
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}
