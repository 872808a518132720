//! Completions in the real shells: what stands on the line after a tab, and that nothing else does.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{Bench, program, wait_for};

const PIPELINE: &str = "
stages: [build, ship it]
compile: {stage: build, script: x}
'lint & format': {stage: build, script: x}
'os:linux': {stage: build, script: x}
deploy: {stage: ship it, script: x}
";

/// A project, and a directory with the program and the scripts of all shells.
struct Place {
    bench: Bench,
}

impl Place {
    fn new() -> Self {
        let bench = Bench::with(PIPELINE).without_engine();
        fs::create_dir_all(bench.state().join("runs/20261129T210000Z-abcdef")).unwrap();
        bench.file("my-pipeline.yaml", "");
        let bin = bench.root().join("bin");
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(program(), bin.join("jobwright")).unwrap();
        for shell in ["bash", "zsh", "fish"] {
            let script = bench.run(&["completions", shell]).expect(0).stdout;
            fs::write(bench.root().join(shell), script).unwrap();
        }
        Self { bench }
    }

    fn script(&self, shell: &str) -> PathBuf {
        self.bench.root().join(shell)
    }

    /// `shell` in the project, with the program on its way; none when it is not there.
    fn shell(&self, shell: &str, args: &[&str]) -> Option<Command> {
        let found = std::env::split_paths(&std::env::var_os("PATH")?).any(|dir| dir.join(shell).exists());
        if !found {
            println!("skipped completions in {shell}: it is not installed");
            return None;
        }
        let mut command = Command::new(shell);
        let bin = self.bench.root().join("bin").display().to_string();
        command.args(args).current_dir(self.bench.project()).env_clear();
        command
            .env("PATH", format!("{bin}:/usr/bin:/bin"))
            .env("HOME", self.bench.root())
            .env("TERM", "dumb");
        command.env("LC_ALL", "C.UTF-8").env("JOBWRIGHT_CONFIG", "/dev/null");
        command.env("JOBWRIGHT_STATE_DIR", self.bench.state());
        Some(command)
    }
}

/// A shell on a terminal of its own.
struct Interactive {
    child: Child,
    keyboard: File,
    seen: Arc<Mutex<String>>,
    _terminal: OwnedFd,
}

impl Interactive {
    fn start(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let other = || slave.try_clone().unwrap();
        let child = command.stdin(other()).stdout(other()).stderr(other()).spawn().unwrap();
        drop(command);
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut screen, shown) = (File::from(master.try_clone().unwrap()), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal whose last program is gone answers with an error.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { child, keyboard: File::from(master.try_clone().unwrap()), seen, _terminal: master }
    }

    /// Presses these keys; waits until `text` is to be seen behind what was seen before.
    #[track_caller]
    fn press(&mut self, keys: &str, text: &str) -> String {
        let before = self.seen.lock().unwrap().len();
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        let since = || self.seen.lock().unwrap()[before..].to_owned();
        assert!(
            wait_for(|| since().contains(text)),
            "no {text:?} after {keys:?}: {:?}",
            self.seen.lock().unwrap()
        );
        since()
    }
}

