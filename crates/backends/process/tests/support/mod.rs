//! A process backend over a state directory of its own, and the shim built for it. No behaviour is checked here.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use futures_util::StreamExt;
use jobwright_backend::{Backend, LogPosition, StreamKind};
use jobwright_journal::StateDir;
use jobwright_model::{Step, StepExit, StepUuid, TaskUuid, Workflow};
use jobwright_process::{ProcessBackend, ProcessSettings};

/// The shim of this build. Cargo does not build another package's program for a test, and a stale one would be worse.
pub(crate) fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        let target = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "jobwright-shim", "--bin", "jobwright-shim"]);
        if target.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success(), "the shim does not build");
        target.join("jobwright-shim")
    })
}

/// A state directory and what works in it.
pub(crate) struct Bench {
    pub(crate) root: tempfile::TempDir,
    pub(crate) settings: ProcessSettings,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut ProcessSettings)) -> Self {
        let root = tempfile::tempdir().expect("there is a temporary directory");
        let mut settings =
            ProcessSettings { shim: Some(shim().to_owned()), stop_timeout: 2, ..ProcessSettings::default() };
        change(&mut settings);
        Self { root, settings }
    }

    pub(crate) fn state(&self) -> StateDir {
        StateDir::open(&self.root.path().join("state")).expect("the state directory opens")
    }

    pub(crate) async fn backend(&self) -> ProcessBackend {
        let backend = ProcessBackend::new(&self.state(), self.settings.clone());
        backend.load().await.expect("the backend loads");
        backend
    }

    pub(crate) async fn task(&self) -> Task {
        let task = Task { backend: Arc::new(self.backend().await), uuid: TaskUuid::random() };
        task.backend.setup_workflow(&Workflow::default(), &task.uuid).await.expect("the task is set up");
        task
    }

    /// Names of all that is left in the state directory of tasks, and of processes.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        leftovers(&self.root.path().join("state/process"))
    }
}

/// Tasks, users taken, and processes that carry the token of a step of this state directory: none.
pub(crate) fn leftovers(root: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for folder in ["tasks", "uids"] {
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        left.extend(entries.map(|entry| entry.path().display().to_string()));
    }
    let shims = std::fs::read_dir(root.join("shims")).into_iter().flatten().flatten();
    for shim in shims {
        let Ok(Some(record)) = jobwright_shim::record::ShimRecord::read(&shim.path()) else { continue };
        let below = jobwright_shim::procfs::descendants([record.process.pid]);
        left.extend(below.iter().map(|pid| format!("process {pid} of the shim")));
    }
    if let Ok(owner) = std::fs::read_to_string(root.join("../owner")) {
        left.extend(cgroups(owner.trim()).iter().map(|folder| folder.display().to_string()));
    }
    left
}

/// The cgroups of steps of a state directory with this owner id, wherever they are.
pub(crate) fn cgroups(owner: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let is_ours = entry.file_name().to_string_lossy().starts_with(&format!("jobwright-{owner}-"));
            (if is_ours { &mut found } else { &mut open }).push(entry.path());
        }
    }
    found
}

/// A task that is set up.
pub(crate) struct Task {
    pub(crate) backend: Arc<ProcessBackend>,
    pub(crate) uuid: TaskUuid,
}

impl Task {
    pub(crate) async fn start(&self, step: &Step) {
        self.backend.start_step(step, &self.uuid).await.expect("the step starts");
    }

    pub(crate) async fn wait(&self, step: &Step) -> StepExit {
        self.backend.wait_step(step, &self.uuid).await.expect("the step's end is known")
    }

    /// Standard output and error to their end.
    pub(crate) async fn output(&self, step: &Step) -> (String, String) {
        let mut log =
            self.backend.tail_step(step, &self.uuid, LogPosition::START).await.expect("it can be read");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(chunk) = log.next().await {
            let chunk = chunk.expect("the output is whole");
            match chunk.stream {
                StreamKind::Stdout => out.extend_from_slice(&chunk.bytes),
                StreamKind::Stderr => err.extend_from_slice(&chunk.bytes),
            }
        }
        (String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned())
    }

    pub(crate) async fn run(&self, step: &Step) -> (StepExit, String, String) {
        self.start(step).await;
        let (out, err) = self.output(step).await;
        (self.wait(step).await, out, err)
    }

    /// Reads until standard output has `text`.
    pub(crate) async fn until(&self, step: &Step, text: &str) {
        let mut log =
            self.backend.tail_step(step, &self.uuid, LogPosition::START).await.expect("it can be read");
        let mut seen = String::new();
        while !seen.contains(text) {
            let chunk =
                log.next().await.expect("the text comes before the end").expect("the output is whole");
            seen.push_str(&String::from_utf8_lossy(&chunk.bytes));
        }
    }

    pub(crate) async fn destroy(&self) {
        self.backend.destroy_workflow(&Workflow::default(), &self.uuid).await.expect("the task is destroyed");
    }
}

/// A step of shell commands.
pub(crate) fn commands(commands: &[&str]) -> Step {
    let mut step = Step::new("step", StepUuid::random());
    step.commands = commands.iter().map(|&command| command.to_owned()).collect();
    step
}

/// A step that runs one script and echoes nothing.
pub(crate) fn sh(script: &str) -> Step {
    let mut step = Step::new("step", StepUuid::random());
    step.entrypoint = vec!["/bin/sh".into(), "-c".into(), script.into()];
    step
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
