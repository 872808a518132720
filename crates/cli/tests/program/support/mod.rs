//! A project and a state directory of its own for each test, the real program to run in it, and a count of what is left
//! afterwards. No behaviour is checked here.

mod engine;
mod leftovers;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "it is shared with the Docker backend's own tests, which use all of it"
)]
#[path = "../../../../backends/docker/tests/support/own_engine.rs"]
mod own_engine;
mod waiting;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(crate) use engine::{IMAGE, ask, belongings, docker, inspect, podman};
pub(crate) use leftovers::processes_that_mention;
pub(crate) use own_engine::OwnEngine;
pub(crate) use waiting::{tree, waiting};

/// The longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program, with the shim of this build beside it. Cargo does not build another package's program for a test, and a stale one
/// would be worse.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = PathBuf::from(env!("CARGO_BIN_EXE_jobwright"));
        let profile = program.parent().expect("a program lies in a folder");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "jobwright-shim", "--bin", "jobwright-shim"]);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success(), "the shim does not build");
        assert!(profile.join("jobwright-shim").exists(), "the shim lies beside the program");
        program
    })
}

/// A project, a state directory, a directory for temporary files.
pub(crate) struct Bench {
    root: tempfile::TempDir,
    docker: Option<String>,
    no_engine: bool,
}

impl Bench {
    /// An empty project.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("jobwright-program-").tempdir().expect("a directory");
        for folder in ["project", "tmp"] {
            fs::create_dir(root.path().join(folder)).expect("a folder");
        }
        Self { root, docker: None, no_engine: false }
    }

    /// A project with that pipeline file.
    pub(crate) fn with(pipeline: &str) -> Self {
        let bench = Self::new();
        bench.file(".jobwright.yaml", pipeline);
        bench
    }

    /// The engine at `host` is the one to be used.
    pub(crate) fn on(mut self, host: &str) -> Self {
        self.docker = Some(host.to_owned());
        self
    }

    /// No engine is to be found, whatever this machine has.
    pub(crate) fn without_engine(mut self) -> Self {
        self.no_engine = true;
        self
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.root().join("project")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root().join("state")
    }

    /// Writes a file of the project.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.project().join(name);
        fs::write(&path, content).expect("a file of the project");
        path
    }

    /// The program in the project's directory, in an environment without any setting of the caller's.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("JOBWRIGHT_")
                || ["CI", "CLICOLOR", "CLICOLOR_FORCE", "NO_COLOR"].contains(&&*text)
            {
                command.env_remove(&name);
            }
        }
        command
            .args(args)
            .current_dir(self.project())
            .env("JOBWRIGHT_CONFIG", "/dev/null")
            .env("JOBWRIGHT_STATE_DIR", self.state())
            .env("JOBWRIGHT_PROCESS_STOP_TIMEOUT", "1")
            .env("JOBWRIGHT_DOCKER_STOP_TIMEOUT", "1")
            .env("TMPDIR", self.root().join("tmp"))
            .stdin(Stdio::null());
        if let Some(host) = &self.docker {
            command.env("JOBWRIGHT_DOCKER_HOST", host);
        }
        if self.no_engine {
            command.env("JOBWRIGHT_DOCKER_HOST", "unix:///nonexistent/docker.sock");
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.end(self.command(args))
    }

    /// Runs a command made by [`Self::command`] to its end.
    pub(crate) fn end(&self, command: Command) -> Ended {
        self.start(command).end()
    }

    /// Starts a command made by [`Self::command`]; what it says goes to files, so that it never waits for a reader.
    pub(crate) fn start(&self, mut command: Command) -> Running {
        let file = || tempfile::tempfile_in(self.root()).expect("a file");
        let (stdout, stderr) = (file(), file());
        let open = |file: &File| file.try_clone().expect("a second handle");
        let child = command.stdout(open(&stdout)).stderr(open(&stderr)).spawn().expect("jobwright starts");
        Running { child, stdout, stderr }
    }

    /// The ids of the runs that the state directory knows.
    pub(crate) fn runs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.state().join("runs")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Everything that a run might have left, when it is still there after a while: a shim takes a moment to see that it is alone.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        wait_for(|| {
            left = self.leftovers_now();
            left.is_empty()
        });
        left
    }

    /// Everything that a run might have left and that is here now.
    pub(crate) fn leftovers_now(&self) -> Vec<String> {
        let mut left = leftovers::of_host(self.root(), &self.state());
        if let Some(host) = &self.docker {
            left.extend(engine::leftovers(host, &self.state()));
        }
        left
    }
}

impl Drop for Bench {
    /// A failing test must not leave its processes to the next one.
    fn drop(&mut self) {
        for (pid, _) in processes_that_mention(self.root()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        if let Some(host) = &self.docker {
            engine::remove_leftovers(host, &self.state());
        }
    }
}

/// The program while it runs.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: File,
    stderr: File,
}

impl Running {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it can be told");
    }

    /// What it has written to standard output by now.
    pub(crate) fn stdout_now(&self) -> String {
        text(&self.stdout)
    }

    /// What it has written to standard error by now.
    pub(crate) fn stderr_now(&self) -> String {
        text(&self.stderr)
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let status = wait(&mut self.child);
        Ended { status, stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }
}

/// How the program ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The exit code; ending by a signal has none.
    #[track_caller]
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("it ended by a signal: {self:?}"))
    }

    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}\n---\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Both outputs as one text for a snapshot.
    pub(crate) fn said(&self) -> String {
        format!("{}--- stderr ---\n{}", self.stdout, self.stderr)
    }
}

/// Waits for the end of a process, and ends the test when it takes too long.
#[track_caller]
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_for(|| {
        status = child.try_wait().expect("it can be waited for");
        status.is_some()
    });
    status.unwrap_or_else(|| {
        let _ = child.kill();
        panic!("jobwright did not end within {PATIENCE:?}")
    })
}

/// Looks again and again until it is so; tells whether it came to be.
pub(crate) fn wait_for(mut so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Waits until a step says by this file that it has come so far.
#[track_caller]
pub(crate) fn wait_for_file(path: &Path) {
    assert!(wait_for(|| path.exists()), "{} was not made", path.display());
}

/// What is in a file, without moving the place where others write.
fn text(file: &File) -> String {
    let length = file.metadata().expect("it is a file").len();
    let mut bytes = vec![0; usize::try_from(length).expect("it fits into memory")];
    file.read_exact_at(&mut bytes, 0).expect("it can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Snapshots in which nothing depends on the moment, the machine or the directory.
pub(crate) fn pinned(bench: &Bench) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    let escaped = |path: &Path| path.display().to_string().replace('.', r"\.");
    settings.add_filter(&escaped(bench.root()), "[bench]");
    settings.add_filter(&escaped(program().parent().expect("a folder")), "[bin]");
    settings.add_filter(r"\d{8}T\d{6}Z-[0-9a-f]{6}", "[run]");
    settings.add_filter(r"\b\d+(\.\d+)?(ms|s)\b", "[time]");
    settings.add_filter(r"(linux|macos)/(amd64|arm64)", "[platform]");
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(true);
    settings.set_omit_expression(true);
    settings
}