impl Drop for Interactive {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the line is after a tab: the shell runs it with `echo` for a program, so it says what it took each word for.
const LINES: [(&str, &str); 11] = [
    ("run -j comp\t", "<run><-j><compile>"),
    ("run -j lint\t", "<run><-j><lint & format>"),
    ("run -j os:l\t", "<run><-j><os:linux>"),
    ("run -j compile,dep\t", "<run><-j><compile,deploy>"),
    ("run -s sh\t", "<run><-s><ship it>"),
    ("artifacts ls 2026\t", "<artifacts><ls><20261129T210000Z-abcdef>"),
    ("vali\t", "<validate>"),
    ("run --parallel-s\t", "<run><--parallel-stages>"),
    ("run --backend dock\t", "<run><--backend><docker>"),
    ("workflow run -b p\t", "<workflow><run><-b><process>"),
    ("run -c my\t", "<run><-c><my-pipeline.yaml>"),
];

/// Types each line, takes the completion, and has the shell say how it reads it.
fn check_lines(shell: &mut Interactive) {
    shell.press("PS1='ready'; PROMPT='ready'\r", "ready");
    // Wherever the line begins, the words are those of a program called `jobwright`.
    for (line, read) in LINES {
        let said = shell.press(&format!("jobwright {line} \x01say \x05\r"), read);
        assert!(!said.contains("error") && !said.contains("not found"), "{said:?}");
    }
}

#[test]
fn bash_completes_jobs_stages_and_runs() {
    let place = Place::new();
    let Some(command) = place.shell("bash", &["--norc", "--noprofile", "-i"]) else { return };
    let mut shell = Interactive::start(command);
    let say = "say() { shift; printf '<%s>' \"$@\"; echo; }";
    shell.press(&format!("bind 'set enable-bracketed-paste off'; {say}\r"), "say()");
    shell.press(&format!("source {}; echo sour''ced\r", place.script("bash").display()), "sourced");
    check_lines(&mut shell);
    shell.press("jobwright run --job=comp\t \x01say \x05\r", "<run><--job=compile>");
    shell.press("jobwright run -j 'lint\t \x01say \x05\r", "<run><-j><lint & format>");
}

#[test]
fn zsh_completes_jobs_stages_and_runs() {
    let place = Place::new();
    let Some(command) = place.shell("zsh", &["-f", "-i"]) else { return };
    let mut shell = Interactive::start(command);
    let say = "say() { shift; printf '<%s>' \"$@\"; echo }";
    shell.press(
        &format!("unsetopt zle_bracketed_paste; unset zle_bracketed_paste; bindkey -e; {say}\r"),
        "say()",
    );
    let load = format!("autoload -U compinit; compinit -u -D; source {}", place.script("zsh").display());
    shell.press(&format!("{load}; echo sour''ced\r"), "sourced");
    check_lines(&mut shell);
    shell.press("jobwright run --job=comp\t \x01say \x05\r", "<run><--job=compile>");
}

#[test]
fn fish_completes_jobs_stages_and_runs() {
    let place = Place::new();
    let Some(_) = place.shell("fish", &[]) else { return };
    let completed = |line: &str| {
        let asked = format!("source {}; complete -C '{line}'", place.script("fish").display());
        let command = place.shell("fish", &["--no-config", "-c", &asked]);
        let output = command.unwrap().output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(completed("jobwright run -j comp"), "compile\tjob of the stage build\n");
    assert_eq!(completed("jobwright run -j lint"), "lint & format\tjob of the stage build\n");
    assert_eq!(completed("jobwright run -j os:l"), "os:linux\tjob of the stage build\n");
    assert_eq!(completed("jobwright run --job=comp"), "--job=compile\tjob of the stage build\n");
    assert_eq!(completed("jobwright run -s sh"), "ship it\tstage of 1 job(s)\n");
    let runs = completed("jobwright artifacts ls ");
    assert_eq!(runs, "last\tthe newest run\n20261129T210000Z-abcdef\trun of 2026-11-29 21:00:00 UTC\n");
    assert!(completed("jobwright vali").starts_with("validate\t"));
}

#[test]
fn whatever_is_wrong_nothing_is_said_into_the_shell() {
    let bench = Bench::with("stages: [").without_engine();
    bench.file("config.toml", "nonsense = [");
    let config = bench.project().join("config.toml");
    for asked in [
        &["__complete"][..],
        &["__complete", "fish"],
        &["__complete", "bash", "jobwright run -j ", "17"],
        &["__complete", "bash", "jobwright run -j ", "17", " :="],
        &["__complete", "fish", "jobwright", "run", "-j", ""],
        &["__complete", "fish", "jobwright", "run", "-c", "/dev/stdin", "-j", ""],
        &["__complete", "fish", "jobwright", "artifacts", "ls", ""],
        &["__complete", "zsh", "jobwright", "run", "nonsense", ""],
        &["__complete", "fish", "jobwright", "--state-dir", "/nonexistent", "artifacts", "get", ""],
    ] {
        let mut command = bench.command(asked);
        command.env("JOBWRIGHT_CONFIG", &config);
        let ended = bench.end(command).expect(0);
        assert_eq!(ended.stderr, "", "{asked:?}");
        assert!(ended.stdout.lines().all(|line| line.starts_with('-')), "{asked:?}: {}", ended.stdout);
    }
    assert!(!bench.state().exists(), "nothing is made");
}
